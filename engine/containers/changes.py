"""`docker diff`: what a container changed in its files."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

import errdefs
from engine.containers.container import Container
from runtime.layers import marks
from runtime.layers.changes import Change, changes, own
from runtime.snapshots.snapshotter import Snapshotter

__all__ = ["MOUNT_POINTS", "Change", "changed_files", "own_files"]

_T = TypeVar("_T")
MOUNT_POINTS = marks.PATHS | frozenset(
    {
        "/dev/console",
        "/dev/pts",
        "/dev/shm",
        "/etc/hostname",
        "/etc/hosts",
        "/etc/resolv.conf",
        "/proc",
        "/sys",
    }
)
"""What every root gets, and what the runtime makes in it in order to mount on it: no change of the container's
(Docker's init layer)."""


async def changed_files(container: Container, snapshots: Snapshotter) -> list[Change]:
    """What is otherwise than in the image. SystemFailure when the disk cannot be read."""
    return await _in_thread(changes, container, snapshots)


async def own_files(container: Container, snapshots: Snapshotter) -> list[str]:
    """Paths of what was made in order to start the container, which nobody asked for. Errors as `changed_files`."""
    return await _in_thread(own, container, snapshots)


async def _in_thread(find: Callable[..., _T], container: Container, snapshots: Snapshotter) -> _T:
    try:
        return await asyncio.to_thread(
            find,
            snapshots.upper(container.snapshot),
            snapshots.below(container.snapshot),
            whole=snapshots.whiteouts == "remove",
            mount_points=MOUNT_POINTS,
        )
    except OSError as error:
        raise errdefs.SystemFailure(
            f"cannot read the files of container {container.id}: {error.strerror}"
        ) from error
