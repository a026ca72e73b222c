"""How those who copy come to be: also when the process that forks them has died, and why not when it cannot start."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import venv
from contextlib import suppress
from pathlib import Path

import pytest
import uvloop

from errdefs import SystemFailure
from runtime.archive import pids
from runtime.archive.order import View
from runtime.archive.workers import Workers
from tests.integration.hostile.test_b12_workers import children

ROOT = Path(__file__).resolve().parent.parent.parent
ORDER = {"verb": "stat", "path": "/"}
REPLACED = """
import asyncio, pathlib, sys
from errdefs import SystemFailure
from runtime.archive.order import View
from runtime.archive.workers import Workers

async def main():
    workers = Workers(pathlib.Path(sys.argv[1]))
    pathlib.Path(sys.argv[2], "runtime/archive/server.py").write_text("import what_is_newer\\n")
    try:
        async with workers.copy(View("", "", [], [], False), None, {}):
            pass
    except SystemFailure as error:
        print(error.message)
    await workers.close()

asyncio.run(main())
"""


def view(directory: Path) -> View:
    """Of nothing: those who are born need not go in."""
    return View(str(directory), "", [], [], read_only=False)


async def born_again(directory: Path, *, killed: int) -> None:
    """Ask for a worker while its server dies so many times."""
    workers = Workers(directory)
    try:
        await born(workers, directory)
        assert workers._ahead is not None
        ahead = await workers._ahead
        ahead.kill()  # so that one has to be asked for
        while ahead.alive:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        async with asyncio.timeout(20), asyncio.TaskGroup() as group:
            asked, pid = None, 0
            for _ in range(killed):
                pid = await next_server(workers, pid)
                os.kill(pid, signal.SIGSTOP)
                if asked is None:
                    asked = group.create_task(born(workers, directory))
                await asyncio.sleep(0.05)  # the order waits for a server that does not take it
                os.kill(pid, signal.SIGKILL)
    finally:
        await workers.close()


async def next_server(workers: Workers, last: int) -> int:
    """The process id of the server that is not the last one."""
    while (pid := workers._forker.pid) in (0, last):  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    return pid


async def born(workers: Workers, directory: Path) -> None:
    """One that is there."""
    async with workers.copy(view(directory), None, ORDER):
        pass


async def born_beside_deaths(directory: Path) -> None:
    """Ask for workers while their server, and with it whoever was born ahead, is dying or dead."""
    workers = Workers(directory)
    try:
        for moment in (0.0, 0.0005, 0.05):
            await born(workers, directory)
            pid = await next_server(workers, 0)
            with suppress(ProcessLookupError):  # the last one, whose death has not been noticed
                os.kill(pid, signal.SIGKILL)
            await asyncio.sleep(moment)
        await born(workers, directory)
    finally:
        await workers.close()


def test_who_was_born_ahead_may_have_died_with_its_server(tmp_path: Path) -> None:
    uvloop.run(born_beside_deaths(tmp_path / "at"))


def test_a_server_that_dies_is_replaced(tmp_path: Path) -> None:
    uvloop.run(born_again(tmp_path / "at", killed=1))


def test_servers_that_die_are_given_up(tmp_path: Path) -> None:
    with pytest.raises(ExceptionGroup) as raised:
        uvloop.run(born_again(tmp_path / "at", killed=2))
    (failure,) = raised.value.exceptions
    assert isinstance(failure, SystemFailure)
    assert failure.message.startswith("cannot copy: no process came to do it")


def test_what_a_worker_forks_has_ended_when_it_has() -> None:
    reading, writing = os.pipe()
    if (worker := pids.fork()) == 0:
        twin = os.fork()
        os.write(writing, b".")
        signal.pause()
        os._exit(twin)
    os.close(writing)
    assert os.read(reading, 1) + os.read(reading, 1) == b".."
    (twin,) = children(worker)
    os.kill(worker, signal.SIGKILL)
    os.waitpid(worker, 0)
    assert not Path(f"/proc/{twin}").exists()
    os.close(reading)


def test_a_program_that_was_replaced_says_so(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    shutil.copytree(ROOT / "runtime", tree / "runtime", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "errdefs.py", tree)
    venv.create(tmp_path / "venv", symlinks=True)
    (packages,) = (tmp_path / "venv/lib").glob("python*/site-packages")
    (packages / "tree.pth").write_text(f"{tree}\n{sysconfig.get_paths()['purelib']}\n")
    python = tmp_path / "venv/bin" / Path(sys.executable).name
    argv = [str(python), "-I", "-c", REPLACED, str(tmp_path / "at"), str(tree)]
    said = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True).stdout.strip()
    assert said == (
        "cannot copy: no process came to do it: ModuleNotFoundError: No module named 'what_is_newer'"
        " (the daemon's files were replaced since it started: restart it)"
    )
