"""Streams of zstd frames as bounded chunks."""

import io
import os
from collections.abc import Iterator

import zstandard

from errdefs import InvalidArgument
from runtime.layers.decompress import CHUNK, READ, refused
from runtime.layers.limits import WINDOW
from runtime.layers.windows import too_large
from runtime.layers.zstd import zstd_complete


def frames(stream: io.FileIO) -> Iterator[bytes]:
    """Yield the bytes of all frames; what is between them is skipped. InvalidArgument for what is broken."""
    start = stream.tell()
    decoder = zstandard.ZstdDecompressor(max_window_size=WINDOW)
    with decoder.stream_reader(stream, read_size=READ, read_across_frames=True, closefd=False) as reader:
        while True:
            try:
                chunk = reader.read(CHUNK)
            except zstandard.ZstdError as error:
                head = os.pread(stream.fileno(), READ, start)
                raise refused(error, too_large(error, "zstd", head)) from error
            if not chunk:
                break
            yield chunk
    # The reader takes the end of its input for the end of a frame, wherever that is.
    if not zstd_complete(stream.fileno(), start):
        raise InvalidArgument("the compressed stream is truncated")
