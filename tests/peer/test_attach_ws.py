"""Attaching by WebSocket: the same messages of the same kind as from a real dockerd."""

import asyncio
from typing import Any

import aiohttp
import pytest

from tests.daemon import Wherryd
from tests.peer.peer import Both, Peer

pytestmark = pytest.mark.root

SCRIPT = "cat; sleep 0.2; echo err >&2; sleep 0.2; echo out; exit 3"
Messages = list[tuple[str, bytes | str]]


async def talk(side: Wherryd | Peer, version: str, query: str, *, tty: bool) -> tuple[Messages, int | None]:
    """Attach before the start, say something, and hear all of it: messages and the closing code."""
    flags = ("-it",) if tty else ("-i",)
    create = ("create", *flags, "--name", "peer-ws", "--net", "none", "busybox", "sh", "-c", SCRIPT)
    await asyncio.to_thread(side.docker, *create)
    connector = aiohttp.UnixConnector(str(side.socket))
    heard: Messages = []
    try:
        async with aiohttp.ClientSession(connector=connector) as session:
            url = f"http://d/v{version}/containers/peer-ws/attach/ws?{query}"
            async with session.ws_connect(url) as socket:
                await asyncio.to_thread(side.docker, "start", "peer-ws")
                await socket.send_str("hi\n")
                await socket.send_bytes(b"\x04" if tty else b"ho\n")
                if not tty:
                    async with asyncio.timeout(20):
                        while "ho\n" not in said(heard)[1]:
                            message = await socket.receive()
                            heard.append((message.type.name, message.data))
                    await asyncio.to_thread(_end, side)
                async for message in socket:
                    heard.append((message.type.name, message.data))
                return heard, socket.close_code
    finally:
        await asyncio.to_thread(side.docker, "rm", "-f", "peer-ws")


def _end(side: Wherryd | Peer) -> None:
    side.docker("exec", "peer-ws", "sh", "-c", "kill $(pidof cat)", check=False)


def said(heard: Messages) -> Any:
    """The kinds of messages, and what they say together: where one ends and the next begins is chance."""
    kinds = {kind for kind, _ in heard}
    text = "".join(data if isinstance(data, str) else data.decode() for _, data in heard)
    return kinds, text


@pytest.mark.parametrize("version", ["1.24", "1.27", "1.28", "1.41", "1.42", "1.45"])
@pytest.mark.parametrize("tty", [False, True])
async def test_all_streams(both: Both, version: str, tty: bool) -> None:
    query = "stream=1&stdin=1&stdout=1&stderr=1"
    (ours, our_code), (theirs, their_code) = await asyncio.gather(
        *(talk(side, version, query, tty=tty) for side in (both.wherryd, both.peer))
    )
    assert said(ours) == said(theirs)
    assert our_code == their_code


@pytest.mark.parametrize("version", ["1.41", "1.45"])
async def test_what_is_not_asked_for_is_not_told(both: Both, version: str) -> None:
    """Before 1.42 the query chooses nothing."""
    query = "stream=1&stdin=1&stdout=1"
    (ours, _), (theirs, _) = await asyncio.gather(
        *(talk(side, version, query, tty=False) for side in (both.wherryd, both.peer))
    )
    assert said(ours) == said(theirs)
