"""Workers that are born ahead: many at once, after their server's death, and none that is left."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from errdefs import SystemFailure
from runtime.copying.order import CopyFiles, MakeDirectory, MakeFile, Selection
from runtime.copying.workers import Workers
from tests.waiting import dies

pytestmark = pytest.mark.root


async def test_many_orders_at_once(workers: Workers, root: Path, source: Path) -> None:
    actions = [CopyFiles(0, Selection(["d"]), f"/{number}/") for number in range(30)]
    async with asyncio.TaskGroup() as group:
        for action in actions:
            group.create_task(workers.change(root, [source], [action]))
    assert len(os.listdir(root)) == len(actions)
    digests = {await workers.digest_path(root, f"/{number}") for number in range(3)}
    assert len(digests) == 3  # their names differ


async def test_one_more_comes_when_the_server_was_killed(workers: Workers, root: Path) -> None:
    for number in range(3):
        await workers.change(root, [], [MakeDirectory(f"/{number}")])
        server = os.pidfd_open(workers._forker.pid)
        os.kill(workers._forker.pid, signal.SIGKILL)
        dies(server)  # and what it forked is dying, and takes no more orders
        await asyncio.sleep(0.05 * number)  # it may be noticed or not
    await workers.change(root, [], [MakeDirectory("/last")])
    assert len(os.listdir(root)) == 4


async def test_who_is_killed_at_work_says_so(workers: Workers, root: Path, source: Path) -> None:
    with (source / "large").open("wb") as file:
        file.truncate(1 << 30)
        for at in range(0, 1 << 30, 1 << 20):
            os.pwrite(file.fileno(), b"x" * 4096, at)

    async def kill() -> None:
        while not (root / "1").exists():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
        os.kill(workers._forker.pid, signal.SIGKILL)

    async def copy() -> None:
        copies = [CopyFiles(0, Selection(["large"]), f"/{number}") for number in range(40)]
        with pytest.raises(SystemFailure, match="the process that copies"):
            await workers.change(root, [source], copies)

    await workers.change(root, [], [MakeDirectory("/x")])
    async with asyncio.TaskGroup() as group:
        group.create_task(copy())
        group.create_task(kill())
    await workers.change(root, [], [MakeFile("/y", "", "z")])
    assert (root / "y").read_text() == "z"


async def test_an_idle_server_is_let_go(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.copying.workers._PATIENCE", 0.1)
    workers = Workers()
    await workers.change(root, [], [MakeDirectory("/x")])
    server = os.pidfd_open(workers._forker.pid)
    try:
        async with asyncio.timeout(10):
            while workers._forker.pid:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        assert workers._ahead is None
        await workers.change(root, [], [MakeDirectory("/y")])
    finally:
        os.close(server)
        await workers.close()
