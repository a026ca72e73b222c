"""Connections that idle, dawdle, vanish or bring too much: the daemon serves on and keeps nothing of them."""

import asyncio
import contextlib
import json
import select
import socket
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from tests.daemon import Wherryd
from tests.integration.load.crowd import Crowd, descriptors, rss, settles, ticks

pytestmark = pytest.mark.root

IDLE = 3000
FEW = 300  # files that a daemon may have open
BODY = 64 << 20


@contextlib.contextmanager
def idlers(daemon: Wherryd, number: int, sent: bytes = b"") -> Iterator[list[socket.socket]]:
    """Connections on which that much is sent, and no more."""
    with contextlib.ExitStack() as stack:
        opened = []
        for _ in range(number):
            client = stack.enter_context(socket.socket(socket.AF_UNIX))
            client.connect(str(daemon.socket))  # blocks while the backlog is full
            client.sendall(sent)
            opened.append(client)
        yield opened


@pytest.mark.parametrize("sent", [b"", b"GET /containers/json HTTP/1.1\r\nHost: d\r\nX-Slow: a"])
async def test_thousands_that_idle(wherryd: Wherryd, crowd: Crowd, sent: bytes) -> None:
    files, memory = descriptors(wherryd.pid), rss(wherryd.pid)
    with idlers(wherryd, IDLE, sent):
        await settles(lambda: descriptors(wherryd.pid) >= IDLE)
        assert rss(wherryd.pid) - memory < IDLE * 24
        container = await crowd.run("busy")
        await crowd.remove([container])
        worked = ticks(wherryd.pid)
        await asyncio.sleep(0.5)
        assert ticks(wherryd.pid) - worked < 10
    await settles(lambda: descriptors(wherryd.pid) <= files)


async def test_more_that_idle_than_there_are_files(start_daemon: Callable[..., Wherryd]) -> None:
    """One too many is told so, and later the longest idle make room, also for what a container takes."""
    daemon = await asyncio.to_thread(partial(start_daemon, wrapper=["prlimit", f"--nofile={FEW}:{FEW}"]))
    with idlers(daemon, 3 * FEW) as opened:
        await settles(lambda: select.select(opened[-1:], [], [], 0)[0])
        assert b" 503 Service Unavailable" in opened[-1].recv(1000)
        await asyncio.sleep(1.1)  # from then on they are idle, and not only about to ask
        assert daemon.docker("run", "--rm", "busybox", "echo", "served").stdout == "served\n"
        assert descriptors(daemon.pid) < FEW
        assert opened[0].recv(1) == b""
    assert "Too many open files" not in daemon.log_tail(1000)


async def test_bodies_of_64_mib(wherryd: Wherryd, crowd: Crowd) -> None:
    """Where JSON is read it is refused in time; where an archive is read it is read to its end, and is none."""
    memory = rss(wherryd.pid)
    huge = b'{"Image":"' + b"x" * BODY + b'"}'

    async def status(path: str, kind: str) -> int:
        reader, writer = await asyncio.open_unix_connection(str(wherryd.socket))
        head = f"POST /v1.45/{path} HTTP/1.1\r\nHost: d\r\nContent-Type: {kind}\r\nContent-Length: {len(huge)}\r\n\r\n"
        writer.write(head.encode() + huge)
        try:
            answer = await reader.readuntil(b"\r\n")
        finally:
            writer.transport.abort()
        return int(answer.split()[1])

    json_paths = ("containers/create", "volumes/create", "containers/none/update", "commit?container=none")
    answers = await asyncio.gather(*(status(path, "application/json") for path in json_paths))
    assert set(answers) == {400}
    assert await status("images/load", "application/x-tar") in (200, 400, 500)
    assert rss(wherryd.pid) - memory < 64 * 1024


async def test_hijackers_that_vanish_at_every_moment(wherryd: Wherryd, crowd: Crowd) -> None:
    """Attached, in an exec, with input that nobody takes yet, before the head has come."""
    container = await crowd.run("hijacked", Cmd=["sh", "-c", "exec yes"], OpenStdin=True, HostConfig=UNLOGGED)
    quiet = await crowd.run("quiet", OpenStdin=True)
    files = descriptors(wherryd.pid)

    async def vanish(number: int) -> None:
        target = container if number % 2 else quiet
        path = f"containers/{target}/attach?stream=1&stdin=1&stdout=1"
        body: dict[str, object] = {}
        if number % 5 == 0:
            asked = {"Cmd": ["cat"], "AttachStdin": True, "AttachStdout": True}
            path = f"exec/{(await crowd.done('POST', f'containers/{quiet}/exec', asked))['Id']}/start"
        reader, writer = await asyncio.open_unix_connection(str(wherryd.socket), limit=1 << 16)
        data = json.dumps(body).encode()
        head = f"POST /v1.45/{path} HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
        writer.write(head.encode() + data)
        if number % 3:
            await reader.readuntil(b"\r\n\r\n")
        if number % 4 == 0:
            writer.write(b"x" * 100_000)
        await asyncio.sleep(number % 7 * 0.01)
        writer.transport.abort()

    for begin in range(0, 200, 50):
        await asyncio.gather(*map(vanish, range(begin, begin + 50)))
    await settles(lambda: descriptors(wherryd.pid) <= files)
    worked = ticks((await crowd.state(container))["Pid"])
    await settles(lambda: ticks(wherryd.get("/containers/hijacked/json").json["State"]["Pid"]) > worked)
    await settles(lambda: len(wherryd.get("/containers/quiet/top").json["Processes"]) == 1)
    await crowd.remove([container, quiet])


UNLOGGED = {"NetworkMode": "none", "LogConfig": {"Type": "none", "Config": {}}}
