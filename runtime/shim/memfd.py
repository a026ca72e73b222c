"""A sealed copy of runc in memory. runc 1.1 copies itself at every start unless it already runs from such a
copy.
"""

from __future__ import annotations

import fcntl
import os
import select

from runtime.shim import native
from runtime.shim.epoll import ENVIRONMENT

_F_ADD_SEALS = 1033
_SEALS = 0x1 | 0x2 | 0x4 | 0x8  # SEAL, SHRINK, GROW, WRITE: what runc asks of its own copy, no more
_MFD_EXEC = 0x10  # kernel 6.3; required where vm.memfd_noexec is 1
_PATIENCE = 5000  # ms until a copy has said its version


class Binary:
    """What to execute: `fd` of a sealed copy, or -1 for the runtime's path; `native`: see runtime.shim.native."""

    __slots__ = ("fd", "native")

    def __init__(self, fd: int = -1, *, native: bool = False) -> None:
        self.fd = fd
        self.native = native


class SealedBinaries:
    """Copies by path, remade when the file behind the path is another one."""

    def __init__(self) -> None:
        self._copies: dict[str, tuple[tuple[int, int, int], Binary]] = {}

    def get(self, path: str) -> Binary:
        """Return what to execute instead of `path`, which may be itself.

        Only runc gains by it, and a script cannot be executed from a close-on-exec descriptor.
        """
        if not os.path.basename(path).startswith("runc"):
            return Binary()
        try:
            status = os.stat(path)
        except OSError:
            return Binary()
        identity = (status.st_dev, status.st_ino, status.st_mtime_ns)
        known = self._copies.get(path)
        if known is not None and known[0] == identity:
            return known[1]
        if known is not None and known[1].fd >= 0:
            os.close(known[1].fd)
        copy = _copy(path)
        self._copies[path] = (identity, copy)
        return copy


def _copy(path: str) -> Binary:
    try:
        source = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return Binary()
    copy = -1
    try:
        if os.pread(source, 4, 0) != b"\x7fELF":
            return Binary()
        copy = _create()
        offset = 0
        while sent := os.sendfile(copy, source, offset, 1 << 24):
            offset += sent
        fcntl.fcntl(copy, _F_ADD_SEALS, _SEALS)
        return Binary(copy, native=native.is_known(_try_out(copy)))
    except OSError:  # memory, a security module or vm.memfd_noexec=2 forbids it
        if copy >= 0:
            os.close(copy)
        return Binary()
    finally:
        os.close(source)


def _create() -> int:
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    try:
        return os.memfd_create("runc", flags | _MFD_EXEC)
    except OSError:
        return os.memfd_create("runc", flags)


def _try_out(copy: int) -> bytes:
    """Return the beginning of what its --version says. Raises OSError when it cannot be executed."""
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    read_end, write_end = os.pipe2(os.O_CLOEXEC)
    try:
        actions = [(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate((null, write_end, null))]
        os.posix_spawn(f"/proc/self/fd/{copy}", ["runc", "--version"], ENVIRONMENT, file_actions=actions)
        os.close(write_end)
        write_end = -1
        said = select.poll()
        said.register(read_end, select.POLLIN)
        return os.read(read_end, 4096) if said.poll(_PATIENCE) else b""
    finally:
        for fd in (null, read_end, write_end):
            if fd >= 0:
                os.close(fd)
