"""What a container mounts: from the request to mount points, and the host's directories behind them."""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

import errdefs
from engine.containers.config import ContainerConfig, HostConfig
from engine.containers.container import Container
from runtime.spec import propagation
from volumes import mount_point
from volumes.mount_point import BIND, TMPFS, MountPoint


def resolve(config: ContainerConfig, host: HostConfig, roots: Sequence[str] = ()) -> list[MountPoint]:
    """The mount points of a create request; InvalidArgument in Docker's words.

    Blocks: it looks at the sources. `roots` are the daemon's own directories.
    """
    request = (host.binds, host.mounts, host.tmpfs)
    following = mount_point.resolve(*request, source_exists=os.path.lexists, roots=roots)
    asked = mount_point.resolve(*request, source_exists=os.path.lexists)
    mountinfo = _mountinfo()
    points = [_possible(*pair, mountinfo) for pair in zip(following, asked, strict=True)]
    covered = {point.destination for point in points} | set(host.tmpfs or ())
    points += [mount_point.parse_bind(path) for path in config.volumes or () if path not in covered]
    for point in points:
        if point.type not in (BIND, TMPFS):
            raise errdefs.InvalidArgument(
                f"mount of type {point.type} at {point.destination}: not supported by this version of wherry"
            )
    return points


def _possible(following: MountPoint, asked: MountPoint, mountinfo: str) -> MountPoint:
    """A bind around the daemon's directories follows the host's unmounts where the host tells of them.

    Where it does not (its root is private: no systemd), the bind is as it was asked for, as in Docker.
    """
    if following == asked:
        return asked
    try:
        propagation.check(os.path.realpath(following.source), following.propagation, mountinfo)
    except errdefs.InvalidArgument:
        return asked
    return following


def _mountinfo() -> str:
    return Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")


async def make_sources(container: Container) -> None:
    """Make the directories that `-v` names and that are not there, as Docker does; the others must be there."""
    await asyncio.to_thread(_make_sources, container)


def _make_sources(container: Container) -> None:
    mountinfo = _mountinfo()
    for point in container.mounts:
        if point.type != BIND:
            continue
        if not os.path.lexists(point.source):
            if not point.create_source:
                raise errdefs.InvalidArgument(
                    f'invalid mount config for type "bind": bind source path does not exist: {point.source}'
                )
            _make_source(point.source)
        propagation.check(os.path.realpath(point.source), point.propagation, mountinfo)


def _make_source(path: str) -> None:
    try:
        os.makedirs(path, 0o755, exist_ok=True)
    except OSError as error:
        reason = f"mkdir {error.filename}: {(error.strerror or '').lower()}"
        raise errdefs.InvalidArgument(f"error while creating mount source path '{path}': {reason}") from error
