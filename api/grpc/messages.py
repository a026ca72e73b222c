"""Messages of gRPC in a stream of bytes: a flag, a length of four bytes, and the message. Pure."""

import struct
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
        self._data = bytearray()

    @property
    def empty(self) -> bool:
        """Whether all that came were whole messages."""
        return not self._data

    def feed(self, data: bytes) -> None:
        """What came."""
        self._data += data

    def next(self) -> bytes | None:
        """The next message, None until it has come whole.

        RESOURCE_EXHAUSTED, as soon as it is known, for one that is too large; UNIMPLEMENTED for a compressed one.
        """
        if len(self._data) < _PREFIX.size:
            return None
        compressed, length = _PREFIX.unpack_from(self._data)
        if compressed:
            raise RpcError(Code.UNIMPLEMENTED, "compressed messages are not supported")
        if length > MAX_MESSAGE:
            raise RpcError(Code.RESOURCE_EXHAUSTED, f"message of {length} bytes is larger than {MAX_MESSAGE}")
        end = _PREFIX.size + length
        if len(self._data) < end:
            return None
        message = bytes(memoryview(self._data)[_PREFIX.size : end])
        del self._data[:end]
        return message
