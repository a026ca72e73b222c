"""What health checks make of a container's health: values and decisions, nothing is done here.

Times are Unix nanoseconds, durations nanoseconds as in the API.
"""

from enum import StrEnum

import msgspec

from engine.containers.config import ContainerConfig

LOG = 5
"""Results that are kept."""
OUTPUT = 4096
"""Bytes of a probe's output that are kept; of more, that there was more."""
FAILED = -1
"""The exit code in the log of a probe that did not run, or not to its end."""
_SECOND = 1_000_000_000
_SHELL = ("/bin/sh", "-c")


class HealthStatus(StrEnum):
    """Docker's words (`State.Health.Status`)."""

    STARTING = "starting"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


class Result(msgspec.Struct, frozen=True):
    """One run of a probe."""

    start: int
    end: int
    exit_code: int
    output: str


class Health(msgspec.Struct, frozen=True):
    """A container's health; `log` has the last results, the oldest first."""

    status: HealthStatus = HealthStatus.STARTING
    failing_streak: int = 0
    log: tuple[Result, ...] = ()


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """How a container is probed, Docker's defaults filled in."""

    command: tuple[str, ...]
    interval: int
    timeout: int
    start_period: int
    start_interval: int
    retries: int

    @classmethod
    def of(cls, config: ContainerConfig) -> "Check | None":
        """The check that a container is to have; None where it has none, has it switched off or of an unknown kind."""
        asked = config.healthcheck
        if asked is None or not asked.test or asked.test[0] not in ("CMD", "CMD-SHELL"):
            return None
        shell = (config.shell or _SHELL) if asked.test[0] == "CMD-SHELL" and asked.test[1:] else ()
        return cls(
            command=(*shell, *asked.test[1:]),
            interval=asked.interval or 30 * _SECOND,
            timeout=asked.timeout or 30 * _SECOND,
            start_period=asked.start_period,
            start_interval=asked.start_interval or 5 * _SECOND,
            retries=asked.retries or 3,
        )

    def pause(self, health: Health, ran: int) -> int:
        """The time until the next probe of a container that has run for so long."""
        early = health.status is HealthStatus.STARTING and ran < self.start_period
        return self.start_interval if early else self.interval


def begun(former: Health | None) -> Health:
    """The health of a container that has just started. The log of former runs stays, as in Docker."""
    return Health(log=former.log if former is not None else ())


def unwatched(health: Health | None) -> Health | None:
    """The health of a container that is probed no more, as it ended or is paused: Docker calls it unhealthy, unsaid."""
    return None if health is None else msgspec.structs.replace(health, status=HealthStatus.UNHEALTHY)


def after(health: Health, check: Check, result: Result, started_at: int) -> Health:
    """The health that a result leads to. Within the start period failures count only after a success."""
    log = (*health.log, result)[-LOG:]
    if result.exit_code == 0:
        return Health(status=HealthStatus.HEALTHY, log=log)
    early = result.start - started_at < check.start_period
    if health.status is HealthStatus.STARTING and early:
        return msgspec.structs.replace(health, log=log)
    streak = health.failing_streak + 1
    status = HealthStatus.UNHEALTHY if streak >= check.retries else health.status
    return Health(status=status, failing_streak=streak, log=log)
