"""What happens when a container's process has ended."""

import msgspec

from engine.containers import mounted, restart_policy
from engine.containers.container import Container, State
from engine.containers.live import Live
from engine.containers.machinery import Machinery
from engine.containers.state import Status
from engine.health.health import unwatched
from runtime.settled import settled
from runtime.task_values import Exit

NANOSECOND = 1e-9


def ended(container: Container, exit_status: Exit) -> Container:
    """The record of a container whose process is gone: pure."""
    state = msgspec.structs.replace(
        container.state,
        status=Status.EXITED,
        pid=0,
        exit_code=exit_status.code,
        error=exit_status.reason,
        oom_killed=exit_status.oom,
        finished_at=exit_status.at,
        health=unwatched(container.state.health),
    )
    return msgspec.structs.replace(container, state=state, endpoints={}, ports=[], sandbox_id="")


def restarting(container: Container) -> Container:
    """The record of a container that its policy is to start again; the restart counts from now, as in Docker: pure."""
    if container.state.status is Status.RESTARTING:
        return container
    state = msgspec.structs.replace(container.state, status=Status.RESTARTING)
    return msgspec.structs.replace(container, state=state, restart_count=container.restart_count + 1)


def last_run(container: Container, live: Live) -> restart_policy.Ended:
    """The run that is over, as the restart policy looks at it."""
    state: State = container.state
    waits = state.status is Status.RESTARTING  # for the next start, which counts already
    return restart_policy.Ended(
        exit_code=state.exit_code,
        ran=max(0.0, (state.finished_at - state.started_at) * NANOSECOND),
        asked=container.stopped_by_user,
        restarts=container.restart_count - waits,
        last_delay=live.last_delay,
    )


def after(container: Container, live: Live) -> float | None:
    """Seconds until the restart policy starts it again, None when it does not: a decision."""
    if live.restarting_by_user:
        return None
    policy, last = container.host_config.restart_policy, last_run(container, live)
    if live.ailing:
        return restart_policy.decide_ailing(policy, last, live.ailments)
    return restart_policy.decide(policy, last)


async def release(container_id: str, machinery: Machinery) -> None:
    """Give back what a run held: network, ports, /dev/shm, the mounted root, volumes. Each is tried, whatever befalls
    the others.
    """
    try:
        await machinery.network.release(container_id)
    finally:
        try:
            await settled(mounted.unmount, container_id, machinery)
        finally:
            await machinery.volumes.release(container_id)
