"""Compressed streams as bounded chunks: gzip, zstd, bzip2, xz or plain, told apart by their first bytes.

No chunk is larger than `CHUNK` however hard it was packed. Broken input is an InvalidArgument.
"""

import bz2
import io
import lzma
import os
from collections.abc import Callable, Iterator
from typing import Protocol

import zstandard
from isal import igzip_lib

from errdefs import InvalidArgument
from runtime.layers.limits import WINDOW
from runtime.layers.windows import too_large
from runtime.layers.zstd import zstd_complete

CHUNK = 1 << 18
"""Bytes that stay in the processor's cache from one step to the next, and cost no new pages each time."""

_READ = 1 << 18
XZ_BESIDE = 1 << 20  # bytes that xz takes beside its window

# isal's stubs say "an exception" where they mean its class.
_ISAL_ERROR: type[Exception] = igzip_lib.IsalError  # type: ignore[assignment]
_BROKEN = (_ISAL_ERROR, OSError, EOFError, lzma.LZMAError, ValueError)
_MAGICS = (
    (b"\x1f\x8b\x08", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\0", "xz"),
)


class _Decoder(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


def detect(head: bytes) -> str:
    """Name the compression that these first bytes belong to: "gzip", "zstd", "bzip2", "xz", or "" for none."""
    for magic, name in _MAGICS:
        if head.startswith(magic):
            return name
    if head[1:4] == b"\x2a\x4d\x18" and 0x50 <= head[:1][0] <= 0x5F:
        return "zstd"  # a skippable frame comes first, as eStargz-like tools write them
    return ""


def decompress(stream: io.FileIO, compression: str) -> Iterator[bytes]:
    """Yield the stream's bytes, decompressed; members or frames that follow one another are one stream."""
    match compression:
        case "gzip":
            return _members(stream, lambda: igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP))
        case "bzip2":
            return _members(stream, bz2.BZ2Decompressor)
        case "xz":
            return _members(
                stream, lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=WINDOW + XZ_BESIDE)
            )
        case "zstd":
            return _frames(stream)
        case _:
            return _plain(stream)


def _plain(stream: io.FileIO) -> Iterator[bytes]:
    while data := stream.read(CHUNK):
        yield data


def _members(stream: io.FileIO, make: Callable[[], _Decoder]) -> Iterator[bytes]:
    data = stream.read(_READ) or b""
    while data:
        decoder = make()
        head = data
        while not decoder.eof:
            try:
                chunk = decoder.decompress(data, CHUNK)
            except _BROKEN as error:
                raise _refused(error, head) from error
            if chunk:
                yield chunk
            data = b""
            if decoder.needs_input and not decoder.eof:
                data = stream.read(_READ) or b""
                if not data:
                    raise InvalidArgument("the compressed stream is truncated")
        data = decoder.unused_data.lstrip(b"\0") or _after_padding(stream)


def _after_padding(stream: io.FileIO) -> bytes:
    """Pass over zeros, with which some tools fill up after the last member."""
    while data := stream.read(_READ):
        if rest := data.lstrip(b"\0"):
            return rest
    return b""


def _refused(error: Exception, head: bytes) -> InvalidArgument:
    window = too_large(error, detect(head), head)
    return InvalidArgument(window or f"the compressed stream is broken: {error}")


def _frames(stream: io.FileIO) -> Iterator[bytes]:
    start = stream.tell()
    decoder = zstandard.ZstdDecompressor(max_window_size=WINDOW)
    with decoder.stream_reader(stream, read_size=_READ, read_across_frames=True, closefd=False) as reader:
        while True:
            try:
                chunk = reader.read(CHUNK)
            except zstandard.ZstdError as error:
                raise _refused(error, os.pread(stream.fileno(), _READ, start)) from error
            if not chunk:
                break
            yield chunk
    # The reader takes the end of its input for the end of a frame, wherever that is.
    if not zstd_complete(stream.fileno(), start):
        raise InvalidArgument("the compressed stream is truncated")
