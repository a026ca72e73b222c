"""Much in little: archives that decompress to far more than anybody has."""

import bz2
import gzip
import lzma
import random
import zlib
from collections.abc import Callable, Sequence

import zstandard

from tests.integration.storage.archives import member, raw, tar

PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: gzip.compress(data, 9, mtime=0),
    "zstd": zstandard.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
}
FILTERS = [{"id": lzma.FILTER_X86}, {"id": lzma.FILTER_DELTA, "dist": 256}]
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


def zstd_frame(data: bytes, window_log: int, eighths: int = 0) -> bytes:
    """Data in a frame that asks for a window of 2**window_log bytes, and so many eighths more."""
    parameters = zstandard.ZstdCompressionParameters.from_level(1, window_log=window_log, enable_ldm=True)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    frame = packer.compress(data) + packer.flush()
    return frame[:5] + bytes([(window_log - 10) << 3 | eighths]) + frame[6:] if eighths else frame


def xz_stream(data: bytes, dictionary: int, before: Sequence[dict[str, int]] = ()) -> bytes:
    """Data in a stream that asks for a dictionary of so many bytes, behind other filters."""
    filters = [*before, {"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": dictionary}]
    return lzma.compress(data, filters=filters)


def xz_blocks(blocks: Sequence[tuple[bytes, int]]) -> bytes:
    """One stream of several blocks, each with a dictionary of its own size."""
    streams = [xz_stream(data, dictionary) for data, dictionary in blocks]
    body, records = b"", b""
    for stream in streams:
        # Header and footer have 12 bytes each, the footer tells the size of the index before it.
        index = len(stream) - 12 - (int.from_bytes(stream[-8:-4], "little") + 1) * 4
        body += stream[12:index]
        records += stream[index + 2 :][: _record_size(stream[index + 2 :])]
    index_body = bytes([0, len(blocks)]) + records
    index_body += bytes(-len(index_body) % 4)
    index_body += zlib.crc32(index_body).to_bytes(4, "little")
    footer = (len(index_body) // 4 - 1).to_bytes(4, "little") + streams[0][6:8]
    return streams[0][:12] + body + index_body + zlib.crc32(footer).to_bytes(4, "little") + footer + b"YZ"


def _record_size(data: bytes) -> int:
    """Bytes of a record of the index, which is two numbers of seven bits a byte."""
    ends = [at for at, byte in enumerate(data[:20]) if byte < 0x80]
    return ends[1] + 1


def noise(size: int) -> bytes:
    """Bytes that do not pack, the same each time."""
    return random.Random(5).randbytes(size)
