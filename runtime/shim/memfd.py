"""A sealed copy of runc in memory. runc 1.1 copies itself at every start unless it already runs from such a
copy.
"""

from __future__ import annotations

import fcntl
import os

from runtime.shim.epoll import ENVIRONMENT

_F_ADD_SEALS = 1033
_SEALS = 0x1 | 0x2 | 0x4 | 0x8  # SEAL, SHRINK, GROW, WRITE: what runc asks of its own copy, no more
_MFD_EXEC = 0x10  # kernel 6.3; required where vm.memfd_noexec is 1


class SealedBinaries:
    """Copies by path, remade when the file behind the path is another one."""

    def __init__(self) -> None:
        self._copies: dict[str, tuple[tuple[int, int, int], int]] = {}

    def get(self, path: str) -> int:
        """Return an fd to execute instead of `path`; -1 when it must be executed by its path.

        Only runc gains by it, and a script cannot be executed from a close-on-exec descriptor.
        """
        if not os.path.basename(path).startswith("runc"):
            return -1
        try:
            status = os.stat(path)
        except OSError:
            return -1
        identity = (status.st_dev, status.st_ino, status.st_mtime_ns)
        known = self._copies.get(path)
        if known is not None and known[0] == identity:
            return known[1]
        if known is not None and known[1] >= 0:
            os.close(known[1])
        copy = _copy(path)
        self._copies[path] = (identity, copy)
        return copy


def _copy(path: str) -> int:
    try:
        source = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1
    copy = -1
    try:
        if os.pread(source, 4, 0) != b"\x7fELF":
            return -1
        copy = _create()
        offset = 0
        while sent := os.sendfile(copy, source, offset, 1 << 24):
            offset += sent
        fcntl.fcntl(copy, _F_ADD_SEALS, _SEALS)
        _try_out(copy)
    except OSError:  # memory, a security module or vm.memfd_noexec=2 forbids it
        if copy >= 0:
            os.close(copy)
        return -1
    finally:
        os.close(source)
    return copy


def _create() -> int:
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    try:
        return os.memfd_create("runc", flags | _MFD_EXEC)
    except OSError:
        return os.memfd_create("runc", flags)


def _try_out(copy: int) -> None:
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    try:
        actions = [(os.POSIX_SPAWN_DUP2, null, number) for number in range(3)]
        os.posix_spawn(f"/proc/self/fd/{copy}", ["runc", "--version"], ENVIRONMENT, file_actions=actions)
    finally:
        os.close(null)
