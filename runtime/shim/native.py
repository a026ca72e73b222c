"""What `runc start` and `runc delete` do, done here: a few system calls each, where their processes take 5 ms.

Only for versions of runc whose sources were read for it. A start is the same for all containers: runc runs the hooks
in `create`. A delete is done here only where nothing else is to be done: see `Order.plain`.
"""

from __future__ import annotations

import os
import stat

from runtime.shim.epoll import READ, Loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_KNOWN = (b"1.1.", b"1.2.", b"1.3.", b"1.4.", b"1.5.")
_NAME = b"runc version "
_FIFO = "exec.fifo"
_FILES = (_FIFO, "state.json")
_DEAD = "container process is already dead"  # runc's words


def is_known(version: bytes) -> bool:
    """Tell whether `runc --version` said a version that keeps its state as this module expects."""
    return version.startswith(tuple(_NAME + known for known in _KNOWN))


class Start:
    """Lets a created container's process go: it waits for somebody to read the fifo, and says "0" there."""

    def __init__(self, loop: Loop, directory: str, ended: Callable[[int, str], None]) -> None:
        """`directory` is the runtime's state of the container.

        `ended` gets 0 and "" when the process has executed its program, else 1 and the reason. Raises OSError when
        there is no such fifo.
        """
        self._loop = loop
        self._path = f"{directory}/{_FIFO}"
        self._ended = ended
        self._said = False
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW
        self._fd = os.open(self._path, flags)
        if not stat.S_ISFIFO(os.fstat(self._fd).st_mode):
            os.close(self._fd)
            raise OSError("not a fifo")
        loop.watch(self._fd, READ, self._readable)

    def settle(self) -> None:
        """The process has ended: whether it was started before is known by what it said."""
        while self._fd >= 0:
            self._read(ended=True)

    def _readable(self, _fd: int, _events: int) -> None:
        self._read(ended=False)

    def _read(self, *, ended: bool) -> None:
        try:
            chunk = os.read(self._fd, 16)
        except BlockingIOError:  # it holds the other end until it executes its program
            if not ended:
                return
            chunk = b""
        if chunk:
            self._said = True
            return
        self._loop.forget(self._fd)
        os.close(self._fd)
        self._fd = -1
        if not self._said:
            self._ended(1, _DEAD)
            return
        try:
            os.unlink(self._path)
        except OSError:  # the directory was removed
            pass
        self._ended(0, "")


def forget(directory: str) -> bool:
    """Remove the runtime's state of a container that has ended. False when there is more of it than is known."""
    try:
        for name in _FILES:
            try:
                os.unlink(f"{directory}/{name}")
            except FileNotFoundError:
                continue
        os.rmdir(directory)
    except OSError:
        return False
    return True
