"""Restart policies of many containers that end at once: they take their turns, and a stop always wins."""

import asyncio
import time

import pytest

from tests.daemon import Wherryd
from tests.integration.load.crowd import PATIENCE, Crowd, settles, ticks

pytestmark = pytest.mark.root

MANY = 50
ALWAYS = {"NetworkMode": "none", "RestartPolicy": {"Name": "always"}}


async def counts(crowd: Crowd) -> list[int]:
    """How often each container was started again."""
    return [
        (await crowd.done("GET", f"containers/{each['Id']}/json"))["RestartCount"]
        for each in await crowd.list()
    ]


async def test_a_storm_of_restarts(wherryd: Wherryd, crowd: Crowd) -> None:
    """Each waits twice as long every time; what is stopped meanwhile stays stopped, whatever it was about to do."""
    ids = await asyncio.gather(
        *(crowd.create(f"again{number}", Cmd=["true"], HostConfig=ALWAYS) for number in range(MANY))
    )
    begun = time.monotonic()
    assert await crowd.statuses(("POST", f"containers/{each}/start") for each in ids) == {204: MANY}
    while min(found := await counts(crowd)) < 2:
        assert time.monotonic() < begun + PATIENCE
        await asyncio.sleep(0.2)
    # 0.1 + 0.2 + 0.4 + … seconds between the starts.
    assert max(found) <= (time.monotonic() - begun) / 0.1
    stopped = await crowd.statuses(("POST", f"containers/{each}/stop") for each in ids)
    assert stopped[204] + stopped[304] == MANY
    assert {each["State"] for each in await crowd.list()} == {"exited"}
    still = await counts(crowd)
    worked = ticks(wherryd.pid)
    await asyncio.sleep(2)
    assert await counts(crowd) == still
    assert {each["State"] for each in await crowd.list()} == {"exited"}
    assert ticks(wherryd.pid) - worked < 60, "nothing goes on in the daemon"
    await crowd.remove(ids)


async def test_removals_amid_restarts(crowd: Crowd) -> None:
    ids = await asyncio.gather(
        *(crowd.create(f"again{number}", Cmd=["true"], HostConfig=ALWAYS) for number in range(MANY // 2))
    )
    assert await crowd.statuses(("POST", f"containers/{each}/start") for each in ids) == {204: MANY // 2}
    await asyncio.sleep(0.5)
    await crowd.remove(ids)
    assert await crowd.list() == []


async def test_starts_that_fail_are_bounded(wherryd: Wherryd, crowd: Crowd) -> None:
    """`on-failure:3`: three more tries, and then the end."""
    policy = {"NetworkMode": "none", "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3}}
    ids = [await crowd.run(f"fails{number}", Cmd=["false"], HostConfig=policy) for number in range(10)]
    await settles(
        lambda: {each["State"] for each in wherryd.get("/containers/json?all=1").json} == {"exited"}, PATIENCE
    )
    assert await counts(crowd) == [3] * 10
    await crowd.remove(ids)
