"""The seccomp filter that the runtime gave a container: taken from its init, so that it is the same to the last bit."""

from __future__ import annotations

import os

from runtime.shim import libc
from runtime.shim.epoll import READ, Loop

_CHUNK = 1 << 16


class Filter:
    """Looks at a process's filter in a process of its own: should that hang or die, the other goes on."""

    def __init__(self, loop: Loop, pid: int) -> None:
        """`pid`: an init that has been created and is not started yet, so that no program notices. Raises OSError."""
        self.program = b""  # until all of it is there, and where there is none
        self._parts = b""
        self._loop = loop
        self._fd, writer = os.pipe2(os.O_CLOEXEC)
        child = os.fork()
        if child == 0:
            _tell(pid, writer)
        os.close(writer)
        os.set_blocking(self._fd, False)
        loop.own(child, _unconcerned)
        loop.watch(self._fd, READ, self._readable)

    def _readable(self, fd: int, _events: int) -> None:
        data = os.read(fd, _CHUNK)
        self._parts += data
        if not data:
            self.program = self._parts
            self._loop.forget(fd)
            os.close(fd)


def _tell(pid: int, writer: int) -> None:
    try:
        if _is_free():
            os.write(writer, libc.first_filter(pid))
    except OSError:  # it has none, it has ended, or the kernel does not tell
        pass
    finally:
        os._exit(0)


def _is_free() -> bool:
    """Whether this process has no filter itself: a container would have got that first."""
    fd = os.open("/proc/self/status", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return b"\nSeccomp:\t0\n" in os.read(fd, 4096)
    finally:
        os.close(fd)


def _unconcerned(_code: int) -> None:
    """How it ended is seen by what it told."""
