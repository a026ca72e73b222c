"""The kernel's calls for mounts by descriptors (linux/mount.h), and how to make those that libc has no function for.

All of it blocks, and raises OSError. Confined workers load it, too: it imports next to nothing.
"""

import ctypes
import os

AT_EMPTY_PATH, AT_RECURSIVE = 0x1000, 0x8000
READ_ONLY, NO_SUID, NO_DEVICES, NO_EXECUTION = 1, 2, 4, 8
"""MOUNT_ATTR_*; MS_* have the same values."""
SHIFTED = 0x00100000
"""MOUNT_ATTR_IDMAP."""
PRIVATE = 1 << 18
"""MS_PRIVATE."""
FROM_EMPTY_PATH, TO_EMPTY_PATH = 4, 64
"""MOVE_MOUNT_F_EMPTY_PATH and MOVE_MOUNT_T_EMPTY_PATH."""
HERE = -100
"""AT_FDCWD, for paths that start at the root."""
_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442  # one number on every architecture that runc knows
_CLONE = 1

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


class _Attributes(ctypes.Structure):
    """struct mount_attr."""

    _fields_ = (
        ("set", ctypes.c_uint64),
        ("clear", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns", ctypes.c_uint64),
    )


def call(number: int, *arguments: int | bytes | None) -> int:
    """Make a system call by its number."""
    wide = [ctypes.c_long(value) if isinstance(value, int) else ctypes.c_char_p(value) for value in arguments]
    result = int(_libc.syscall(ctypes.c_long(number), *wide))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def clone(directory: int, path: str = "", flags: int = 0) -> int:
    """A copy of the mount at a path: attached nowhere, it goes with the descriptor that is returned.

    `flags`: AT_EMPTY_PATH for the directory itself, AT_RECURSIVE for the mounts below as well.
    """
    return call(_OPEN_TREE, directory, os.fsencode(path), _CLONE | os.O_CLOEXEC | flags)


def move(tree: int, directory: int, path: str, flags: int) -> None:
    """Attach what a descriptor of a detached mount (fsmount(2), `clone`) holds."""
    call(_MOVE_MOUNT, tree, b"", directory, os.fsencode(path), FROM_EMPTY_PATH | flags)


def change(tree: int, attributes: int, *, flags: int = 0, propagation: int = 0, userns: int = 0) -> None:
    """Set attributes of the mount at a descriptor; with AT_RECURSIVE of all those below it, too (Linux 5.12)."""
    wanted = _Attributes(attributes, 0, propagation, userns)
    size = ctypes.sizeof(wanted)
    call(_MOUNT_SETATTR, tree, b"", AT_EMPTY_PATH | flags, ctypes.addressof(wanted), size)
