"""The window a compressed stream asks for: the history that who decompresses it must hold, and too much of it."""

import zstandard

from runtime.layers.limits import WINDOW
from runtime.layers.zstd import SKIPPABLE

_XZ_STREAM_HEADER = 12
_LZMA2 = 0x21
_REMEDIES = {"xz": "`xz -8` or less", "zstd": "`zstd -19` or less, with --long=25 at most"}
_TOLD = ("Memory usage limit exceeded", "Frame requires too much memory")  # by liblzma, by libzstd


def too_large(error: Exception, kind: str, head: bytes) -> str:
    """The words for a stream that was refused for its window, "" where the error is another one.

    `head` is what the stream begins with; a later block or frame may have been the one that asks for too much.
    """
    if not any(told in str(error) for told in _TOLD):
        return ""
    window = (xz_window if kind == "xz" else zstd_window)(head)
    asked = f"{window / (1 << 20):.4g} MiB" if window > WINDOW else f"more than {WINDOW >> 20} MiB"
    return (
        f"to decompress this {kind} stream takes a window of {asked} of memory, and no image may take more than"
        f" {WINDOW >> 20} MiB: compress it again, with {_REMEDIES[kind]}"
    )


def zstd_window(head: bytes) -> int:
    """Bytes of the window that the first frame asks for, 0 when so few bytes do not tell."""
    while head[1:4] == SKIPPABLE:
        head = head[8 + int.from_bytes(head[4:8], "little") :]
    try:
        return zstandard.get_frame_parameters(head).window_size
    except zstandard.ZstdError:
        return 0


def xz_window(head: bytes) -> int:
    """Bytes of the dictionary that the first block asks for, 0 when so few bytes do not tell (xz format, 3.1)."""
    try:
        flags = head[_XZ_STREAM_HEADER + 1]
        at = _XZ_STREAM_HEADER + 2
        for _ in range((flags >> 6 & 1) + (flags >> 7)):  # the sizes, where it tells them
            _, at = _number(head, at)
        for _ in range((flags & 3) + 1):
            kind, at = _number(head, at)
            size, at = _number(head, at)
            if kind == _LZMA2:
                return _dictionary(head[at])
            at += size
    except IndexError:
        pass
    return 0


def _dictionary(bits: int) -> int:
    return (2 | bits & 1) << (bits // 2 + 11)


def _number(data: bytes, at: int) -> tuple[int, int]:
    """Return a number of seven bits a byte, and where it ends."""
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if data[at - 1] < 0x80:
            return value, at
