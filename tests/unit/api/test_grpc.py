"""Calls of gRPC, both ends, on the daemon's socket."""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

import errdefs
from api.buildkit.protos.common_pb2 import BytesMessage, Status
from api.grpc import client, status
from api.grpc.messages import MAX_MESSAGE, Unframer, framed
from api.grpc.status import Code, RpcError
from api.preface import PREFACE, Preface
from tests.unit.api.calls import Ground, grounded

BRIEF = 20  # seconds


@pytest.fixture
async def ground(tmp_path: Path) -> AsyncIterator[Ground]:
    async with grounded(tmp_path) as made:
        yield made


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(BRIEF):
        while not condition():  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(0.01)


async def test_answers_many_calls_on_one_connection(ground: Ground) -> None:
    async with ground.client() as http2:
        asked = [BytesMessage(data=bytes([number]) * number * 1000) for number in range(40)]
        answers = await asyncio.gather(*(client.call(http2, "/t/Echo", each, BytesMessage) for each in asked))
    assert answers == asked


async def test_a_message_may_be_as_large_as_clients_expect(ground: Ground) -> None:
    async with ground.client() as http2:
        large = BytesMessage(data=bytes(MAX_MESSAGE - 16))
        assert await client.call(http2, "/t/Echo", large, BytesMessage) == large
        with pytest.raises(RpcError, match="is larger than") as refused:
            await client.call(http2, "/t/Echo", BytesMessage(data=bytes(MAX_MESSAGE)), BytesMessage)
    assert refused.value.code == Code.RESOURCE_EXHAUSTED


@pytest.mark.parametrize(
    ("failure", "code", "message"),
    [
        (errdefs.NotFound("no such thing"), Code.UNKNOWN, "no such thing"),
        (errdefs.Unsupported("not this"), Code.UNIMPLEMENTED, "not this"),
        (errdefs.Forbidden("not you"), Code.PERMISSION_DENIED, "not you"),
        (RpcError(Code.ABORTED, "100% täglich\n"), Code.ABORTED, "100% täglich\n"),
        (ValueError("a bug"), Code.INTERNAL, "internal error of the daemon; its log has the details"),
    ],
)
async def test_tells_why_a_call_failed(ground: Ground, failure: Exception, code: Code, message: str) -> None:
    ground.methods.failure = failure
    async with ground.client() as http2:
        with pytest.raises(RpcError) as failed:
            await client.call(http2, "/t/Fail", BytesMessage(), BytesMessage)
        assert (failed.value.code, failed.value.message) == (code, message)
        assert await client.call(http2, "/t/Echo", BytesMessage(data=b"on"), BytesMessage)


async def test_carries_the_details_of_a_failure(ground: Ground) -> None:
    details = Status(code=2, message="why").SerializeToString()
    ground.methods.failure = RpcError(Code.UNKNOWN, "why", details)
    async with ground.client() as http2:
        with pytest.raises(RpcError) as failed:
            await client.call(http2, "/t/Fail", BytesMessage(), BytesMessage)
    assert failed.value.details == details


async def test_refuses_a_method_that_there_is_not(ground: Ground) -> None:
    async with ground.client() as http2:
        with pytest.raises(RpcError, match="unknown method /t/Nothing") as failed:
            await client.call(http2, "/t/Nothing", BytesMessage(), BytesMessage)
    assert failed.value.code == Code.UNIMPLEMENTED


async def test_takes_a_stream_of_messages(ground: Ground) -> None:
    async with ground.client() as http2, client.calling(http2, "/t/Count", BytesMessage) as call:
        for _ in range(300):
            await call.send(BytesMessage(data=bytes(10_000)))
        call.finish()
        answer = await call.receive()
        assert answer is not None
        assert answer.data == b"300"
        assert await call.receive() is None


async def test_a_client_that_does_not_read_halts_its_own_call_alone(ground: Ground) -> None:
    async with ground.client() as http2:
        async with client.calling(http2, "/t/Stream", BytesMessage) as call:
            await call.send(BytesMessage())
            call.finish()
            await until(lambda: ground.methods.sent)
            stopped_at = 0
            while ground.methods.sent != stopped_at:
                stopped_at = ground.methods.sent
                assert stopped_at <= 40
                await asyncio.sleep(0.3)
            assert await client.call(http2, "/t/Echo", BytesMessage(data=b"x"), BytesMessage)
            for _ in range(80):
                assert await call.receive() is not None
        assert ground.methods.sent >= 79


async def test_a_call_that_a_client_gives_up_is_cancelled(ground: Ground) -> None:
    async with ground.client() as http2:
        async with client.calling(http2, "/t/Wait", BytesMessage) as call:
            await call.send(BytesMessage())
            await until(lambda: ground.methods.begun)
        await until(lambda: ground.methods.cancelled)
        assert await client.call(http2, "/t/Echo", BytesMessage(data=b"x"), BytesMessage)


async def test_calls_end_with_their_connection(ground: Ground) -> None:
    async with ground.client() as http2, client.calling(http2, "/t/Wait", BytesMessage) as call:
        await call.send(BytesMessage())
        await until(lambda: ground.methods.begun)
        http2.end()
        with pytest.raises(RpcError) as failed:
            await call.receive()
    assert failed.value.code == Code.UNAVAILABLE
    await until(lambda: ground.methods.cancelled)


async def test_a_server_that_ends_closes_its_connections(ground: Ground) -> None:
    async with ground.client() as http2, client.calling(http2, "/t/Wait", BytesMessage) as call:
        await call.send(BytesMessage())
        await until(lambda: ground.methods.begun)
        await ground.server.close(5)
        async with asyncio.timeout(BRIEF):
            await http2.closed.wait()
    await until(lambda: ground.methods.cancelled)


async def test_whoever_may_not_is_told_so(tmp_path: Path) -> None:
    async def admit(path: str, headers: Any) -> None:
        if path == "/t/Wait":
            raise errdefs.Forbidden("authorization denied by plugin judge: no")

    async with grounded(tmp_path, admit) as ground, ground.client() as http2:
        assert await client.call(http2, "/t/Echo", BytesMessage(data=b"x"), BytesMessage)
        with pytest.raises(RpcError, match="denied by plugin judge") as failed:
            await client.call(http2, "/t/Wait", BytesMessage(), BytesMessage)
    assert failed.value.code == Code.PERMISSION_DENIED
    assert not ground.methods.begun - 1


async def test_a_deadline_ends_a_call(ground: Ground) -> None:
    async with ground.client() as http2:
        with pytest.raises(RpcError) as failed:
            await client.call(http2, "/t/Wait", BytesMessage(), BytesMessage, {"grpc-timeout": ["500m"]})
    assert failed.value.code == Code.DEADLINE_EXCEEDED
    assert ground.methods.cancelled == 1


async def test_http_1_is_served_on_the_same_socket(ground: Ground) -> None:
    for request in (b"GET /nothing HTTP/1.1\r\nHost: d\r\n\r\n", b"PROPFIND / HTTP/1.1\r\nHost: d\r\n\r\n"):
        reader, writer = await asyncio.open_unix_connection(ground.path)
        for byte in request:
            writer.write(bytes([byte]))
            await writer.drain()
        assert (await reader.readline()).startswith(b"HTTP/1.1 404")
        writer.close()


def test_a_preface_is_known_however_it_comes() -> None:
    for size in (1, 3, 24, 100):
        preface, passed = Preface(), b""
        data = PREFACE + b"frames"
        for start in range(0, len(data), size):
            passed += preface.feed(data[start : start + size])
        assert (preface.found, passed) == (True, data)
    other = Preface()
    assert other.feed(b"PR") == b""
    assert (other.feed(b"OPFIND /"), other.found) == (b"PROPFIND /", False)


def test_messages_are_found_however_they_come() -> None:
    data = b"".join(framed(bytes([number]) * number) for number in range(5))
    for size in (1, 4, 7, len(data)):
        unframer, found = Unframer(), []
        for start in range(0, len(data), size):
            unframer.feed(data[start : start + size])
            while (message := unframer.next()) is not None:
                found.append(message)
        assert found == [bytes([number]) * number for number in range(5)]
        assert unframer.empty


@pytest.mark.parametrize(
    ("data", "code"),
    [(b"\x01\0\0\0\x01x", Code.UNIMPLEMENTED), (b"\0\x7f\xff\xff\xff", Code.RESOURCE_EXHAUSTED)],
)
def test_messages_that_cannot_be_are_refused_at_once(data: bytes, code: Code) -> None:
    unframer = Unframer()
    unframer.feed(data)
    with pytest.raises(RpcError) as refused:
        unframer.next()
    assert refused.value.code == code


def test_reads_a_status_that_is_not_one() -> None:
    assert status.of_trailers([("grpc-status", "0")]) is None
    strange = status.of_trailers([("grpc-status", "99"), ("grpc-message", "a%20b"), (status.DETAILS, "!")])
    assert strange is not None
    assert (strange.code, strange.message) == (Code.UNKNOWN, "a b")
    assert status.encode_binary(b"\0\xff") == base64.b64encode(b"\0\xff").decode().rstrip("=")
