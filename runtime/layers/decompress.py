"""Compressed streams as bounded chunks: gzip, zstd, bzip2, xz or plain, told apart by their first bytes.

No chunk is larger than `CHUNK` however hard it was packed. Broken input is an InvalidArgument.

What unpacks a stream is loaded when one is opened: most are gzip's, and a worker starts for each.
"""

import io
from collections.abc import Callable, Iterator
from typing import Protocol

from errdefs import InvalidArgument
from runtime.layers.limits import WINDOW

CHUNK = 1 << 18
"""Bytes that stay in the processor's cache from one step to the next, and cost no new pages each time."""

READ = 1 << 18
"""Bytes that are read of what is compressed."""
XZ_BESIDE = 1 << 20  # bytes that xz takes beside its window

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
    """Yield the stream's bytes, decompressed; members or frames that follow one another are one stream.

    Nothing is imported any more once it has returned.
    """
    match compression:
        case "gzip":
            return _gzip(stream)
        case "bzip2":
            return _bzip2(stream)
        case "xz":
            return _xz(stream)
        case "zstd":
            from runtime.layers.frames import frames

            return frames(stream)
        case _:
            return _plain(stream)


def _plain(stream: io.FileIO) -> Iterator[bytes]:
    while data := stream.read(CHUNK):
        yield data


def _gzip(stream: io.FileIO) -> Iterator[bytes]:
    from isal import igzip_lib

    # isal's stubs say "an exception" where they mean its class.
    error: type[Exception] = igzip_lib.IsalError  # type: ignore[assignment]
    return _members(stream, lambda: igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP), error)


def _bzip2(stream: io.FileIO) -> Iterator[bytes]:
    import bz2

    return _members(stream, bz2.BZ2Decompressor, OSError)


def _xz(stream: io.FileIO) -> Iterator[bytes]:
    import lzma

    from runtime.layers.windows import too_large

    def make() -> _Decoder:
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=WINDOW + XZ_BESIDE)

    return _members(stream, make, lzma.LZMAError, lambda error, head: too_large(error, "xz", head))


def _members(
    stream: io.FileIO,
    make: Callable[[], _Decoder],
    kind: type[Exception],
    told: Callable[[Exception, bytes], str] = lambda _error, _head: "",
) -> Iterator[bytes]:
    """What members unpack to. A decoder fails with errors of a `kind`; what of them is to be told in words of our own
    `told` says, by the first bytes of the member.
    """
    broken = (kind, OSError, EOFError, ValueError)
    data = stream.read(READ) or b""
    while data:
        decoder = make()
        head = data
        while not decoder.eof:
            try:
                chunk = decoder.decompress(data, CHUNK)
            except broken as error:
                raise refused(error, told(error, head)) from error
            if chunk:
                yield chunk
            data = b""
            if decoder.needs_input and not decoder.eof:
                data = stream.read(READ) or b""
                if not data:
                    raise InvalidArgument("the compressed stream is truncated")
        data = decoder.unused_data.lstrip(b"\0") or _after_padding(stream)


def _after_padding(stream: io.FileIO) -> bytes:
    """Pass over zeros, with which some tools fill up after the last member."""
    while data := stream.read(READ):
        if rest := data.lstrip(b"\0"):
            return rest
    return b""


def refused(error: Exception, told: str = "") -> InvalidArgument:
    """How a broken stream is told, in these words if there are any."""
    return InvalidArgument(told or f"the compressed stream is broken: {error}")
