"""Moves of processes into control groups, made quick by saying in time that one is near.

Each of a runtime's `create` and `exec` moves a process, and the kernel's first move after a pause waits for an RCU
grace period (8 to 16 ms at 250 Hz) with nobody using the CPU. Moves that follow within about as long do not wait.
"""

import logging
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from runtime.cgroups.hierarchy import UNIFIED, MountPoint, mount_points, parse_membership

_log = logging.getLogger(__name__)


class Moves:
    """Takes the kernel's wait in a thread of its own, while a container's network and runtime are under way."""

    def __init__(self) -> None:
        self._place = _any_hierarchy()
        self._thread = ThreadPoolExecutor(1, "cgroup-moves")
        self._waiting = threading.Lock()

    def expect(self) -> None:
        """Say that a process is about to be moved. Returns at once; what goes wrong costs speed alone."""
        if self._place is not None and self._waiting.acquire(blocking=False):
            self._thread.submit(self._move_nowhere, *self._place)

    def close(self) -> None:
        """End the thread, once its wait is over. Nothing is to be expected any more."""
        self._place = None
        self._thread.shutdown()

    def _move_nowhere(self, controller: str, mount: MountPoint) -> None:
        """Move this process into the group that it is in: all the locks, and no change."""
        try:
            move_nowhere(controller, mount)
        except OSError as error:
            _log.debug("cannot prepare the kernel for a move between control groups: %s", error)
        finally:
            self._waiting.release()


def move_nowhere(controller: str, mount: MountPoint) -> None:
    """Write this process into the group that it is in, of the hierarchy of `controller`. Raises OSError.

    The group is asked for each time: somebody may have moved the daemon.
    """
    groups = parse_membership(Path("/proc/self/cgroup").read_text("utf-8", "surrogateescape"))
    directory = mount.directory(groups[controller]) if controller in groups else None
    if directory is None:
        raise FileNotFoundError("the group is outside of what is mounted here")
    fd = os.open(directory / "cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, b"0")
    finally:
        os.close(fd)


def _any_hierarchy() -> tuple[str, MountPoint] | None:
    """The kernel has one lock for all: that of v2 where it is mounted, which hybrid hosts hardly use."""
    mounts = mount_points()
    name = UNIFIED if UNIFIED in mounts else next(iter(mounts), None)
    return None if name is None else (name, mounts[name])
