"""The calls of libc that Python has no function for. Loaded in the zygote, before any shim is forked."""

from __future__ import annotations

import ctypes
import os

PR_SET_DUMPABLE, PR_SET_KEEPCAPS, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 4, 8, 22, 38
_PR_CAPBSET_READ, _PR_CAPBSET_DROP, _PR_CAP_AMBIENT, _PR_SET_CHILD_SUBREAPER = 23, 24, 47, 36
_AMBIENT_RAISE, _AMBIENT_CLEAR = 2, 4
_CAPABILITIES_3 = 0x20080522  # of linux/capability.h: two words for each set
_MODE_FILTER = 2
_INSTRUCTION = 8  # bytes
_JOIN_SESSION_KEYRING = 1
_SEIZE, _INTERRUPT, _GET_FILTER, _DETACH = 0x4206, 0x4207, 0x420C, 17
_WALL = 0x40000000
KEYCTL = {"x86_64": 250, "aarch64": 219}.get(os.uname().machine)
"""The number of keyctl(2), for which libc has no function; None where it is not known."""
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.restype = _libc.syscall.restype = ctypes.c_long


def become_subreaper() -> None:
    """Have orphaned descendants become children of this process."""
    if _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "PR_SET_CHILD_SUBREAPER")


def trim() -> None:
    """Give freed memory back to the kernel (glibc; elsewhere nothing happens)."""
    malloc_trim = getattr(_libc, "malloc_trim", None)
    if malloc_trim is not None:
        malloc_trim(0)


def return_large(size: int) -> None:
    """Have freed blocks of `size` bytes or more go back to the kernel at once (glibc; elsewhere nothing happens).

    Left to itself glibc learns sizes: after the first large block it keeps those up to 32 MiB.
    """
    mallopt = getattr(_libc, "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, size)
        mallopt(_M_TRIM_THRESHOLD, size)


def share_arenas(most: int) -> None:
    """Have all threads allocate from so many arenas (glibc; elsewhere nothing happens).

    Left to itself glibc makes one for nearly every thread, and each keeps half a megabyte and more.
    """
    mallopt = getattr(_libc, "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, most)


class _Program(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def prctl(option: int, value: int, *rest: int) -> int:
    """Operate on this process. Raises OSError."""
    words = [ctypes.c_ulong(word) for word in (value, *rest, 0, 0, 0)[:4]]
    return _check(int(_libc.prctl(option, *words)), f"prctl {option}")


def setns(fd: int, kinds: int) -> None:
    """Join namespaces: all of the kinds at once if `fd` is a process's. Raises OSError."""
    _check(int(_libc.setns(fd, kinds)), "setns")


def join_keyring(name: bytes) -> None:
    """Have the session keyring of that name, a new one if there is none. Raises OSError, but not without keyrings."""
    try:
        _check(int(_libc.syscall(KEYCTL, _JOIN_SESSION_KEYRING, ctypes.c_char_p(name))), "keyctl")
    except OSError as error:
        if error.errno != 38:  # ENOSYS
            raise


def install(program: bytes) -> None:
    """Have a seccomp filter from now on. Raises OSError."""
    argument = _Program(len(program) // _INSTRUCTION, program)
    address = ctypes.addressof(argument)
    prctl(PR_SET_SECCOMP, _MODE_FILTER, address)


def drop_bounding(kept: int) -> None:
    """Drop all capabilities of the bounding set that are not in the mask. Raises OSError."""
    number = 0
    while number < 64 and _libc.prctl(_PR_CAPBSET_READ, ctypes.c_ulong(number), 0, 0, 0) >= 0:
        if not kept >> number & 1:
            prctl(_PR_CAPBSET_DROP, number)
        number += 1


def set_capabilities(effective: int, permitted: int, inheritable: int) -> None:
    """Have these capabilities. Raises OSError."""
    words = []
    for shift in (0, 32):
        words += [mask >> shift & 0xFFFFFFFF for mask in (effective, permitted, inheritable)]
    header = (ctypes.c_uint32 * 2)(_CAPABILITIES_3, 0)
    _check(int(_libc.capset(header, (ctypes.c_uint32 * 6)(*words))), "capset")


def set_ambient(mask: int) -> None:
    """Have these ambient capabilities; one that cannot be is left out, as runc does. Raises OSError."""
    prctl(_PR_CAP_AMBIENT, _AMBIENT_CLEAR)
    for number in range(64):
        if mask >> number & 1:
            _libc.prctl(_PR_CAP_AMBIENT, ctypes.c_ulong(_AMBIENT_RAISE), ctypes.c_ulong(number), 0, 0)


def first_filter(pid: int) -> bytes:
    """Return the oldest seccomp filter of a process, which is halted for a moment. Raises OSError if there is none."""
    process = ctypes.c_long(pid)
    _check(int(_libc.ptrace(_SEIZE, process, None, None)), "ptrace")
    _check(int(_libc.ptrace(_INTERRUPT, process, None, None)), "ptrace")
    _, status = os.waitpid(pid, _WALL)
    count = _check(int(_libc.ptrace(_GET_FILTER, process, None, None)), "ptrace")
    program = ctypes.create_string_buffer(count * _INSTRUCTION)
    _check(int(_libc.ptrace(_GET_FILTER, process, None, program)), "ptrace")
    pending = 0 if status >> 16 else os.WSTOPSIG(status)  # a signal that was about to be delivered
    _libc.ptrace(_DETACH, process, None, ctypes.c_long(pending))
    return program.raw
