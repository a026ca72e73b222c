"""The serving end of gRPC: which method answers which path, and how a call ends."""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
from google.protobuf.message import Message

import errdefs
from api.errors import UNEXPECTED
from api.grpc import status
from api.grpc.call import Messages
from api.grpc.status import Code, RpcError
from api.grpc.stream import Stream

_log = logging.getLogger(__name__)

Admit = Callable[[str, Sequence[tuple[str, str]]], Awaitable[None]]
"""Raises for a call, by path and headers, that may not be."""
_TIMEOUT = re.compile(r"([0-9]{1,8})([HMSmun])")
_SECONDS: Final = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
_RESPONSE: Final = [(":status", "200"), ("content-type", "application/grpc")]
_NOT_GRPC: Final = [(":status", "415")]


class Call(msgspec.Struct):
    """A call as its handler sees it. `messages` are those after the request."""

    metadata: Mapping[str, list[str]]
    messages: Messages[Any]
    _stream: Stream
    _begun: bool = False

    async def send(self, message: Message) -> None:
        """Send one message of the answer."""
        self.begin()
        await self.messages.send(message)

    def begin(self) -> None:
        """Send the answer's headers, which tell a client that it is being served."""
        if not self._begun:
            self._begun = True
            self._stream.send_headers(_RESPONSE)

    def finish(self, error: RpcError | None) -> None:
        """Send how the call ended."""
        trailers = [("grpc-status", "0")] if error is None else error.trailers
        self._stream.send_headers(trailers if self._begun else [*_RESPONSE, *trailers], end=True)


class Method(msgspec.Struct, frozen=True):
    """What answers a path. The handler sends messages itself or returns the only one.

    Where `streams`, the client's messages are the handler's to receive, and its request is an empty one.
    """

    request: type[Message]
    handler: Callable[[Call, Any], Awaitable[Message | None]]
    streams: bool = False


class Server:
    """Serves methods by their paths, on as many connections as there are."""

    def __init__(self, methods: Mapping[str, Method]) -> None:
        self._methods = methods
        self._calls: set[asyncio.Task[None]] = set()

    def accept(self, stream: Stream, admit: Admit | None = None) -> None:
        """Serve a call, if it is admitted; it is cancelled when its stream breaks off."""
        task = asyncio.get_running_loop().create_task(self._serve(stream, admit))
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)
        stream.on_lost = task.cancel

    async def close(self) -> None:
        """Cancel what is under way, and wait for its end."""
        calls = list(self._calls)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

    async def _serve(self, stream: Stream, admit: Admit | None) -> None:
        headers = dict(stream.headers)
        try:
            if not headers.get("content-type", "").startswith("application/grpc"):
                stream.send_headers(_NOT_GRPC, end=True)
                return
            await self._answer(stream, headers, admit)
        except ConnectionResetError:
            _log.debug("%s: the client has gone", headers.get(":path"))
        finally:
            stream.on_lost = None
            stream.close()

    async def _answer(self, stream: Stream, headers: Mapping[str, str], admit: Admit | None) -> None:
        path = headers.get(":path", "")
        method = self._methods.get(path)
        kind = Message if method is None else method.request
        call = Call(status.metadata_of(stream.headers), Messages(stream, kind), stream)
        failure: RpcError | None = None
        try:
            if method is None:
                raise RpcError(Code.UNIMPLEMENTED, f"unknown method {path}")
            if admit is not None:
                await admit(path, status.plain(stream.headers))
            async with asyncio.timeout(_timeout(headers)):
                answer = await method.handler(call, await _request(call, method))
            if answer is not None:
                await call.send(answer)
        except Exception as error:  # noqa: BLE001 - the top frame of a call
            failure = _failure(path, error)
        if failure is None:
            call.begin()
        call.finish(failure)


async def _request(call: Call, method: Method) -> Message:
    if method.streams:
        return method.request()
    request = await call.messages.receive()
    if request is None:
        raise RpcError(Code.INTERNAL, "the call has no request")
    assert isinstance(request, Message)
    return request


def _failure(path: str, error: Exception) -> RpcError:
    if isinstance(error, ConnectionResetError):
        raise error
    if isinstance(error, RpcError):
        return error
    if isinstance(error, errdefs.WherryError):
        if isinstance(error, errdefs.SystemFailure):
            _log.error("%s: %s", path, error.message)
        return status.of_failure(error)
    if isinstance(error, TimeoutError):
        return RpcError(Code.DEADLINE_EXCEEDED, "context deadline exceeded")
    _log.error("%s failed unexpectedly", path, exc_info=error)
    return RpcError(Code.INTERNAL, UNEXPECTED)


def _timeout(headers: Mapping[str, str]) -> float | None:
    """Seconds that a client gives a call, None without end."""
    given = _TIMEOUT.fullmatch(headers.get("grpc-timeout", ""))
    return int(given[1]) * _SECONDS[given[2]] if given else None
