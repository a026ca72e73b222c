"""Messages of gRPC in a stream of bytes: a flag, a length of four bytes, and the message. Pure."""

import struct
from collections import deque
from typing import Final

from api.grpc.status import Code, RpcError

MAX_MESSAGE: Final = 16 << 20
"""Bytes, in both directions: what BuildKit's clients and servers take."""
_PREFIX = struct.Struct(">BI")


def framed(message: bytes) -> bytes:
    """A message as it is sent. RESOURCE_EXHAUSTED for one that nobody would take."""
    if len(message) > MAX_MESSAGE:
        raise RpcError(
            Code.RESOURCE_EXHAUSTED, f"message of {len(message)} bytes is larger than {MAX_MESSAGE}"
        )
    return _PREFIX.pack(0, len(message)) + message


class Unframer:
    """Takes a stream of bytes apart."""

    def __init__(self) -> None:
        self._pieces: deque[bytes] = deque()
        self._at = 0  # what of the first one was taken
        self._size = 0  # bytes that were not taken
        self._wanted: int | None = None  # bytes of the message of which the prefix was taken

    @property
    def empty(self) -> bool:
        """Whether all that came were whole messages."""
        return not self._size and self._wanted is None

    def feed(self, data: bytes) -> None:
        """What came."""
        if data:
            self._pieces.append(data)
            self._size += len(data)

    def next(self) -> bytes | None:
        """The next message, None until it has come whole.

        RESOURCE_EXHAUSTED, as soon as it is known, for one that is too large; UNIMPLEMENTED for a compressed one.
        """
        if self._wanted is None:
            if self._size < _PREFIX.size:
                return None
            self._wanted = _length(self._take(_PREFIX.size))
        if self._size < self._wanted:
            return None
        wanted, self._wanted = self._wanted, None
        return self._take(wanted)

    def _take(self, count: int) -> bytes:
        """So many bytes, which are there."""
        self._size -= count
        parts: list[memoryview] = []
        while count:
            piece, start = self._pieces[0], self._at
            end = start + count
            if end < len(piece):
                self._at = end
                if not parts:
                    return piece[start:end]
            else:
                self._at = 0
                self._pieces.popleft()
            parts.append(memoryview(piece)[start:end])
            count -= len(parts[-1])
        return b"".join(parts)


def _length(prefix: bytes) -> int:
    compressed, length = _PREFIX.unpack(prefix)
    if compressed:
        raise RpcError(Code.UNIMPLEMENTED, "compressed messages are not supported")
    if length > MAX_MESSAGE:
        raise RpcError(Code.RESOURCE_EXHAUSTED, f"message of {length} bytes is larger than {MAX_MESSAGE}")
    return int(length)
