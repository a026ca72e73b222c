"""Ending all that a process has started: it may have children that do not end with it."""

from __future__ import annotations

import os
import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_ROUNDS = 20
_CHUNK = 1 << 12


def kill_session(leader: int, processes: Callable[[], list[int]]) -> None:
    """Kill a child that leads a session, and those of the processes that are in it or descend from it.

    `processes` is asked anew in each round, until none is left: what is killed may be forking.
    """
    for _ in range(_ROUNDS):
        found = _of(leader, processes())
        for pid in found:
            _kill(pid, leader, found)
        if not found - {leader}:
            return


def _of(leader: int, processes: list[int]) -> set[int]:
    parents: dict[int, int] = {}
    found = {leader} if _look(leader)[0] not in (b"", b"Z") else set()
    for pid in processes:
        state, parent, session = _look(pid)
        if state and state != b"Z":
            parents[pid] = parent
            if session == leader:
                found.add(pid)
    while more := {pid for pid, parent in parents.items() if parent in found and pid not in found}:
        found |= more
    return found


def _look(pid: int) -> tuple[bytes, int, int]:
    """Return its state, parent and session; of one that is gone nothing."""
    try:
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b"", 0, 0
    try:
        fields = os.read(fd, _CHUNK).rpartition(b")")[2].split()
        return fields[0], int(fields[1]), int(fields[3])
    except OSError:
        return b"", 0, 0
    finally:
        os.close(fd)


def _kill(pid: int, leader: int, found: set[int]) -> None:
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:  # it is gone
        return
    try:
        _, parent, session = _look(pid)  # still the one that was found, and no other under its number
        if pid == leader or session == leader or parent in found:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    except ProcessLookupError:
        pass
    finally:
        os.close(pidfd)
