"""How much a layer may ask of the host. A NamedTuple: the worker starts faster without dataclasses."""

from typing import NamedTuple


class Limits(NamedTuple):
    """Bounds on one layer; what goes beyond is refused as an InvalidArgument.

    The defaults let through what honest tools make: gzip packs zeros 1032 to 1, and nothing in use has as
    many files or bytes.
    """

    size: int = 1 << 40
    """Bytes of the uncompressed archive, and of any one sparse file it describes."""
    ratio: int = 2000
    """Uncompressed bytes for each compressed one, once `ratio_free` bytes have come out."""
    ratio_free: int = 1 << 30
    """Uncompressed bytes of which no ratio is asked."""
    entries: int = 5_000_000
    """Files, directories, links … in the archive."""
    memory: int = 1 << 30
    """Address space of the worker, in bytes."""
    seconds: int = 3600
    """Time, on the clock and of the processor."""


DEFAULT = Limits()
