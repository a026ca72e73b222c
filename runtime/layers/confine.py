"""What a worker gives up before it looks at an archive that may be hostile."""

import ctypes
import os
import resource
import signal
import sys

from runtime.layers.limits import Limits

_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_CAPABILITY_VERSION_3 = 0x20080522
# What unpacking takes: CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER, FSETID, SYS_ADMIN (for trusted
# xattrs), MKNOD, SETFCAP.
_KEPT = sum(1 << number for number in (0, 1, 2, 3, 4, 21, 27, 31))
_SYS_CHROOT = 1 << 18

_M_MMAP_THRESHOLD = -3
_LARGE = 4 << 20  # bytes that are asked for as mappings of their own

_libc = ctypes.CDLL(None, use_errno=True)


def end_with_parent() -> None:
    """Be killed when the thread that started us ends, the daemon's main thread."""
    _check(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))


def limit(limits: Limits, *, descriptors: int = 64) -> None:
    """Set the resource limits, for good, and be what the kernel kills first when memory runs out."""
    with open("/proc/self/oom_score_adj", "w") as score:
        score.write("500")
    for name, value in (
        (resource.RLIMIT_AS, limits.memory),
        (resource.RLIMIT_CPU, 2 * limits.seconds + 1),
        (resource.RLIMIT_NOFILE, descriptors),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(name, (value, value))
    # Left to itself glibc learns sizes: what one window has freed it then keeps while the next one is mapped.
    if mallopt := getattr(_libc, "mallopt", None):  # glibc's
        mallopt(_M_MMAP_THRESHOLD, _LARGE)


def enter(directory: int, *, nested: bool = False) -> None:
    """Make a directory our root and give up what could lead out of it; the descriptor is closed.

    Afterwards nothing can be imported and nothing of the host can be opened any more. `nested`: a child will enter a
    directory in there.
    """
    os.fchdir(directory)
    os.chroot(".")
    os.chdir("/")
    os.close(directory)
    sys.meta_path.clear()
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    _drop_capabilities(_KEPT | _SYS_CHROOT if nested else _KEPT)


def renounce() -> None:
    """Open no file any more, write to none, and give up all privileges: for who reads and writes what is open."""
    for name in (resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE, resource.RLIMIT_NPROC):
        resource.setrlimit(name, (0, 0))
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    _drop_capabilities(0)


def _drop_capabilities(kept: int) -> None:
    low, high = kept & 0xFFFFFFFF, kept >> 32
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)(low, low, 0, high, high, 0)
    _check(_libc.capset(header, sets))


def _check(result: int) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
