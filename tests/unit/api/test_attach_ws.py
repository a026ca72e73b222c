"""Attaching by WebSocket, on both loops."""

import asyncio

import aiohttp
import pytest
from aiohttp import WSMsgType

from api.multiplex import STDERR, STDOUT, frame
from tests.unit.api.boxes import MemoryStream
from tests.unit.api.conftest import Served

ALL = "stream=1&stdin=1&stdout=1&stderr=1"


def stream_of(served: Served) -> MemoryStream:
    """The container's side."""
    stream = served.engine.containers.stream
    assert isinstance(stream, MemoryStream)
    return stream


async def connect(served: Served, version: str = "1.55") -> aiohttp.ClientWebSocketResponse:
    """Attach to everything."""
    return await served.session.ws_connect(f"http://d/v{version}/containers/box/attach/ws?{ALL}")


async def test_what_is_no_websocket_is_refused(served: Served) -> None:
    status, body = await served.ask("GET", "/containers/box/attach/ws?stream=1")
    assert (status, body["message"]) == (400, "not websocket protocol")


async def test_bad_detach_keys_are_told_before_all_else(served: Served) -> None:
    for name in ("box", "nope"):
        status, body = await served.ask("GET", f"/v1.45/containers/{name}/attach/ws?detachKeys=ctrl-")
        assert (status, body["message"]) == (400, "Invalid detach keys (ctrl-) provided")


async def test_no_container(served: Served) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as error:
        await served.session.ws_connect("http://d/containers/nope/attach/ws")
    assert error.value.status == 404


@pytest.mark.parametrize(("version", "kind"), [("1.27", WSMsgType.TEXT), ("1.28", WSMsgType.BINARY)])
async def test_both_outputs_come_unframed(served: Served, version: str, kind: WSMsgType) -> None:
    async with await connect(served, version) as socket:
        await stream_of(served).outputs.put(frame(STDOUT, b"out") + frame(STDERR, b"err")[:5])
        await stream_of(served).outputs.put(frame(STDERR, b"err")[5:])
        first, second = await socket.receive(5), await socket.receive(5)
        assert (first.type, second.type) == (kind, kind)
        said = [each.data.encode() if kind is WSMsgType.TEXT else each.data for each in (first, second)]
        assert said == [b"out", b"err"]
        await stream_of(served).outputs.put(b"")
        assert (await socket.receive(5)).type is WSMsgType.CLOSE


async def test_input_as_text_or_bytes_and_its_end(served: Served) -> None:
    async with await connect(served) as socket:
        await socket.send_str("a\n")
        await socket.send_bytes(b"b\n")
        await socket.close()
    await asyncio.wait_for(stream_of(served).closed.wait(), 5)
    assert stream_of(served).received == b"a\nb\n"
    assert stream_of(served).eof.is_set()


async def test_a_client_that_vanishes_lets_go(served: Served) -> None:
    socket = await connect(served)
    stream = stream_of(served)
    assert socket._response.connection is not None
    transport = socket._response.connection.transport
    assert transport is not None
    transport.abort()
    await asyncio.wait_for(stream.closed.wait(), 5)
    assert stream.eof.is_set()


async def test_all_input_of_a_client_that_vanishes_is_delivered(served: Served) -> None:
    socket = await connect(served)
    stream = stream_of(served)
    stream.taking.clear()
    for _ in range(20):
        await socket.send_bytes(b"x" * 1000)
    assert socket._response.connection is not None
    transport = socket._response.connection.transport
    assert transport is not None
    transport.close()
    await stream.left.wait()
    assert not stream.closed.is_set()
    stream.taking.set()
    await asyncio.wait_for(stream.closed.wait(), 5)
    assert len(stream.received) == 20_000
    assert stream.eof.is_set()


async def test_the_end_of_the_server_ends_it(served: Served) -> None:
    socket = await connect(served)
    await served.server.close(1)
    assert (await socket.receive(5)).type in (WSMsgType.CLOSE, WSMsgType.CLOSED, WSMsgType.CLOSING)
    await asyncio.wait_for(stream_of(served).closed.wait(), 5)
    assert not stream_of(served).eof.is_set()
    await socket.close()


async def test_detach_keys_end_it_and_not_the_input(served: Served) -> None:
    served.engine.containers.stream = MemoryStream(detach_on=b"\x10\x11")
    async with await connect(served) as socket:
        await socket.send_bytes(b"x\x10\x11")
        assert (await socket.receive(5)).type is WSMsgType.CLOSE
    await asyncio.wait_for(stream_of(served).closed.wait(), 5)
    assert not stream_of(served).eof.is_set()
