"""The calls of libc that Python has no function for. Loaded in the zygote, before any shim is forked."""

from __future__ import annotations

import ctypes

_PR_SET_CHILD_SUBREAPER = 36
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_libc = ctypes.CDLL(None, use_errno=True)


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
