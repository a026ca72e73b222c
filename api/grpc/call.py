"""One call of gRPC on a stream: messages in both directions, whichever end this is."""

from collections.abc import Sequence
from typing import Final, Generic, TypeVar

from google.protobuf.message import DecodeError, Message

from api.grpc.messages import Unframer, framed
from api.grpc.status import Code, RpcError
from api.grpc.stream import Stream

T = TypeVar("T", bound=Message)

_MANY: Final = 512  # messages that are received at once: decoded they take up to ten times as much memory
_MUCH: Final = 1 << 20  # bytes of them


class Messages(Generic[T]):
    """Messages of a stream; those that come are of one type."""

    def __init__(self, stream: Stream, kind: type[T]) -> None:
        self._stream = stream
        self._kind = kind
        self._unframer = Unframer()

    async def receive(self) -> T | None:
        """The next message, None at the end. RpcError for what is none, ConnectionResetError when it breaks off."""
        while (message := self._unframer.next()) is None:
            if not await self._feed():
                return None
        return self._decoded(message)

    async def receive_many(self) -> list[T]:
        """Messages that have come, at least one, [] at the end. Raises as `receive` does."""
        found: list[T] = []
        size = 0
        while not found:
            while len(found) < _MANY and size < _MUCH and (message := self._unframer.next()) is not None:
                found.append(self._decoded(message))
                size += len(message)
            if not found and not await self._feed():
                break
        return found

    async def send(self, message: Message) -> None:
        """Send one; waits for a peer that is slow to read."""
        await self.send_many([message])

    async def send_many(self, messages: Sequence[Message]) -> None:
        """Send some small ones as one piece."""
        await self._stream.write(b"".join(framed(message.SerializeToString()) for message in messages))

    async def _feed(self) -> bool:
        pieces = await self._stream.read()
        if not pieces and not self._unframer.empty:
            raise RpcError(Code.INTERNAL, "the stream ended within a message")
        for piece in pieces:
            self._unframer.feed(piece)
        return bool(pieces)

    def _decoded(self, message: bytes) -> T:
        try:
            return self._kind.FromString(message)
        except DecodeError as error:
            raise RpcError(Code.INTERNAL, f"malformed {self._kind.DESCRIPTOR.full_name}: {error}") from None
