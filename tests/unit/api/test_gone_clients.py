"""Clients of raw streams that go, and the daemon's end: they are let go, and what they had sent is delivered."""

import asyncio
import socket

import pytest

from tests.unit.api.boxes import MemoryStream
from tests.unit.api.conftest import Served
from tests.unit.api.test_hijack import attach, fill, opened


async def test_a_client_that_vanishes_is_noticed(served: Served, stream: MemoryStream) -> None:
    _, writer = await opened(served, attach())
    writer.transport.abort()
    await asyncio.wait_for(stream.closed.wait(), 5)


async def test_a_client_that_vanishes_after_its_half_close_is_noticed(
    served: Served, stream: MemoryStream
) -> None:
    _, writer = await opened(served, attach())
    writer.write_eof()
    await stream.eof.wait()
    assert not stream.closed.is_set()
    writer.transport.abort()
    await asyncio.wait_for(stream.closed.wait(), 5)


async def test_input_that_waits_does_not_hold_up_the_end_of_the_daemon(
    served: Served, stream: MemoryStream
) -> None:
    stream.taking.clear()
    _, writer = await opened(served, attach())
    writer.write(b"nobody takes this")
    writer.close()
    await stream.left.wait()
    await asyncio.wait_for(served.server.close(60), 20)
    await stream.closed.wait()
    assert not stream.eof.is_set()


async def test_a_client_that_never_reads_does_not_hold_up_the_end_of_the_daemon(
    served: Served, stream: MemoryStream
) -> None:
    _, writer = await opened(served, attach())
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    for _ in range(100):
        stream.outputs.put_nowait(b"x" * 65_536)
    while not stream.outputs.empty():  # until the daemon waits for the client
        before = stream.outputs.qsize()
        await asyncio.sleep(0.1)
        if stream.outputs.qsize() == before:
            break
    assert not stream.outputs.empty()
    await asyncio.wait_for(served.server.close(60), 20)
    await stream.closed.wait()
    writer.close()


@pytest.mark.parametrize("limit", [200, 0])
async def test_a_client_that_vanishes_while_its_input_waits_is_noticed(
    served: Served, stream: MemoryStream, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    """What it had sent waits until it is taken, but that of many does not."""
    monkeypatch.setattr("api.relay._LEFT_LIMIT", limit)
    stream.taking.clear()
    _, writer = await opened(served, attach())
    raw_copy = socket.socket(fileno=writer.get_extra_info("socket").fileno())
    try:
        sent = await fill(raw_copy)
    finally:
        raw_copy.detach()
    writer.transport.abort()
    if limit:
        await stream.left.wait()
        assert not stream.closed.is_set()
        stream.taking.set()
        await stream.eof.wait()
        assert len(stream.received) == sent
    await asyncio.wait_for(stream.closed.wait(), 5)


async def test_the_end_of_the_daemon_is_not_that_of_the_input(served: Served, stream: MemoryStream) -> None:
    _, writer = await opened(served, attach())
    await served.server.close(1)
    await stream.closed.wait()
    assert not stream.eof.is_set()
    writer.close()


async def test_all_input_of_a_client_that_has_gone_is_delivered(served: Served, stream: MemoryStream) -> None:
    _, writer = await opened(served, attach())
    writer.write(b"q" * 100_000)
    writer.close()
    await stream.eof.wait()
    assert len(stream.received) == 100_000
