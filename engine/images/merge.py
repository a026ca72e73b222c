"""What an image gives to a container made of it."""

from typing import TypeVar

import msgspec

from engine.containers.config import ContainerConfig, Healthcheck

_T = TypeVar("_T")


def merge_config(container: ContainerConfig, image: ContainerConfig) -> ContainerConfig:
    """The container's config, filled in from the image's by Docker's rules; neither argument is changed.

    What the container says wins. Ports, volumes and labels are united, variables by their names. An
    entrypoint of the container's drops the image's entrypoint and command; an entrypoint of one empty word
    means none at all. Shell and stop timeout stay as they are: Docker does not inherit them. Whether there
    is a command at all is for the caller to check.
    """
    cmd, entrypoint = _command(container, image)
    return msgspec.structs.replace(
        container,
        user=container.user or image.user,
        exposed_ports=_union(container.exposed_ports, image.exposed_ports),
        env=_environment(container.env, image.env),
        labels={**(image.labels or {}), **(container.labels or {})},
        cmd=cmd,
        entrypoint=entrypoint,
        healthcheck=_healthcheck(container.healthcheck, image.healthcheck),
        working_dir=container.working_dir or image.working_dir,
        volumes=_union(container.volumes, image.volumes),
        stop_signal=container.stop_signal or image.stop_signal,
    )


def _command(container: ContainerConfig, image: ContainerConfig) -> tuple[list[str] | None, list[str] | None]:
    cmd, entrypoint = container.cmd, container.entrypoint
    if not entrypoint:
        cmd = cmd or image.cmd
        entrypoint = image.entrypoint if entrypoint is None else entrypoint
    return cmd, None if entrypoint == [""] else entrypoint


def _union(own: dict[str, _T] | None, given: dict[str, _T] | None) -> dict[str, _T] | None:
    if not own:
        return given
    return {**own, **{key: value for key, value in (given or {}).items() if key not in own}}


def _environment(own: list[str] | None, given: list[str] | None) -> list[str] | None:
    """Without what an image has of empty entries: a client may not send such, and they say nothing."""
    given = [entry for entry in given if entry] if given else given
    if not own:
        return given
    named = {entry.partition("=")[0] for entry in own}
    return own + [entry for entry in given or () if entry.partition("=")[0] not in named]


def _healthcheck(own: Healthcheck | None, given: Healthcheck | None) -> Healthcheck | None:
    if own is None or given is None:
        return own or given
    return Healthcheck(
        test=own.test or given.test,
        interval=own.interval or given.interval,
        timeout=own.timeout or given.timeout,
        start_period=own.start_period or given.start_period,
        start_interval=own.start_interval or given.start_interval,
        retries=own.retries or given.retries,
    )
