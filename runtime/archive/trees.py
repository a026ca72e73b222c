"""Mount trees by descriptors: cloned, changed and attached without a path that somebody could swap.

linux/mount.h; open_tree(2), move_mount(2), mount_setattr(2). All of it raises OSError.
"""

import ctypes
import errno
import os

from runtime import mount_calls

_HARD = mount_calls.NO_SUID | mount_calls.NO_DEVICES | mount_calls.NO_EXECUTION
_MS_REMOUNT, _MS_BIND, _MS_REC, _MS_SLAVE = 32, 4096, 16384, 1 << 19
_MNT_DETACH = 2
_CLONE_NEWNS = 0x00020000
_STATX_SIZE, _ATTRIBUTES, _ATTRIBUTES_MASK, _MOUNT_ROOT = 256, 8, 56, 0x2000

_libc = ctypes.CDLL(None, use_errno=True)


def clone(fd: int, *, recursive: bool = True) -> int:
    """A copy of the mounts at a descriptor: attached nowhere, it goes with its own descriptor."""
    return mount_calls.clone(
        fd, flags=mount_calls.AT_EMPTY_PATH | (mount_calls.AT_RECURSIVE if recursive else 0)
    )


def attach(tree: int, target: int, *, read_only: bool = False) -> None:
    """Attach a clone at a descriptor, hardened."""
    hardened = _harden(tree, read_only=read_only)
    mount_calls.move(tree, target, "", mount_calls.TO_EMPTY_PATH)
    if not hardened:
        _harden_uppermost(tree, read_only=read_only)


def harden(root: int) -> None:
    """Make sure that nothing spreads from a mount, that no device in it opens and that nothing in it executes."""
    if not _harden(root, read_only=False):
        _harden_uppermost(root, read_only=False)


def _harden(tree: int, *, read_only: bool) -> bool:
    """All mounts of a tree; False where the kernel cannot (before 5.12)."""
    attributes = _flags(read_only=read_only)
    try:
        mount_calls.change(tree, attributes, flags=mount_calls.AT_RECURSIVE, propagation=mount_calls.PRIVATE)
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise
        return False
    return True


def _harden_uppermost(root: int, *, read_only: bool) -> None:
    """By mount(2), which changes the uppermost of a tree's mounts alone."""
    here = f"/proc/self/fd/{root}"
    _mount(here, _MS_REC | mount_calls.PRIVATE)
    _mount(here, _MS_REMOUNT | _MS_BIND | _flags(read_only=read_only))


def _flags(*, read_only: bool) -> int:
    return _HARD | (mount_calls.READ_ONLY if read_only else 0)


def is_mounted(fd: int) -> bool:
    """Whether a descriptor's file is the root of a mount; also where the kernel does not tell (before 5.8)."""
    found = ctypes.create_string_buffer(_STATX_SIZE)
    _check(_libc.statx(fd, b"", mount_calls.AT_EMPTY_PATH, 0, found))
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


def _check(result: int) -> None:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
