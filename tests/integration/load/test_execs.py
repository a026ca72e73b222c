"""Storms of execs: many at once in one container, and while it ends."""

import asyncio

import pytest

from tests.daemon import Wherryd
from tests.integration.load.crowd import PATIENCE, Crowd, descriptors, settles

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
    container = await crowd.run("ending", Cmd=["sh", "-c", "until [ -e /end ]; do sleep 0.02; done"])
    begun = asyncio.Event()

    async def one(number: int) -> bool:
        """Whether an exec began."""
        asked = {"Cmd": ["true"], "AttachStdout": True}
        created = await crowd.call("POST", f"containers/{container}/exec", asked)
        if created.status != 201:
            assert created.status in (404, 409), created
            return False
        answer = await crowd.call("POST", f"exec/{created.json['Id']}/start", {"Detach": number % 2 == 0})
        assert answer.status in (200, 404, 409), answer
        return answer.status == 200

    async def one_after_the_other(number: int) -> None:
        """Until one is refused."""
        await asyncio.sleep(number * 0.02)
        while await one(number):
            begun.set()

    async def ending() -> None:
        await begun.wait()
        await asyncio.sleep(0.1)
        if end == "remove":
            await crowd.remove([container])
        elif end == "exit":
            touch = await exec_create(crowd, container, "touch", "/end")
            await crowd.done("POST", f"exec/{touch}/start", {"Detach": True})
        else:
            await crowd.done("POST", f"containers/{container}/{end}")

    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(ending(), *map(one_after_the_other, range(15)))
    assert begun.is_set()
    if end != "remove":
        await settles(lambda: wherryd.get("/containers/ending/json").json["State"]["Status"] == "exited")
        await crowd.remove([container])
