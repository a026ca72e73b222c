"""`docker diff`: what a container changed in its files."""

import asyncio

import errdefs
from engine.containers.container import Container
from runtime.layers.changes import Change, Changes, changes
from runtime.snapshots.snapshotter import Snapshotter

MOUNT_POINTS = frozenset(
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
"""What the runtime makes in a root in order to mount on it: no change of the container's (Docker's init layer)."""

__all__ = ["MOUNT_POINTS", "Change", "Changes", "changed_files"]


async def changed_files(container: Container, snapshots: Snapshotter) -> Changes:
    """What is otherwise than in the image. SystemFailure when the disk cannot be read."""
    whole = snapshots.whiteouts == "remove"
    try:
        return await asyncio.to_thread(
            changes,
            snapshots.upper(container.snapshot),
            snapshots.below(container.snapshot),
            whole=whole,
            mount_points=MOUNT_POINTS,
        )
    except OSError as error:
        raise errdefs.SystemFailure(
            f"cannot read the files of container {container.id}: {error.strerror}"
        ) from error
