"""Raw streams over real sockets, on both loops."""

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import cast

import pytest

import errdefs
from tests.unit.api.boxes import MemoryStream
from tests.unit.api.conftest import Served
from tests.unit.api.samples import ID, running

UPGRADE = b"Connection: Upgrade\r\nUpgrade: tcp\r\n"
QUERY = b"?stream=1&stdin=1&stdout=1&stderr=1"
ATTACH_HEAD = (
    b"HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.multiplexed-stream\r\n"
    b"Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
)
RAW_HEAD = ATTACH_HEAD.replace(b"multiplexed", b"raw")


def attach(version: bytes = b"/v1.55", headers: bytes = UPGRADE, query: bytes = QUERY) -> bytes:
    return b"POST %s/containers/box/attach%s HTTP/1.1\r\nHost: d\r\n%s\r\n" % (version, query, headers)


async def opened(
    served: Served, request: bytes, head: bytes = ATTACH_HEAD
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection that is a raw stream by now."""
    reader, writer = await served.connect()
    writer.write(request)
    assert await reader.readexactly(len(head)) == head
    return reader, writer


@pytest.mark.parametrize(
    ("version", "headers", "head"),
    [
        (b"/v1.55", UPGRADE, ATTACH_HEAD),
        (b"", UPGRADE, ATTACH_HEAD),
        (b"/v1.42", UPGRADE, ATTACH_HEAD),
        (b"/v1.41", UPGRADE, RAW_HEAD),
        (b"/v1.24", UPGRADE, RAW_HEAD),
        (b"/v1.55", b"", b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n"),
    ],
)
async def test_heads_are_dockers(
    served: Served, stream: MemoryStream, version: bytes, headers: bytes, head: bytes
) -> None:
    stream.outputs.put_nowait(b"out")
    stream.outputs.put_nowait(b"")
    assert await served.raw(attach(version, headers)) == head + b"out"


async def test_a_terminal_is_raw(served: Served, stream: MemoryStream) -> None:
    container = running()
    container.config.tty = True
    served.engine.containers.records[ID] = container
    stream.outputs.put_nowait(b"")
    assert await served.raw(attach()) == RAW_HEAD


async def test_late_output_after_the_clients_half_close(served: Served, stream: MemoryStream) -> None:
    reader, writer = await opened(served, attach())
    writer.write(b"in \x00\xff\r\n\r\n")
    writer.write_eof()
    await stream.eof.wait()
    assert stream.received == b"in \x00\xff\r\n\r\n"
    stream.outputs.put_nowait(b"late")
    assert await reader.readexactly(4) == b"late"
    stream.outputs.put_nowait(b"")
    assert await reader.read() == b""
    await stream.closed.wait()


@pytest.mark.parametrize("headers", [UPGRADE, b""])
async def test_input_that_comes_with_the_head(served: Served, stream: MemoryStream, headers: bytes) -> None:
    reader, writer = await served.connect()
    writer.write(attach(headers=headers))
    if not headers:
        await reader.readuntil(b"\r\n\r\n")
    writer.write(b"early")
    writer.write_eof()
    await stream.eof.wait()
    assert stream.received == b"early"
    writer.close()


async def test_much_in_both_directions(served: Served, stream: MemoryStream) -> None:
    size, chunk = 20 * 1024 * 1024, b"x" * 65536
    reader, writer = await opened(served, attach())

    async def send() -> None:
        for _ in range(size // len(chunk)):
            writer.write(chunk)
            await writer.drain()
        writer.write_eof()

    async def produce() -> None:
        for _ in range(size // len(chunk)):
            stream.outputs.put_nowait(chunk)
            await asyncio.sleep(0)
        stream.outputs.put_nowait(b"")

    async def receive() -> int:
        total = 0
        while data := await reader.read(1 << 20):
            total += len(data)
        return total

    _, _, received = await asyncio.gather(send(), produce(), receive())
    await stream.eof.wait()
    assert received == size
    assert len(stream.received) == size


async def test_input_is_not_read_while_nobody_takes_it(served: Served, stream: MemoryStream) -> None:
    stream.taking.clear()
    reader, writer = await opened(served, attach())
    raw: socket.socket = writer.get_extra_info("socket")
    raw_copy = socket.socket(fileno=raw.fileno())
    try:
        sent = await fill(raw_copy)
    finally:
        raw_copy.detach()
    assert sent < 4 * 1024 * 1024
    stream.taking.set()
    writer.write_eof()
    await stream.eof.wait()
    assert len(stream.received) == sent
    stream.outputs.put_nowait(b"")
    assert await reader.read() == b""


async def fill(raw: socket.socket) -> int:
    """Send until nothing goes any more."""
    sent, stalls = 0, 0
    while stalls < 10:
        try:
            sent += raw.send(b"y" * 65536, socket.MSG_DONTWAIT)
            stalls = 0
        except BlockingIOError:
            stalls += 1
            await asyncio.sleep(0.01)
    return sent


async def test_output_waits_for_a_client_that_does_not_read(served: Served, stream: MemoryStream) -> None:
    reader, writer = await opened(served, attach())
    transport = cast("asyncio.Transport", writer.transport)
    transport.pause_reading()
    for _ in range(200):
        stream.outputs.put_nowait(b"z" * 65536)
    for _ in range(20):
        await asyncio.sleep(0.01)
    assert stream.outputs.qsize() > 100
    transport.resume_reading()
    stream.outputs.put_nowait(b"")
    assert len(await reader.read()) == 200 * 65536


async def test_detach_keys_end_it_cleanly(served: Served) -> None:
    stream = served.engine.containers.stream = MemoryStream(detach_on=b"\x10\x11")
    reader, writer = await opened(served, attach())
    writer.write(b"ls\x10\x11")
    assert await reader.read() == b""
    await stream.closed.wait()
    assert not stream.eof.is_set()
    writer.close()


async def test_output_is_not_lost_to_unread_input(served: Served, stream: MemoryStream) -> None:
    """Closing a socket that holds unread input resets it: the client would lose what it was sent."""
    stream.taking.clear()
    reader, writer = await opened(served, attach())
    writer.write(b"nobody reads this" * 50_000)
    stream.outputs.put_nowait(b"the end")
    stream.outputs.put_nowait(b"")
    assert await reader.read() == b"the end"
    writer.close()


async def test_an_attach_to_nothing_ends_at_once(served: Served, stream: MemoryStream) -> None:
    stream.outputs.put_nowait(b"")
    assert await served.raw(attach(query=b"")) == ATTACH_HEAD


async def test_input_alone_ends_with_the_input(served: Served, stream: MemoryStream) -> None:
    reader, writer = await opened(served, attach(query=b"?stream=1&stdin=1"))
    writer.write(b"x")
    writer.write_eof()
    assert await reader.read() == b""
    assert stream.received == b"x"
    assert stream.closed.is_set()


async def test_failures_are_told_raw(served: Served) -> None:
    answer = await served.raw(attach().replace(b"box", b"nosuch"))
    assert answer == (
        b"HTTP/1.1 404 Not Found\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n"
        b"No such container: nosuch\r\n"
    )


async def exec_created(served: Served, **config: object) -> str:
    _, body = await served.ask(
        "POST", "/containers/box/exec", json={"Cmd": ["echo", "x"], "AttachStdout": True, **config}
    )
    identifier: str = body["Id"]
    return identifier


def exec_start(
    identifier: str, body: bytes = b"{}", version: bytes = b"/v1.55", headers: bytes = UPGRADE
) -> bytes:
    return (
        b"POST %s/exec/%s/start HTTP/1.1\r\nHost: d\r\n%s"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
        % (version, identifier.encode(), headers, len(body), body)
    )


def exec_head(kind: bytes = b"multiplexed") -> bytes:
    return (
        b"HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.%s-stream\r\nConnection: Upgrade\r\n"
        b"Upgrade: tcp\r\nApi-Version: 1.55\r\nDocker-Experimental: false\r\nOstype: linux\r\n"
        b"Server: Docker/29.7.2+wherry.0.1.0 (linux)\r\n\r\n" % kind
    )


@pytest.mark.parametrize(
    ("body", "version", "head"),
    [
        (b"{}", b"/v1.55", exec_head()),
        (b'{"Tty":true}', b"/v1.55", exec_head(b"raw")),
        (b"{}", b"/v1.41", exec_head(b"raw")),
    ],
)
async def test_exec_start(served: Served, body: bytes, version: bytes, head: bytes) -> None:
    identifier = await exec_created(served, Tty=b"Tty" in body)
    stream = served.engine.execs.stream = MemoryStream()
    stream.outputs.put_nowait(b"x\n")
    stream.outputs.put_nowait(b"")
    assert await served.raw(exec_start(identifier, body, version)) == head + b"x\n"


async def test_exec_start_without_upgrade(served: Served) -> None:
    identifier = await exec_created(served)
    stream = served.engine.execs.stream = MemoryStream()
    stream.outputs.put_nowait(b"")
    answer = await served.raw(exec_start(identifier, headers=b""))
    assert answer.startswith(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\nApi-Version: 1.55\r\n"
    )


async def test_exec_input_behind_the_body(served: Served) -> None:
    identifier = await exec_created(served)
    stream = served.engine.execs.stream = MemoryStream()
    reader, writer = await served.connect()
    writer.write(exec_start(identifier) + b"input")
    writer.write_eof()
    await stream.eof.wait()
    assert stream.received == b"input"
    stream.outputs.put_nowait(b"")
    assert (await reader.read()).endswith(b"\r\n\r\n")
    writer.close()


async def test_exec_start_detached(served: Served) -> None:
    identifier = await exec_created(served)
    answer = await served.ask("POST", f"/exec/{identifier}/start", json={"Detach": True})
    assert answer == (200, "")
    assert served.engine.execs.calls[-1] == ("start", identifier, True, None)


async def test_exec_start_that_fails_tells_it_in_the_stream(served: Served) -> None:
    identifier = await exec_created(served)
    served.engine.execs.failure = errdefs.InvalidArgument("OCI runtime exec failed")
    text = b"OCI runtime exec failed\r\n"
    framed = b"\x01\x00\x00\x00" + struct.pack(">I", len(text)) + text
    assert await served.raw(exec_start(identifier)) == exec_head() + framed
    assert await served.raw(exec_start(identifier, b'{"Tty":true}')) == exec_head(b"raw") + text


async def test_the_server_ends_its_raw_streams(served: Served, stream: MemoryStream) -> None:
    reader, _ = await opened(served, attach())
    await asyncio.wait_for(served.server.close(30), 5)
    assert await reader.read() == b""
    assert stream.closed.is_set()


async def test_many_attaches_leave_nothing(served: Served, open_files: Callable[[], int]) -> None:
    # With its first connection uvloop opens a file that it keeps.
    await served.raw(b"GET /_ping HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n")
    before = open_files()
    for _ in range(50):
        stream = served.engine.containers.stream = MemoryStream()
        stream.outputs.put_nowait(b"")
        await served.raw(attach())
    for _ in range(100):
        if open_files() <= before and not served.server.connections:
            break
        await asyncio.sleep(0.01)
    assert open_files() <= before
    assert not served.server.connections
