"""How much an archive may ask of the host, in one place: what honest tools make passes, with room to spare.

A NamedTuple: workers start faster without dataclasses.
"""

from typing import NamedTuple

WINDOW = 32 << 20
"""Bytes of history that zstd and xz may ask for, which the worker must hold: with them it stays under 60 MB.

What tools for images write asks for no more (BuildKit's best zstd does, and `xz -8`); `xz -9` asks for 64 MiB,
`zstd --ultra -22` for 128.
"""


class Limits(NamedTuple):
    """Bounds on one archive; what goes beyond is refused as an InvalidArgument."""

    size: int = 1 << 40
    """Bytes of the uncompressed archive, and of any one sparse file it describes: no layer in use has a tenth."""
    ratio: int = 200
    """Uncompressed bytes for each compressed one, once `ratio_free` bytes have come out.

    Programs and text pack 2 to 10 to 1, a disk image that is nearly empty about 100 to 1.
    """
    ratio_free: int = 8 << 30
    """Uncompressed bytes of which no ratio is asked: zeros pack 1032 to 1 by gzip and 30,000 to 1 by zstd."""
    entries: int = 5_000_000
    """Files, directories, links … in the archive: a machine's whole disk has about a million."""
    memory: int = 1 << 30
    """Address space of the worker, in bytes; what it really uses is a small part of it."""
    seconds: int = 3600
    """Time on the clock: a terabyte of it at a slow disk's speed would take longer.

    A worker's two threads may take that of a processor each, and a second more: it is the clock that tells.
    """


DEFAULT = Limits()
