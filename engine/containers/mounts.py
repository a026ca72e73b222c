"""What a container mounts: from the request to mount points, and the host's directories behind them."""

import asyncio
import os

import errdefs
from engine.containers.config import ContainerConfig, HostConfig
from engine.containers.container import Container
from volumes import mount_point
from volumes.mount_point import BIND, TMPFS, MountPoint


def resolve(config: ContainerConfig, host: HostConfig) -> list[MountPoint]:
    """The mount points of a create request; InvalidArgument in Docker's words. Blocks: it looks at the sources."""
    points = mount_point.resolve(host.binds, host.mounts, host.tmpfs, source_exists=os.path.lexists)
    covered = {point.destination for point in points} | set(host.tmpfs or ())
    points += [mount_point.parse_bind(path) for path in config.volumes or () if path not in covered]
    for point in points:
        if point.type not in (BIND, TMPFS):
            raise errdefs.InvalidArgument(
                f"mount of type {point.type} at {point.destination}: not supported by this version of wherry"
            )
    return points


async def make_sources(container: Container) -> None:
    """Make the directories that `-v` names and that are not there, as Docker does; the others must be there."""
    await asyncio.to_thread(_make_sources, container)


def _make_sources(container: Container) -> None:
    for point in container.mounts:
        if point.type == BIND and not os.path.lexists(point.source):
            if not point.create_source:
                raise errdefs.InvalidArgument(
                    f'invalid mount config for type "bind": bind source path does not exist: {point.source}'
                )
            _make_source(point.source)


def _make_source(path: str) -> None:
    try:
        os.makedirs(path, 0o755, exist_ok=True)
    except OSError as error:
        reason = f"mkdir {error.filename}: {(error.strerror or '').lower()}"
        raise errdefs.InvalidArgument(f"error while creating mount source path '{path}': {reason}") from error
