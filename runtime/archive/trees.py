"""Mount trees by descriptors: cloned, changed and attached without a path that somebody could swap.

linux/mount.h; open_tree(2), move_mount(2), mount_setattr(2). All of it raises OSError.
"""

import ctypes
import errno
import os

_AT_EMPTY_PATH, _AT_RECURSIVE = 0x1000, 0x8000
_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442  # one number on every architecture that runc knows
_CLONE = 1
_FROM_EMPTY_PATH, _TO_EMPTY_PATH = 4, 64
_RDONLY, _NOSUID, _NODEV, _NOEXEC = 1, 2, 4, 8  # the same values as MS_*
_MS_REMOUNT, _MS_BIND, _MS_REC = 32, 4096, 16384
_MS_PRIVATE, _MS_SLAVE = 1 << 18, 1 << 19
_MNT_DETACH = 2
_CLONE_NEWNS = 0x00020000
_STATX_SIZE, _ATTRIBUTES, _ATTRIBUTES_MASK, _MOUNT_ROOT = 256, 8, 56, 0x2000

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


class _Attributes(ctypes.Structure):
    _fields_ = (
        ("set", ctypes.c_uint64),
        ("clear", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns", ctypes.c_uint64),
    )


def clone(fd: int, *, recursive: bool = True) -> int:
    """A copy of the mounts at a descriptor: attached nowhere, it goes with its own descriptor."""
    flags = _CLONE | os.O_CLOEXEC | _AT_EMPTY_PATH | (_AT_RECURSIVE if recursive else 0)
    return _syscall(_OPEN_TREE, fd, b"", flags)


def attach(tree: int, target: int, *, read_only: bool = False) -> None:
    """Attach a clone at a descriptor, hardened."""
    hardened = _harden(tree, read_only=read_only)
    _syscall(_MOVE_MOUNT, tree, b"", target, b"", _FROM_EMPTY_PATH | _TO_EMPTY_PATH)
    if not hardened:
        _harden_uppermost(tree, read_only=read_only)


def harden(root: int) -> None:
    """Make sure that nothing spreads from a mount, that no device in it opens and that nothing in it executes."""
    if not _harden(root, read_only=False):
        _harden_uppermost(root, read_only=False)


def _harden(tree: int, *, read_only: bool) -> bool:
    """All mounts of a tree; False where the kernel cannot (before 5.12)."""
    wanted = _Attributes(_flags(read_only=read_only), 0, _MS_PRIVATE, 0)
    where = _AT_EMPTY_PATH | _AT_RECURSIVE
    try:
        _syscall(_MOUNT_SETATTR, tree, b"", where, ctypes.addressof(wanted), ctypes.sizeof(wanted))
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise
        return False
    return True


def _harden_uppermost(root: int, *, read_only: bool) -> None:
    """By mount(2), which changes the uppermost of a tree's mounts alone."""
    here = f"/proc/self/fd/{root}"
    _mount(here, _MS_REC | _MS_PRIVATE)
    _mount(here, _MS_REMOUNT | _MS_BIND | _flags(read_only=read_only))


def _flags(*, read_only: bool) -> int:
    return _NOSUID | _NODEV | _NOEXEC | (_RDONLY if read_only else 0)


def is_mounted(fd: int) -> bool:
    """Whether a descriptor's file is the root of a mount; also where the kernel does not tell (before 5.8)."""
    found = ctypes.create_string_buffer(_STATX_SIZE)
    _check(_libc.statx(fd, b"", _AT_EMPTY_PATH, 0, found))
    attributes, known = (
        int.from_bytes(found.raw[at : at + 8], "little") for at in (_ATTRIBUTES, _ATTRIBUTES_MASK)
    )
    return not known & _MOUNT_ROOT or bool(attributes & _MOUNT_ROOT)


def leave_namespace() -> None:
    """Have a mount namespace of our own, which goes with us; what the host mounts and unmounts still comes."""
    _check(_libc.unshare(_CLONE_NEWNS))
    _mount("/", _MS_REC | _MS_SLAVE)


def join(namespace: int) -> None:
    """Go to a mount namespace, and to its root."""
    _check(_libc.setns(namespace, _CLONE_NEWNS))


def pivot(root: int) -> None:
    """Make a mount the root of our namespace, and leave nothing else in it."""
    os.fchdir(root)
    _check(_libc.pivot_root(b".", b"."))
    _check(_libc.umount2(b".", _MNT_DETACH))
    os.chdir("/")


def _mount(target: str, flags: int) -> None:
    _check(_libc.mount(b"none", os.fsencode(target), None, ctypes.c_ulong(flags), None))


def _syscall(number: int, *arguments: int | bytes) -> int:
    wide = [ctypes.c_long(value) if isinstance(value, int) else ctypes.c_char_p(value) for value in arguments]
    result = int(_libc.syscall(ctypes.c_long(number), *wide))
    _check(result)
    return result


def _check(result: int) -> None:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
