"""What `runc start` and `runc delete` do, done here: a few system calls each, where their processes take 5 ms.

Only for versions of runc whose sources were read for it, and where nothing else is to be done: see `Order.plain`. (A
start runs no hook in most of these versions, but poststart is about to move there.)
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
_PAUSE = 0.0002  # seconds
DEAD = "container process is already dead"
"""runc's words where a container ended before it was started."""


def is_known(version: bytes) -> bool:
    """Tell whether `runc --version` said a version that keeps its state as this module expects."""
    return version.startswith(tuple(_NAME + known for known in _KNOWN))


class Start:
    """Lets a created container's process go: it waits for somebody to read the fifo, and says "0" there."""

    def __init__(
        self, loop: Loop, directory: str, pid: int, binary: int, ended: Callable[[int, str], None]
    ) -> None:
        """`directory` is the runtime's state of the container, `binary` a descriptor of what its process `pid`
        executes until it executes its program, -1 if unknown.

        `ended` gets 0 and "" when it does, else 1 and the reason. Raises OSError when there is no such fifo.
        """
        self._loop = loop
        self._executable = f"/proc/{pid}/exe"
        self._binary = os.fstat(binary) if binary >= 0 else None
        self._path = f"{directory}/{_FIFO}"
        self._ended = ended
        self._said = False
        self._finished = False
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
        self._finish()

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
        self._await_program()

    def _await_program(self) -> None:
        """runc closes the fifo just before it executes the program: whoever signals now must not meet runc."""
        if self._said and self._binary is not None and self._executes(self._binary):
            self._loop.later(_PAUSE, self._await_program)
        else:
            self._finish()

    def _executes(self, binary: os.stat_result) -> bool:
        try:
            return os.path.samestat(os.stat(self._executable), binary)
        except OSError:  # it has ended
            return False

    def _finish(self) -> None:
        if self._finished:
            return
        self._finished = True
        if not self._said:
            self._ended(1, DEAD)
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
