"""A thousand who listen to events: each is told each event once and in order, and none costs more than its buffer."""

import asyncio
import json
from contextlib import AsyncExitStack

import pytest

from tests.daemon import Wherryd
from tests.integration.load.crowd import Crowd, Listening, descriptors, rss, settles

pytestmark = pytest.mark.root

MANY = 1000
MUTE = 50
LARGE = 20_000  # bytes of a label, and so of an event
EACH = 256  # KiB that one who never reads may cost: buffers of the loop and a few events


async def lives(crowd: Crowd, number: int, **labels: str) -> list[tuple[str, str]]:
    """Create and remove containers, one after the other; (action, id) of the events that have to come of it."""
    expected = []
    for _ in range(number):
        container = await crowd.create(Labels=labels)
        await crowd.remove([container])
        expected += [("create", container), ("destroy", container)]
    return expected


async def told(listening: Listening, number: int) -> list[tuple[str, str]]:
    """What a listener is told next."""
    events = [json.loads(await listening.line()) for _ in range(number)]
    return [(event["Action"], event["Actor"]["ID"]) for event in events]


async def test_a_thousand_listeners(wherryd: Wherryd, crowd: Crowd) -> None:
    files, memory = descriptors(wherryd.pid), rss(wherryd.pid)
    async with AsyncExitStack() as stack:
        begun = [stack.enter_async_context(crowd.listening("events")) for _ in range(MANY)]
        listeners = await asyncio.gather(*begun)
        assert (await crowd.done("GET", "info"))["NEventsListener"] == MANY
        expected = await lives(crowd, 5)
        for every in await asyncio.gather(*(told(each, len(expected)) for each in listeners)):
            assert every == expected
        assert rss(wherryd.pid) - memory < MANY * 64
    await settles(lambda: descriptors(wherryd.pid) <= files)
    await settles(lambda: wherryd.get("/info").json["NEventsListener"] == 0)


async def test_listeners_that_never_read(wherryd: Wherryd, crowd: Crowd) -> None:
    """They cost what their buffers hold; one that reads in the end has missed nothing."""
    files, memory = descriptors(wherryd.pid), rss(wherryd.pid)
    async with AsyncExitStack() as stack:
        listeners = [await stack.enter_async_context(crowd.listening("events")) for _ in range(MUTE)]
        expected = await lives(crowd, 150, large="x" * LARGE)
        # The events themselves are held once for all, until all have taken them.
        assert rss(wherryd.pid) - memory < MUTE * EACH + 2 * len(expected) * LARGE // 1024
        assert await told(listeners[0], len(expected)) == expected
    await settles(lambda: descriptors(wherryd.pid) <= files)
