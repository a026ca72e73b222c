"""Much in little: archives that decompress to far more than anybody has."""

import bz2
import gzip
import lzma
import random
from collections.abc import Callable

import zstandard

from tests.integration.storage.archives import member, raw, tar

PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: gzip.compress(data, 9, mtime=0),
    "zstd": zstandard.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
}
_PIECE = 8 << 20


def header(size: int, name: str = "bomb") -> bytes:
    """The header of a file of so many bytes."""
    return raw(tar([member(name)]), size=b"%011o\0" % size)[:512]


def zeros(kind: str, gigabytes: int, before: bytes = b"") -> bytes:
    """So many bytes of zeros, packed; `before` comes first."""
    pack = PACK[kind]
    return pack(before) + pack(bytes(_PIECE)) * (gigabytes << 7)


def bomb(kind: str, gigabytes: int) -> bytes:
    """A layer with one file of so many zeros."""
    return zeros(kind, gigabytes, header(min(gigabytes << 30, 8**11 - 1)))


def zstd_frame(data: bytes, window_log: int) -> bytes:
    """Data in a frame that asks for a window of 2**window_log bytes."""
    parameters = zstandard.ZstdCompressionParameters.from_level(1, window_log=window_log, enable_ldm=True)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    return packer.compress(data) + packer.flush()


def xz_stream(data: bytes, dictionary: int) -> bytes:
    """Data in a stream that asks for a dictionary of so many bytes."""
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": dictionary}]
    return lzma.compress(data, filters=filters)


def noise(size: int) -> bytes:
    """Bytes that do not pack, the same each time."""
    return random.Random(5).randbytes(size)
