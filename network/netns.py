"""Network namespaces, held as file descriptors; work in them is done by threads that end afterwards.

A thread that has entered a foreign namespace is never used again: nothing can be made in the wrong one by accident.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

_CLONE_NEWNET: Final = 0x40000000
_libc: Final = ctypes.CDLL(None, use_errno=True)


def create(work: Callable[[], None]) -> int:
    """A new namespace as a close-on-exec fd; `work` has been done inside. Blocks for about half a millisecond."""

    def make() -> int:
        _check(_libc.unshare(_CLONE_NEWNET), "unshare a network namespace")
        fd = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            work()
        except BaseException:
            os.close(fd)
            raise
        return fd

    return in_a_thread(make)


def open_of(pid: int) -> int:
    """The namespace of a process as a close-on-exec fd. Raises ProcessLookupError or FileNotFoundError."""
    return os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def inside(fd: int, work: Callable[[], T]) -> T:
    """What `work` returns when done in the namespace `fd`. Sockets that it makes stay in that namespace. Blocks."""

    def enter() -> T:
        _check(_libc.setns(fd, _CLONE_NEWNET), "enter a network namespace")
        return work()

    return in_a_thread(enter)


def _check(result: int, what: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"cannot {what}: {os.strerror(code)}")


def in_a_thread(work: Callable[[], T]) -> T:
    """What `work` returns, or raises, in a thread that ends with it. Blocks."""
    results: list[T] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001 - handed to the caller's thread
            failures.append(error)

    thread = threading.Thread(target=run, name="netns")
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
    return results[0]
