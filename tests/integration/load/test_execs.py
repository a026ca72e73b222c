"""Storms of execs: many at once in one container, and while it ends."""

import asyncio
from collections import Counter

import pytest

from tests.daemon import Wherryd
from tests.integration.load.crowd import Crowd, descriptors, settles

pytestmark = pytest.mark.root

MANY = 100


async def exec_create(crowd: Crowd, container: str, *command: str) -> str:
    body = {"Cmd": command, "AttachStdout": True, "AttachStderr": True}
    return str((await crowd.done("POST", f"containers/{container}/exec", body))["Id"])


async def test_a_hundred_execs_in_one_container(wherryd: Wherryd, crowd: Crowd) -> None:
    """Each gets its own output and exit code; nothing of them stays."""
    container = await crowd.run("busy")
    before = descriptors(wherryd.pid)

    async def one(number: int) -> None:
        script = f"echo begin-{number}; echo end-{number} >&2; exit {number}"
        exec_id = await exec_create(crowd, container, "sh", "-c", script)
        output = await crowd.hijack(f"exec/{exec_id}/start", {"Detach": False})
        assert sorted(output) == sorted([(1, f"begin-{number}\n".encode()), (2, f"end-{number}\n".encode())])
        found = await crowd.done("GET", f"exec/{exec_id}/json")
        assert (found["Running"], found["ExitCode"]) == (False, number)

    await asyncio.gather(*map(one, range(MANY)))
    assert (await crowd.done("GET", f"containers/{container}/json"))["ExecIDs"] is None
    await settles(lambda: descriptors(wherryd.pid) <= before)
    top = await crowd.done("GET", f"containers/{container}/top")
    assert len(top["Processes"]) == 1
    await crowd.remove([container])


@pytest.mark.parametrize("end", ["kill", "stop", "remove", "exit"])
async def test_execs_while_the_container_ends(wherryd: Wherryd, crowd: Crowd, end: str) -> None:
    """An exec ran whole, was killed with its container, or is refused; the end waits for none of them."""
    command = ["sh", "-c", "sleep 0.3"] if end == "exit" else ["sleep", "1000"]
    container = await crowd.run("ending", Cmd=command)
    outcomes = Counter[str]()

    async def one(number: int) -> None:
        await asyncio.sleep(number * 0.02)
        created = await crowd.call(
            "POST", f"containers/{container}/exec", {"Cmd": ["true"], "AttachStdout": True}
        )
        if created.status != 201:
            assert created.status in (404, 409), created
            outcomes["refused"] += 1
            return
        exec_id = created.json["Id"]
        begun = await crowd.call("POST", f"exec/{exec_id}/start", {"Detach": number % 2 == 0})
        assert begun.status in (200, 404, 409), begun
        outcomes["begun" if begun.status == 200 else "refused"] += 1

    async def ending() -> None:
        await asyncio.sleep(0.3)
        if end == "remove":
            await crowd.remove([container])
        elif end != "exit":
            await crowd.done("POST", f"containers/{container}/{end}")

    await asyncio.gather(ending(), *map(one, range(30)))
    assert outcomes["begun"] > 0
    assert outcomes["refused"] > 0
    if end != "remove":
        await settles(lambda: wherryd.get("/containers/ending/json").json["State"]["Status"] == "exited")
        await crowd.remove([container])
