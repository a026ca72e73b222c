"""Paths inside a container's or a layer's root, resolved so that nothing of it leads out.

A container owns every link below its root and may swap them while we look, so a path is never resolved as
a string: the kernel does it with openat2(2) under RESOLVE_IN_ROOT, or we walk it by O_PATH descriptors, one
name at a time.
"""

import ctypes
import errno
import os
import stat
from collections import deque
from contextlib import ExitStack
from pathlib import Path

from errdefs import InvalidArgument, SystemFailure

_OPENAT2 = 437  # one number on every architecture that runc knows
_RESOLVE_NO_MAGICLINKS = 0x02
_RESOLVE_BENEATH = 0x08
_RESOLVE_IN_ROOT = 0x10
_MAX_LINKS = 40  # the kernel's own limit
_RACES = 128  # EAGAIN: a rename crossed the walk; a hostile container can keep that up for ever

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def open_in_root(root_fd: int, path: str, flags: int, mode: int = 0) -> int:
    """Open `path` as a process chrooted to `root_fd` would; the caller closes the descriptor (O_CLOEXEC).

    Absolute links and `..` stay inside the root, magic links of procfs are refused (ELOOP). `mode` counts
    only with O_CREAT. Raises InvalidArgument for a NUL in the path, else OSError as open(2) would.
    """
    how = _OpenHow(flags | os.O_CLOEXEC, mode, _RESOLVE_IN_ROOT | _RESOLVE_NO_MAGICLINKS)
    return _openat2(root_fd, path, how)


def _openat2(root_fd: int, path: str, how: _OpenHow) -> int:
    name = _encode(path)
    size = ctypes.c_size_t(ctypes.sizeof(how))
    for _ in range(_RACES):
        fd = int(_libc.syscall(ctypes.c_long(_OPENAT2), root_fd, name, ctypes.byref(how), size))
        if fd >= 0:
            return fd
        code = ctypes.get_errno()
        if code not in (errno.EAGAIN, errno.EINTR):
            break
    raise OSError(code, os.strerror(code), path)


def open_beneath(root_fd: int, path: str, flags: int) -> int:
    """Open `path`, which is relative, where neither it nor links in it lead above `root_fd`; the caller closes it.

    Raises InvalidArgument for a NUL in the path, OSError EXDEV for what leads outside (absolute links do), else as
    open(2) would.
    """
    return _openat2(
        root_fd, path, _OpenHow(flags | os.O_CLOEXEC, 0, _RESOLVE_BENEATH | _RESOLVE_NO_MAGICLINKS)
    )


def read_in_root(root: Path, path: str, limit: int = 1 << 20) -> bytes | None:
    """Return a regular file's bytes, None when nothing is there; never hangs on a fifo or a device.

    InvalidArgument when something else is there, on which the runtime may hang that reads it, too, or when the file
    is larger than `limit` bytes; SystemFailure when the host cannot read it.
    """
    root_fd = -1
    with ExitStack() as fds:
        try:
            root_fd = _keep(fds, os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
            found = _keep(fds, open_in_root(root_fd, path, os.O_PATH))
            if not stat.S_ISREG(os.fstat(found).st_mode):
                raise InvalidArgument(f"{path} in the container's root is no regular file")
            # Only now is it opened for real: opening a fifo blocks, opening a device may act.
            readable = _keep(fds, os.open(f"/proc/self/fd/{found}", os.O_RDONLY | os.O_CLOEXEC))
            data = _read(readable, limit + 1)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG):
                if _leads_to_kernel(root_fd, path):
                    raise InvalidArgument(f"{path} in the container's root is no regular file") from None
                return None
            raise SystemFailure(f"cannot read {path} in the container's root: {error.strerror}") from error
    if len(data) > limit:
        raise InvalidArgument(f"{path} in the container's root is larger than {limit} bytes")
    return data


def _leads_to_kernel(root_fd: int, path: str) -> bool:
    """Tell whether links lead to where the runtime mounts what is no file, such as /proc/kmsg, which has no end."""
    for _ in range(_MAX_LINKS):
        try:
            link = open_in_root(root_fd, path, os.O_PATH | os.O_NOFOLLOW)
        except OSError:
            return False
        try:
            target = os.readlink("", dir_fd=link)
        except OSError:
            return False  # no link
        finally:
            os.close(link)
        path = os.path.normpath(os.path.join("/", os.path.dirname(path), target))
        if path.startswith(("/proc/", "/dev/", "/sys/")):
            return path != "/dev/null"
    return False


def make_mountpoint(root: Path | int, path: str, directory: bool) -> None:
    """Make sure that a directory (or a file) stands at `path` inside `root`, to mount on or to work in.

    `root` is a path or a descriptor. Missing directories are made 0755 and a missing file is empty, all owned
    by root; what exists is left as it is. Links are followed inside the root, dangling ones too, as runc does.
    InvalidArgument when something of the other kind is in the way, SystemFailure when the host refuses.
    """
    try:
        with ExitStack() as fds:
            _Walk(fds, root).make(path, directory)
    except OSError as error:
        if error.errno in (errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG):
            raise InvalidArgument(f"cannot create mountpoint {path}: {error.strerror}") from error
        raise SystemFailure(f"cannot create mountpoint {path}: {error.strerror}") from error


class _Walk:
    """A walk below a root by descriptors; each directory passed is held, so `..` never asks the kernel."""

    def __init__(self, fds: ExitStack, root: Path | int) -> None:
        self._fds = fds
        flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
        top = os.open(".", flags, dir_fd=root) if isinstance(root, int) else os.open(root, flags)
        self._stack = [_keep(fds, top)]
        self._links = 0

    def make(self, path: str, directory: bool) -> None:
        _encode(path)
        names = deque(_names(path))
        while names:
            name = names.popleft()
            if name == "..":
                self._stack = self._stack[:-1] or self._stack
                continue
            self._step(name, names, directory or bool(names))
        # The path ended on `..` or on the root itself, where a file cannot stand.
        if not directory and stat.S_ISDIR(os.fstat(self._stack[-1]).st_mode):
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), path)

    def _step(self, name: str, names: deque[str], directory: bool) -> None:
        here = self._stack[-1]
        created = _create(here, name, directory)
        fd = _keep(self._fds, os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here))
        kind = os.fstat(fd).st_mode
        if created:
            os.chmod(f"/proc/self/fd/{fd}", 0o755)  # the umask of whoever started us must not show
        if stat.S_ISLNK(kind):
            self._follow(os.readlink("", dir_fd=fd), names)
        elif directory and not stat.S_ISDIR(kind):
            raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), name)
        else:
            self._stack.append(fd)

    def _follow(self, target: str, names: deque[str]) -> None:
        self._links += 1
        if self._links > _MAX_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), target)
        if target.startswith("/"):
            del self._stack[1:]
        names.extendleft(reversed(_names(target)))


def _create(here: int, name: str, directory: bool) -> bool:
    try:
        if directory:
            os.mkdir(name, 0o755, dir_fd=here)
        else:
            os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o755, dir_fd=here))
    except FileExistsError:
        return False
    except OSError as error:
        # On a read-only filesystem mkdir says EROFS before it says EEXIST.
        if error.errno != errno.EROFS:
            raise
        os.stat(name, dir_fd=here, follow_symlinks=False)
        return False
    return True


def _names(path: str) -> list[str]:
    return [name for name in path.split("/") if name not in ("", ".")]


def _read(fd: int, size: int) -> bytes:
    parts = []
    while size and (part := os.read(fd, size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _encode(path: str) -> bytes:
    if "\0" in path:
        raise InvalidArgument("a path holds a NUL byte")
    return os.fsencode(path)


def _keep(fds: ExitStack, fd: int) -> int:
    fds.callback(os.close, fd)
    return fd
