"""Frames of HTTP/2 as they come: nearly all bytes are DATA without flags, of which h2 need not be asked.

What h2 does with such a frame takes longer than all else that is done with it. So those are taken out here and counted
in h2's windows; whatever is not plainly in order goes to h2, which answers it.
"""

import struct
from collections.abc import Iterator
from typing import Final

from h2.connection import H2Connection

MAX_FRAME: Final = 16_384  # bytes: what HTTP/2 has without being asked for more
_HEADER: Final = struct.Struct(">HBBBI")
_DATA: Final = 0
_HEADERS: Final = frozenset((1, 5, 9))  # HEADERS, PUSH_PROMISE, CONTINUATION
_END_HEADERS: Final = 4


class TooLarge(Exception):  # noqa: N818 - a fact about the peer
    """A frame that has begun is larger than one may be: h2 would wait for all of its up to 16 MiB."""


class Frames:
    """Takes a connection's bytes apart, behind so many bytes of a preface. Pure."""

    def __init__(self, preface: int = 0) -> None:
        self._rest = preface  # bytes of h2's until the next frame begins
        self._begun = b""  # part of a header, or of a frame of plain data
        self._in_headers = False

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield, in order, whole DATA frames that have data and no flags, as (stream, data), and all else as (0, bytes)
        for h2. TooLarge.
        """
        at = 0
        # What has begun is completed by itself: all that came, copied behind it, takes new pages from the kernel.
        while self._begun and at < len(data):
            end = at + self._missing()
            begun = self._begun + data[at:end]
            at = min(end, len(data))
            yield from self._taken(begun, 0)
        if at < len(data):
            yield from self._taken(data, at)

    def _missing(self) -> int:
        """How many bytes of what has begun are not here; of a header first."""
        size = _HEADER.size
        if len(self._begun) >= size:
            size += int.from_bytes(self._begun[:3])
        return size - len(self._begun)

    def _taken(self, data: bytes, at: int) -> Iterator[tuple[int, bytes]]:
        """The frames from there on; what is left over has begun."""
        start, at = at, at + min(self._rest, len(data) - at)
        self._rest -= at - start
        while len(data) - at >= _HEADER.size:
            upper, lower, kind, flags, stream = _HEADER.unpack_from(data, at)
            length = upper << 8 | lower
            if length > MAX_FRAME:
                raise TooLarge
            end = at + _HEADER.size + length
            if kind == _DATA and not flags and length and 0 < stream < 1 << 31 and not self._in_headers:
                if end > len(data):
                    break
                if start < at:
                    yield 0, data[start:at]
                yield stream, data[at + _HEADER.size : end]
                start = at = end
            else:
                if kind in _HEADERS:  # nothing may come between those that belong together: h2 sees to it
                    self._in_headers = not flags & _END_HEADERS
                at = min(end, len(data))
                self._rest = end - at
        self._begun = data[at:]
        if start < at:
            yield 0, data[start:at]


def whole(stream: int, data: bytes) -> bytes:
    """The DATA frame again."""
    return _HEADER.pack(len(data) >> 8, len(data) & 0xFF, _DATA, 0, stream) + data


def consume(state: H2Connection, stream: int, size: int) -> bool:
    """Count data of a peer in the windows of an open stream and its connection; False, of nothing, beyond them."""
    if stream not in state.streams:
        return False
    # Where what is acknowledged is counted. h2 has no other way to tell it of data.
    connection = state._inbound_flow_control_window_manager
    own = state.streams[stream]._inbound_window_manager
    if size > connection.current_window_size or size > own.current_window_size:
        return False
    connection.window_consumed(size)
    own.window_consumed(size)
    return True
