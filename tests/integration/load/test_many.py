"""A hundred clients at once, on containers of their own and on one name: each outcome fits into one order of events."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.load.crowd import PATIENCE, SLEEP, Crowd

pytestmark = pytest.mark.root

MANY = 100
NAMES = [f"many{number}" for number in range(MANY)]


def verb(verb: str, names: list[str]) -> Iterator[tuple[str, str]]:
    return (("POST", f"containers/{name}/{verb}") for name in names)


async def test_a_hundred_containers_at_once(crowd: Crowd) -> None:
    """Every verb on each, twice at the same time: it is done once, and the other one is told why not."""
    created = await crowd.statuses(("POST", f"containers/create?name={name}", SLEEP) for name in NAMES * 2)
    assert created == {201: MANY, 409: MANY}
    assert await crowd.statuses(verb("start", NAMES * 2)) == {204: MANY, 304: MANY}
    assert {each["State"] for each in await crowd.list()} == {"running"}
    stopped = await crowd.statuses(verb("stop", NAMES * 2))
    assert MANY <= stopped[204] <= 2 * MANY == stopped[204] + stopped[304]
    assert {each["State"] for each in await crowd.list()} == {"exited"}
    removed = await crowd.statuses(("DELETE", f"containers/{name}") for name in NAMES * 2)
    assert removed[204] == MANY == removed[404] + removed[409]
    assert await crowd.list() == []


async def test_a_hundred_running_ones_are_removed_at_once(crowd: Crowd) -> None:
    assert await crowd.statuses(("POST", f"containers/create?name={name}", SLEEP) for name in NAMES) == {
        201: MANY
    }
    assert await crowd.statuses(verb("start", NAMES)) == {204: MANY}
    removed = await crowd.statuses(("DELETE", f"containers/{name}?force=1") for name in NAMES * 2)
    assert removed[204] == MANY == removed[404] + removed[409]


async def test_the_same_verb_on_one_container(crowd: Crowd) -> None:
    one = ["one"] * MANY
    assert await crowd.statuses([("POST", "containers/create?name=one", SLEEP)] * MANY) == {
        201: 1,
        409: MANY - 1,
    }
    assert await crowd.statuses(verb("start", one)) == {204: 1, 304: MANY - 1}
    assert await crowd.statuses(verb("pause", one)) == {204: 1, 409: MANY - 1}
    assert await crowd.statuses(verb("unpause", one)) == {204: 1, 409: MANY - 1}
    killed = await crowd.statuses(verb("kill", one))
    assert killed[204] >= 1
    assert killed[204] + killed[409] == MANY
    removed = await crowd.statuses([("DELETE", "containers/one")] * MANY)
    assert removed[204] == 1
    assert removed[404] + removed[409] == MANY - 1


async def test_what_is_asked_of_a_container_while_it_ends_is_answered(crowd: Crowd) -> None:
    """Run after run: it is done, or the container does not run; nothing waits for a shim that has left."""
    container = await crowd.create("brief")
    over = asyncio.Event()
    asked = ("resize?h=10&w=10", "pause", "unpause", "update")

    async def ask(verb: str) -> Counter[int]:
        statuses = Counter[int]()
        while not over.is_set():
            body = {"Memory": 64 << 20, "MemorySwap": -1} if verb == "update" else None
            answer = await crowd.call("POST", f"containers/{container}/{verb}", body)
            assert answer.status < 500, (verb, answer)
            statuses[answer.status] += 1
        return statuses

    async def live() -> None:
        for _ in range(15):
            await crowd.call("POST", f"containers/{container}/start")
            await asyncio.sleep(0.02)
            await crowd.call("POST", f"containers/{container}/kill")
        over.set()

    async with asyncio.timeout(PATIENCE / 2):
        *answered, _ = await asyncio.gather(*map(ask, asked), live())
    assert all(statuses for statuses in answered)
    await crowd.remove([container])


LIVES = 8
CHOICES: list[tuple[Any, ...]] = [
    ("POST", "containers/create?name=same", SLEEP),
    ("POST", "containers/same/start"),
    ("POST", "containers/same/stop"),
    ("POST", "containers/same/kill"),
    ("DELETE", "containers/same?force=1"),
]


async def test_everything_on_one_name_has_an_order(crowd: Crowd) -> None:
    """The events are the order: one container of the name at a time, each life a legal one, each success in it."""
    told: list[tuple[str, str]] = []
    listening = asyncio.Event()
    events = asyncio.get_running_loop().create_task(_listen(crowd, told, listening))
    try:
        await listening.wait()
        done = await _several_lives(crowd)
        if left := [each["Id"] for each in await crowd.list()]:
            await crowd.remove(left)
        await crowd.done("POST", "images/busybox/tag?repo=busybox&tag=last")
        await events
    finally:
        events.cancel()
        await crowd.call("DELETE", "images/busybox:last")
    _require_order(told)
    count = Counter(action for action, _ in told)
    assert count["create"] == done["containers/create"]
    assert count["start"] == done["containers/same/start"]
    assert count["destroy"] == count["create"]


async def _several_lives(crowd: Crowd) -> Counter[str]:
    """How often each path was a success, of calls by twelve clients, until there were some lives.

    Where a create takes its time (a slow disk), hundreds of calls in the meantime only learn that there is
    no such container yet: it takes as many calls as it takes.
    """
    dice = random.Random(3)
    done = Counter[str]()

    async def client() -> None:
        while done["containers/create"] < LIVES or done["containers/same/start"] < LIVES:
            (call,) = dice.choices(CHOICES, (4, 4, 1, 1, 2))
            answer = await crowd.call(*call)
            assert answer.status in (201, 204, 304, 404, 409), (call, answer)
            done[call[1].partition("?")[0]] += answer.status in (201, 204)

    async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as clients:
        for _ in range(12):
            clients.create_task(client())
    return done


async def _listen(crowd: Crowd, told: list[tuple[str, str]], listening: asyncio.Event) -> None:
    """(action, id) of every event of containers, as it is told, until the image gets another name."""
    async with crowd.streaming("events") as lines:
        listening.set()
        async for line in lines:
            event = json.loads(line)
            if event["Type"] == "container":
                told.append((event["Action"], event["Actor"]["ID"]))
            elif event["Action"] == "tag":
                return
    raise AssertionError("the events ended")


NEXT = {
    "": {"create"},
    "create": {"start", "destroy"},
    "start": {"kill", "die"},
    "kill": {"kill", "die", "stop"},
    "die": {"stop", "start", "destroy", "kill"},
    "stop": {"stop", "start", "destroy", "kill"},
}


def _require_order(told: list[tuple[str, str]]) -> None:
    """One container at a time; what happened to each could happen after what had happened before."""
    living, last = "", ""
    running = False
    for action, container in told:
        if action == "create":
            assert not living, f"{container[:12]} was created while {living[:12]} lived"
            living, running, last = container, False, ""
        assert container == living, f"{action} of {container[:12]} while {living[:12]} lived"
        assert action in NEXT[last], f"{action} after {last or 'nothing'}: {told}"
        assert (action == "start") <= (not running)
        assert (action == "die") <= running
        assert (action == "destroy") <= (not running)
        running = action == "start" or (running and action != "die")
        last = action
        if action == "destroy":
            living = ""
    assert not living
