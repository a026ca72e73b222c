"""Room in a container for the threads of the runtime, which count there until it has become the process asked for.

`runc exec` moves its process into the groups and goes on in Go, with some threads: where few processes are allowed
(`--pids-limit`), it would die of the limit or not by chance. So the limit is higher while it is at work, and what has
come in by then stays as one too many until it ends: the kernel lets nobody fork meanwhile.
"""

from __future__ import annotations

import os

from runtime.shim.cgroup import read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.shim.cgroup import Cgroups

_THREADS = 16
"""More than Go makes in the runtime's process, on any number of processors: it waits there more than it works."""
_NONE = "max"


class Room:
    """That of one container, for any number of runs of the runtime at a time."""

    def __init__(self, cgroups: Cgroups) -> None:
        self._cgroups = cgroups
        self._runs = 0
        self._limit = -1
        self._raised = -1

    def take(self) -> None:
        """The runtime is about to start one more process."""
        self._runs += 1
        self._set()

    def leave(self) -> None:
        """It has, or has failed."""
        self._runs -= 1
        self._set()

    def updated(self, limit: str) -> None:
        """Somebody has set the group's limits, that of processes to this: a number, "max", or "" for what it was.

        Found there it may be taken for what is written here: the same number, or written over a moment later.
        """
        self._set(limit)

    def _set(self, told: str = "") -> None:
        folder = self._cgroups.folder("pids")
        if folder not in self._cgroups.own:  # others are in there
            return
        path = f"{folder}/pids.max"
        try:
            found = read_file(path).strip()
            wanted = self._raise(told or found, anew=bool(told))
            if found != wanted:
                _write(path, wanted)
        except (OSError, ValueError):  # no limits of processes here, or the group is gone
            pass

    def _raise(self, limit: str, *, anew: bool) -> str:
        """What the limit is to be, by what was found or told (`anew`). Raises ValueError."""
        if limit == _NONE:
            self._raised = -1
            return limit
        number = int(limit)
        if anew or number != self._raised:  # the first time, and when it was updated since
            self._limit = number
        self._raised = self._limit + self._runs * _THREADS
        return str(self._raised)


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)
