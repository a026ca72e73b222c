"""What a hostile peer can send on an HTTP/2 connection: it ends by itself, and costs nobody else anything."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from h2.errors import ErrorCodes
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from api.buildkit.protos.common_pb2 import BytesMessage
from api.grpc import client
from api.grpc.connection import MAX_STREAMS
from tests.unit.api.calls import HEADERS, Ground, Raw, grounded

FLOOD = 30_000  # frames
CALM = (ErrorCodes.ENHANCE_YOUR_CALM, None)


@pytest.fixture
async def ground(tmp_path: Path) -> AsyncIterator[Ground]:
    """Another client is served all the while."""
    async with grounded(tmp_path) as made, made.client() as bystander:
        yield made
        answer = await client.call(bystander, "/t/Echo", BytesMessage(data=b"here"), BytesMessage)
        assert answer.data == b"here"


def memory() -> int:
    """Bytes that this process has."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def flood(raw: Raw, frame: bytes, number: int = FLOOD) -> int | None:
    """Send it over and over; with what the server ended it."""
    batch = frame * 100
    for _ in range(number // 100):
        if not await raw.send(batch):
            break
    async with asyncio.timeout(30):
        return await raw.last_word()


async def test_rapid_reset(ground: Ground) -> None:
    async with ground.raw() as raw:
        frames = b""
        for number in range(1, 2 * FLOOD, 2):
            frames += raw.headers("END_HEADERS") + RstStreamFrame(number, error_code=8).serialize()
        await raw.send(frames)
        assert await raw.last_word() in CALM
    assert ground.methods.begun == 0


@pytest.mark.parametrize(
    "frame",
    [
        PingFrame(0, opaque_data=b"12345678"),
        SettingsFrame(0, settings={4: 65535}),
        PriorityFrame(1, depends_on=3),
        WindowUpdateFrame(0, window_increment=1),
    ],
    ids=lambda frame: type(frame).__name__,
)
async def test_control_frames(ground: Ground, frame: PingFrame) -> None:
    async with ground.raw() as raw:
        assert await flood(raw, frame.serialize()) in CALM


async def test_empty_data(ground: Ground) -> None:
    async with ground.raw() as raw:
        await raw.send(raw.headers("END_HEADERS"))
        assert await flood(raw, DataFrame(1).serialize()) in CALM


async def test_continuation(ground: Ground) -> None:
    async with ground.raw() as raw:
        head = HeadersFrame(1)
        head.data = raw.encoder.encode([(":method", "POST")])
        await raw.send(head.serialize())
        more = ContinuationFrame(1)
        more.data = b"\0\x01a\x01b"
        assert await flood(raw, more.serialize()) in (ErrorCodes.PROTOCOL_ERROR, None)


async def test_headers_that_unpack_to_much(ground: Ground) -> None:
    """A large value is put into the table once, and then meant thousands of times by a byte each."""
    before = memory()
    async with ground.raw() as raw:
        first = HeadersFrame(1, flags=("END_HEADERS", "END_STREAM"))
        first.data = raw.encoder.encode([(":path", "/t/Echo"), ("x-large", "v" * 3900)])
        bomb = HeadersFrame(3, flags=("END_HEADERS", "END_STREAM"))
        bomb.data = bytes([0x80 | 62]) * 16_000
        await raw.send(first.serialize() + bomb.serialize())
        assert await raw.last_word() in (*CALM, ErrorCodes.PROTOCOL_ERROR)
    assert memory() - before < 32 << 20


async def test_more_streams_than_may_be(ground: Ground) -> None:
    async with ground.raw() as raw:
        await raw.send(b"".join(raw.headers("END_HEADERS") for _ in range(MAX_STREAMS + 1)))
        assert await raw.last_word() is not None
    assert ground.methods.begun == 0


async def test_a_frame_that_is_too_large(ground: Ground) -> None:
    async with ground.raw() as raw:
        await raw.send(b"\xff\xff\xff\x00\x00\x00\x00\x00\x01" + bytes(100_000))
        assert await raw.last_word() in (ErrorCodes.FRAME_SIZE_ERROR, None)


async def test_data_beyond_the_window(ground: Ground) -> None:
    """Nobody reads it, so no more than the window is ever held."""
    before = memory()
    async with ground.raw() as raw:
        await raw.send(raw.headers("END_HEADERS", path="/t/Ignore"))
        piece = DataFrame(1)
        piece.data = bytes(16_000)
        assert await flood(raw, piece.serialize(), 4000) in (ErrorCodes.FLOW_CONTROL_ERROR, None)
    assert memory() - before < 64 << 20


async def test_windows_that_overflow(ground: Ground) -> None:
    async with ground.raw() as raw:
        await raw.send(WindowUpdateFrame(0, window_increment=2**31 - 1).serialize() * 2)
        assert await raw.last_word() == ErrorCodes.FLOW_CONTROL_ERROR


async def test_pings_whose_answers_nobody_reads(ground: Ground) -> None:
    """What is owed to the peer is bounded as well; its answers are never read here."""
    before = memory()
    async with ground.raw() as raw:
        raw.writer.write(PingFrame(0, opaque_data=b"12345678").serialize() * 200_000)
        await asyncio.sleep(0.5)
        assert memory() - before < 32 << 20
        assert await raw.last_word() in CALM


async def test_what_is_no_http_2(ground: Ground) -> None:
    async with ground.raw() as raw:
        await raw.send(b"GET / HTTP/1.1\r\nHost: d\r\n\r\n" * 100)
        assert await raw.last_word() in (ErrorCodes.FRAME_SIZE_ERROR, None)


async def test_data_in_the_smallest_pieces(ground: Ground) -> None:
    """A window full of it takes not much more memory than a window."""
    async with ground.raw() as raw:
        await raw.send(raw.headers("END_HEADERS", path="/t/Ignore"))
        piece = DataFrame(1)
        piece.data = b"xy"
        before = memory()
        for _ in range(500):
            await raw.send(piece.serialize() * 1000)
        await asyncio.sleep(0.2)
        assert memory() - before < 20 << 20


@pytest.mark.parametrize("last", ["of HEADERS", "of DATA"])
async def test_data_behind_the_last(ground: Ground, last: str) -> None:
    """Who said to be done with a call says nothing more of it: that call ends, and no other."""
    many, end, behind = DataFrame(1), DataFrame(1, flags=("END_STREAM",)), DataFrame(1)
    many.data = behind.data = b"\0\0\0\0\0" * 10  # ten messages
    async with ground.raw() as raw:
        flags = ("END_HEADERS", "END_STREAM") if last == "of HEADERS" else ("END_HEADERS",)
        done = b"" if last == "of HEADERS" else many.serialize() + end.serialize()
        await raw.send(raw.headers(*flags, path="/t/Ignore") + done + behind.serialize() * 3)
        reset = await raw.next(RstStreamFrame)
        assert (reset.stream_id, reset.error_code) == (1, ErrorCodes.STREAM_CLOSED)
        await raw.send(raw.headers("END_HEADERS", path="/t/Count"))
        message, end = DataFrame(3), DataFrame(3, flags=("END_STREAM",))
        message.data = b"\0\0\0\0\0"
        await raw.send(message.serialize() + end.serialize())
        answer = await raw.next(DataFrame)
        assert (answer.stream_id, answer.data) == (3, b"\0\0\0\0\x03\n\x011")
        assert ground.methods.cancelled == ground.methods.begun


async def test_less_data_than_was_promised(ground: Ground) -> None:
    """Who tells a length is held to it."""
    async with ground.raw() as raw:
        frame = HeadersFrame(1, flags=("END_HEADERS",))
        frame.data = raw.encoder.encode([(":path", "/t/Echo"), *HEADERS, ("content-length", "9")])
        few, last = DataFrame(1), DataFrame(1, flags=("END_STREAM",))
        few.data = b"few"
        await raw.send(frame.serialize() + few.serialize() + last.serialize())
        assert await raw.last_word() == ErrorCodes.PROTOCOL_ERROR
