"""The daemon, or its shims, killed while many things are under way: each is done or undone, and nothing is left."""

import asyncio
import os
import random
import signal
import sqlite3
from contextlib import closing
from typing import Any

import aiohttp
import pytest

from runtime.leftovers import find_shims
from tests.daemon import Wherryd
from tests.integration.load.crowd import Crowd, settles

pytestmark = pytest.mark.root

MANY = 24
ROUNDS = 4


async def life(crowd: Crowd, name: str, told: dict[str, str]) -> None:
    """Create, start, use, stop and remove, over and over, noting the last that was told to be done."""
    while True:
        container = await crowd.create(name, HostConfig={"NetworkMode": "none", "Binds": [f"{name}:/v"]})
        told[name] = "created"
        await crowd.done("POST", f"containers/{container}/start")
        told[name] = "running"
        await crowd.done("POST", f"containers/{container}/kill")
        told[name] = "exited"
        told[name] += "?"  # from here on its removal is under way
        await crowd.done("DELETE", f"containers/{container}?v=1")
        told[name] = ""


async def until_killed(crowd: Crowd, name: str, told: dict[str, str]) -> None:
    try:
        await life(crowd, name, told)
    except (aiohttp.ClientError, OSError):
        return


def agrees(told: str, found: str) -> bool:
    """Whether what is found fits what was told last, or the step after it, which was under way."""
    after = {"": "created", "created": "running", "running": "exited", "exited?": ""}
    return found in (told.removesuffix("?"), after[told])


async def test_the_daemon_killed_in_a_storm(mortal: Wherryd) -> None:
    told: dict[str, str] = {}
    dice = random.Random(5)
    for _ in range(ROUNDS):
        async with Crowd(mortal) as crowd, asyncio.TaskGroup() as group:
            for number in range(MANY):
                told[f"storm{number}"] = ""
                group.create_task(until_killed(crowd, f"storm{number}", told))
            await asyncio.sleep(0.3 + dice.random())
            await asyncio.to_thread(mortal.kill9)
        await asyncio.to_thread(mortal.start)
        async with Crowd(mortal) as crowd:
            found = {each["Names"][0][1:]: each for each in await crowd.list()}
            for name, last in told.items():
                state = found[name]["State"] if name in found else ""
                assert agrees(last, state), (
                    f"{name}: {last or 'removed'} was told, {state or 'none'} is found"
                )
            await settles(lambda: agrees_with_the_kernel(mortal))  # one that was killed may be ending
            await crowd.remove([each["Id"] for each in found.values()])
            for volume in (await crowd.done("GET", "volumes"))["Volumes"] or []:
                await crowd.done("DELETE", f"volumes/{volume['Name']}")
    with closing(sqlite3.connect(mortal.data_root / "state.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    for place in ("containers", "snapshots/active", "snapshots/tmp", "volumes"):
        assert os.listdir(mortal.data_root / place) == []


def agrees_with_the_kernel(mortal: Wherryd) -> bool:
    """Whether those that run, as is told, are those that have a shim, and their processes are there."""
    listed = [each["Id"] for each in mortal.get("/containers/json").json]
    told = {each: mortal.state(each) for each in listed}
    pids = {each: state["Pid"] for each, state in told.items() if state["Running"]}
    shims = {shim.container_id for shim in find_shims(mortal.exec_root)}
    return pids.keys() == shims and all(os.path.exists(f"/proc/{pid}") for pid in pids.values())


async def test_stops_while_a_boot_brings_containers_back(mortal: Wherryd) -> None:
    """A container that waits for its turn is stopped as one that runs; the next boot brings it back, as in Docker."""
    policy = {"NetworkMode": "none", "RestartPolicy": {"Name": "always"}}
    async with Crowd(mortal) as crowd:
        ids = [await crowd.create(Cmd=["sleep", "0.2"], HostConfig=policy) for _ in range(MANY // 2)]
        assert await crowd.statuses(("POST", f"containers/{each}/start") for each in ids) == {204: len(ids)}
    for _ in range(2):
        await asyncio.to_thread(mortal.kill9)
        await asyncio.sleep(0.3)
        await asyncio.to_thread(mortal.start)
        async with Crowd(mortal) as crowd:
            stopped = await crowd.statuses(("POST", f"containers/{each}/stop?t=0") for each in ids)
            assert stopped == {204: len(ids)}
            await asyncio.sleep(1)
            assert {each["State"] for each in await crowd.list()} == {"exited"}
    await asyncio.to_thread(mortal.restart)
    async with Crowd(mortal) as crowd:
        assert not {each["State"] for each in await crowd.list()} - {"running", "restarting"}
        await crowd.remove(ids)


async def test_all_shims_killed_at_once(mortal: Wherryd) -> None:
    """Each container is killed, told why and given back; the next start is one as any other."""
    async with Crowd(mortal) as crowd:
        ids = [await crowd.create() for _ in range(MANY)]
        assert await crowd.statuses(("POST", f"containers/{each}/start") for each in ids) == {204: MANY}
        for shim in find_shims(mortal.exec_root):
            os.kill(shim.pid, signal.SIGKILL)
        await settles(lambda: all(state["Status"] == "exited" for state in states(mortal, ids)))
        for state in states(mortal, ids):
            assert (state["ExitCode"], state["Error"]) == (137, "its shim died, and the container was killed")
        assert await crowd.statuses(("POST", f"containers/{each}/start") for each in ids) == {204: MANY}
        await crowd.remove(ids)


async def test_shims_killed_while_they_are_born_and_end(mortal: Wherryd) -> None:
    """Whatever a shim was doing: its container can be started, stopped and removed."""
    dice = random.Random(7)
    over = asyncio.Event()

    async def kill() -> None:
        while not over.is_set():
            if shims := await asyncio.to_thread(find_shims, mortal.exec_root):
                try:
                    os.kill(dice.choice(shims).pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            await asyncio.sleep(0.03)

    async with Crowd(mortal) as crowd:

        async def one(number: int) -> None:
            container = await crowd.create(f"short{number}")
            for _ in range(3):
                for verb in ("start", "exec", "stop"):
                    body: Any = {"Cmd": ["true"]} if verb == "exec" else None
                    answer = await crowd.call("POST", f"containers/{container}/{verb}", body)
                    assert answer.status in (201, 204, 304, 409, 500), answer
                    assert b"internal error" not in answer.body
            await crowd.remove([container])

        killing = asyncio.get_running_loop().create_task(kill())
        await asyncio.gather(*map(one, range(12)))
        over.set()
        await killing
        async with asyncio.timeout(20):
            container = await crowd.run("well")
            await crowd.remove([container])


def states(mortal: Wherryd, ids: list[str]) -> list[dict[str, Any]]:
    return [mortal.get(f"/containers/{each}/json").json["State"] for each in ids]
