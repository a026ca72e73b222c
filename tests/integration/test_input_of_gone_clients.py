"""Clients that go while a process does not read its input yet: it gets all of that, and the end, when it likes."""

import asyncio
import contextlib
import subprocess

import aiohttp
import pytest

from tests.daemon import Wherryd
from tests.integration.test_bad_clients import attach, descriptors, settles
from tests.waiting import eventually

pytestmark = pytest.mark.root

LATE = "sleep 12; wc -c"
"""It reads later than anyone is waited for who has merely gone silent."""
SENT = 1 << 19  # bytes: more than a pipe holds, less than a client must wait for


def make(wherryd: Wherryd, name: str, command: str) -> None:
    wherryd.docker("create", "-i", "--name", name, "busybox", "sh", "-c", command)
    wherryd.docker("start", name)


def kill_a_client(wherryd: Wherryd, *args: str) -> None:
    """Kill a client that has said that much, and would say more."""
    with subprocess.Popen(["docker", *args], env=wherryd.client_env, stdin=subprocess.PIPE) as client:
        assert client.stdin is not None
        client.stdin.write(b"x" * 2 * SENT)  # the client itself holds no more than the pipe to it and a read
        client.kill()
        with contextlib.suppress(BrokenPipeError):
            client.stdin.close()


async def close_a_websocket(wherryd: Wherryd, name: str) -> None:
    connector = aiohttp.UnixConnector(str(wherryd.socket))
    async with aiohttp.ClientSession(connector=connector) as session:
        socket = await session.ws_connect(f"http://d/containers/{name}/attach/ws?stream=1&stdin=1&stdout=1")
        for _ in range(8):
            await socket.send_bytes(b"x" * (SENT // 8))
        assert socket._response.connection is not None
        transport = socket._response.connection.transport
        assert transport is not None
        transport.close()


def test_a_process_that_reads_late(wherryd: Wherryd) -> None:
    before = descriptors(wherryd)
    for name in ("closed", "websocket"):
        make(wherryd, name, LATE)
    make(wherryd, "other", "sleep 1000")
    with attach(wherryd, "closed") as client:
        client.sendall(b"x" * SENT)
    asyncio.run(close_a_websocket(wherryd, "websocket"))
    kill_a_client(wherryd, "run", "-i", "--name", "killed", "busybox", "sh", "-c", LATE)
    kill_a_client(wherryd, "exec", "-i", "other", "sh", "-c", f"({LATE}) >/said.new; mv /said.new /said")
    for name in ("closed", "websocket", "killed"):
        assert wherryd.docker("wait", name).stdout == "0\n"
    for name in ("closed", "websocket"):
        assert wherryd.docker("logs", name).stdout == f"{SENT}\n"
    assert int(wherryd.docker("logs", "killed").stdout) >= SENT
    eventually(lambda: not wherryd.docker("exec", "other", "test", "-e", "/said", check=False).returncode)
    assert int(wherryd.docker("exec", "other", "cat", "/said").stdout) >= SENT
    wherryd.docker("rm", "-f", "closed", "websocket", "killed", "other")
    settles(lambda: descriptors(wherryd), before)


def test_a_process_that_never_reads(wherryd: Wherryd) -> None:
    """What waits for it goes with it."""
    before = descriptors(wherryd)
    make(wherryd, "deaf", "exec sleep 1000")
    for _ in range(20):
        with attach(wherryd, "deaf") as client, contextlib.suppress(TimeoutError):
            client.settimeout(0.1)
            client.sendall(b"x" * 16 * SENT)
    wherryd.docker("rm", "-f", "deaf")
    settles(lambda: descriptors(wherryd), before)
