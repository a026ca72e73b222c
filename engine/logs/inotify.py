"""Waking up when something changes in a directory: one inotify descriptor for all who wait."""

import asyncio
import ctypes
import errno
import os
import struct
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

_IN_MODIFY = 0x002
_IN_MOVED_TO = 0x080
_IN_CREATE = 0x100
_IN_Q_OVERFLOW = 0x4000
_IN_ONLYDIR = 0x01000000
_MASK = _IN_MODIFY | _IN_MOVED_TO | _IN_CREATE | _IN_ONLYDIR
_HEADER = struct.Struct("iIII")  # watch, mask, cookie, length of the name
_BUFFER = 64 * 1024

_libc = ctypes.CDLL(None, use_errno=True)


class News(asyncio.Event):
    """What one who waits is woken by. `renamed` tells that more than content changed: names of files may have.

    With `names_only` content alone wakes nobody.
    """

    def __init__(self, *, names_only: bool = False) -> None:
        super().__init__()
        self.renamed = False
        self.names_only = names_only

    def take(self) -> bool:
        """Wait for what comes from now on. Returns whether names may have changed until now."""
        renamed, self.renamed = self.renamed, False
        self.clear()
        return renamed


class Inotify:
    """The watches of one event loop. The descriptor exists while somebody waits: a user has 128 of them."""

    def __init__(self) -> None:
        self._fd = -1
        self._waiting: dict[int, set[News]] = {}

    def add(self, directory: str, news: News) -> int:
        """Set `news` whenever a file in the directory changes or appears. OSError if it cannot be watched."""
        if self._fd < 0:
            self._fd = _check(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
            asyncio.get_running_loop().add_reader(self._fd, self._drain)
        try:
            watch = _check(_libc.inotify_add_watch(self._fd, os.fsencode(directory), ctypes.c_uint32(_MASK)))
        except OSError:
            self._close_if_idle()
            raise
        self._waiting.setdefault(watch, set()).add(news)
        return watch

    def remove(self, watch: int, news: News) -> None:
        """Wait no more."""
        waiting = self._waiting.get(watch, set())
        waiting.discard(news)
        if not waiting and self._waiting.pop(watch, None) is not None:
            _libc.inotify_rm_watch(self._fd, watch)  # fails if the directory is gone: then so is the watch
        self._close_if_idle()

    def _close_if_idle(self) -> None:
        if not self._waiting and self._fd >= 0:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _drain(self) -> None:
        try:
            events = os.read(self._fd, _BUFFER)
        except BlockingIOError:
            return
        position = 0
        while position < len(events):
            watch, mask, _, length = _HEADER.unpack_from(events, position)
            position += _HEADER.size + length
            if mask & _IN_Q_OVERFLOW:
                for waiting in self._waiting.values():
                    _tell(waiting, mask)
            else:
                _tell(self._waiting.get(watch, ()), mask)


def _tell(waiting: Iterable[News], mask: int) -> None:
    for news in waiting:
        news.renamed = news.renamed or mask != _IN_MODIFY
        if news.renamed or not news.names_only:
            news.set()


_by_loop: "weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Inotify]" = weakref.WeakKeyDictionary()


@contextmanager
def watching(directory: str, news: News) -> Iterator[bool]:
    """While entered, `news` is set whenever a file in the directory changes; False if the kernel refuses that."""
    inotify = _by_loop.setdefault(asyncio.get_running_loop(), Inotify())
    try:
        watch = inotify.add(directory, news)
    except OSError:
        yield False
        return
    try:
        yield True
    finally:
        inotify.remove(watch, news)


def _check(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number) if number else errno.errorcode[errno.EINVAL])
    return result
