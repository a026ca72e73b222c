"""The calling end of gRPC, on a connection whose roles are reversed."""

import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Final, Protocol, TypeVar

from google.protobuf.message import Message

from api.grpc import status
from api.grpc.call import Messages
from api.grpc.status import Code, RpcError
from api.grpc.stream import Stream

T = TypeVar("T", bound=Message)
Metadata = Mapping[str, Sequence[str]]

_OK: Final = "200"


class Opener(Protocol):
    """A connection on which streams can be opened."""

    def open(self, headers: Sequence[tuple[str, str]]) -> Stream:
        """Begin a stream. ConnectionResetError when the peer has gone."""


class Outgoing(Messages[T]):
    """A call that is under way."""

    def finish(self) -> None:
        """Nothing more will be sent."""
        self._stream.end()

    async def receive(self) -> T | None:
        """The next message, None when the call has ended well. RpcError when it failed."""
        with self._status():
            message = await super().receive()
        if message is None:
            self._raise_status()
        return message

    async def receive_many(self) -> list[T]:
        """The messages that have come, [] when the call has ended well. RpcError when it failed."""
        with self._status():
            messages = await super().receive_many()
        if not messages:
            self._raise_status()
        return messages

    async def send_many(self, messages: Sequence[Message]) -> None:
        """Send some small ones as one piece. RpcError when the call has ended."""
        with self._status():
            await super().send_many(messages)

    @contextlib.contextmanager
    def _status(self) -> Iterator[None]:
        """What breaks off ends with the status that was given, if one was."""
        try:
            yield
        except ConnectionResetError as error:
            self._raise_status()
            raise RpcError(Code.UNAVAILABLE, str(error)) from error

    def _raise_status(self) -> None:
        """Raise how the call ended, if that is known and not well."""
        answered = dict(self._stream.headers).get(":status", _OK)
        if answered != _OK:
            raise RpcError(Code.UNKNOWN, f"the client answered with HTTP status {answered}")
        last = self._stream.trailers or self._stream.headers
        if any(name == "grpc-status" for name, _ in last) and (error := status.of_trailers(last)) is not None:
            raise error


@contextlib.asynccontextmanager
async def calling(
    connection: Opener, path: str, kind: type[T], metadata: Metadata | None = None
) -> AsyncIterator[Outgoing[T]]:
    """Call a method; leaving the block cancels it unless it has ended. RpcError when the client has gone."""
    added = [(name, value) for name, values in (metadata or {}).items() for value in values]
    try:
        stream = connection.open([*_request_headers(path), *added])
    except ConnectionResetError as error:
        raise RpcError(Code.UNAVAILABLE, str(error)) from error
    try:
        yield Outgoing(stream, kind)
    finally:
        stream.close()


async def call(
    connection: Opener, path: str, request: Message, kind: type[T], metadata: Metadata | None = None
) -> T:
    """Call a method with one message each way. RpcError when it fails."""
    async with calling(connection, path, kind, metadata) as outgoing:
        await outgoing.send(request)
        outgoing.finish()
        answer = await outgoing.receive()
        if answer is None:
            raise RpcError(Code.INTERNAL, f"{path}: the client gave no answer")
        await outgoing.receive()  # its end, and how
        return answer


def _request_headers(path: str) -> list[tuple[str, str]]:
    return [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "localhost"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ]
