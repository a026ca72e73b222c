"""`docker diff`: what a container changed in its files."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import errdefs
from engine.containers.container import Container
from runtime.layers import marks
from runtime.layers.changes import Change, changes, own
from runtime.snapshots.snapshotter import Snapshotter

__all__ = ["MOUNT_POINTS", "Change", "changed_files", "own_directory", "own_files"]

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
    """What is otherwise than in the image.

    SystemFailure when the disk cannot be read, NotFound if the container has been removed meanwhile.
    """
    return await _in_thread(changes, container, snapshots)


async def own_files(container: Container, snapshots: Snapshotter) -> list[str]:
    """Paths of what was made in order to start the container, which nobody asked for. Errors as `changed_files`."""
    return await _in_thread(own, container, snapshots)


def own_directory(container: Container, snapshots: Snapshotter) -> Path:
    """Where all is that the container changed. NotFound if it has been removed meanwhile."""
    try:
        return snapshots.upper(container.snapshot)
    except errdefs.NotFound as error:
        raise errdefs.NotFound(f"No such container: {container.id}: its files have been removed") from error


async def _in_thread(find: Callable[..., _T], container: Container, snapshots: Snapshotter) -> _T:
    upper = own_directory(container, snapshots)
    try:
        found = await asyncio.to_thread(
            find,
            upper,
            snapshots.below(container.snapshot),
            whole=snapshots.whiteouts == "remove",
            mount_points=MOUNT_POINTS,
        )
    except OSError as error:
        own_directory(container, snapshots)
        raise errdefs.SystemFailure(
            f"cannot read the files of container {container.id}: {error.strerror}"
        ) from error
    own_directory(container, snapshots)  # what was removed meanwhile has not been seen
    return found
