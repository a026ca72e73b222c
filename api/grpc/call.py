"""One call of gRPC on a stream: messages in both directions, whichever end this is."""

from typing import Generic, TypeVar

from google.protobuf.message import DecodeError, Message

from api.grpc.messages import Unframer, framed
from api.grpc.status import Code, RpcError
from api.grpc.stream import Stream

T = TypeVar("T", bound=Message)


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
        """The messages that have come, at least one, [] at the end. Raises as `receive` does."""
        found: list[T] = []
        while not found and await self._feed():
            while (message := self._unframer.next()) is not None:
                found.append(self._decoded(message))
        return found

    async def send(self, message: Message) -> None:
        """Send one; waits for a peer that is slow to read."""
        await self._stream.write(framed(message.SerializeToString()))

    async def _feed(self) -> bool:
        data = await self._stream.read()
        if not data and not self._unframer.empty:
            raise RpcError(Code.INTERNAL, "the stream ended within a message")
        self._unframer.feed(data)
        return bool(data)

    def _decoded(self, message: bytes) -> T:
        try:
            return self._kind.FromString(message)
        except DecodeError as error:
            raise RpcError(Code.INTERNAL, f"malformed {self._kind.DESCRIPTOR.full_name}: {error}") from None
