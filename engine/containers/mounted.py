"""What a container's run has mounted on the host: its root, its /dev/shm, and parts of volumes and images."""

from contextlib import ExitStack

from engine.containers import shared_memory, sources
from engine.containers.machinery import Machinery
from runtime import mount


def unmount(container_id: str, machinery: Machinery) -> None:
    """Unmount all of it, each whatever befalls the others, in one visit of a thread. Blocks.

    Idempotent; SystemFailure when the host refuses. Volumes are their drivers' to unmount.
    """
    with ExitStack() as steps:  # the last is done first
        steps.callback(sources.unbind, machinery.bound(container_id))
        steps.callback(mount.unmount_all, machinery.rootfs(container_id))
        steps.callback(shared_memory.unmount, machinery.bundle(container_id))
