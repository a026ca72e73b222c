"""What shims do instead of `runc start` and `runc delete`: the runtime agrees, and does it where more is to be done."""

import asyncio
import json
import os
import subprocess
import time
from functools import partial
from pathlib import Path

import pytest

from errdefs import SystemFailure
from runtime.task import Task
from runtime.task_values import ExecRequest
from tests.integration.runtime.bundles import process
from tests.integration.runtime.conftest import Containers
from tests.waiting import eventually

pytestmark = pytest.mark.root


def status(box: Containers, task: Task) -> str:
    """What the runtime itself says of a container, "" for one that it does not know."""
    argv = ["runc", "--root", str(box.exec_root / "runc"), "state", task.id]
    said = subprocess.run(argv, capture_output=True, check=False).stdout
    return str(json.loads(said)["status"]) if said else ""


def by_command(task: Task, verb: str) -> bool:
    """Whether the runtime was run for it: it makes the log that it is given."""
    return (task.state_dir / f"{verb}.log").exists()


def runs(pid: int, program: str) -> bool:
    """Whether a process is that program."""
    return Path(f"/proc/{pid}/comm").read_text().strip() == program


def environ(pid: int) -> bytes:
    """The environment that a process was given."""
    return Path(f"/proc/{pid}/environ").read_bytes()


def number_in(path: Path) -> int:
    """The number that is written to a file about now."""
    deadline = time.monotonic() + 20
    while not path.exists() or not (text := path.read_text()):
        assert time.monotonic() < deadline, path
        time.sleep(0.001)
    return int(text)


def end_unseen(state_dir: Path) -> None:
    """Kill a container's process while it is created, before its shim has looked at it."""
    shim = number_in(state_dir / "shim.pid")
    runtime = number_in(Path(f"/proc/{shim}/task/{shim}/children"))
    os.kill(shim, 19)
    init = number_in(state_dir / "pid")
    await_death(runtime)
    os.kill(init, 9)
    await_death(init)
    os.kill(shim, 18)


def await_death(pid: int) -> None:
    """Return when a process has ended, though nobody reaps it."""
    deadline = time.monotonic() + 10
    while (state := Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]) != "Z":
        assert time.monotonic() < deadline, state
        time.sleep(0.01)


def group_of(controller: str, container_id: str) -> Path:
    """The container's control group, of v1 where it is."""
    old = Path("/sys/fs/cgroup", controller, "docker", container_id)
    return old if old.is_dir() else Path("/sys/fs/cgroup/docker", container_id)


async def test_the_runtime_agrees(box: Containers) -> None:
    task = await box.create(["sleep", "60"])
    assert status(box, task) == "created"
    await task.start()
    assert status(box, task) == "running"
    assert os.readlink(f"/proc/{task.pid}/exe") == "/bin/sleep"  # not the runtime, which started it
    assert sorted(os.listdir(box.exec_root / "runc" / task.id)) == ["state.json"]
    await box.end(task)
    assert status(box, task) == ""
    assert not by_command(task, "start")
    assert not by_command(task, "delete")


async def test_one_never_started(box: Containers) -> None:
    task = await box.create(["sleep", "60"])
    await box.end(task)
    assert status(box, task) == ""
    assert not by_command(task, "delete")


async def test_dead_before_its_start(box: Containers) -> None:
    task = await box.create(["sleep", "60"])
    os.kill(task.shim_pid, 19)
    await task.kill(9)
    await asyncio.to_thread(await_death, task.pid)
    os.kill(task.shim_pid, 18)
    with pytest.raises(SystemFailure):
        await task.start()
    await task.gone()


async def test_dead_before_it_is_created(box: Containers) -> None:
    """Where few processes are allowed, the runtime's own process dies in there: it says that all went well."""
    request = box.request(["sleep", "60"])
    state_dir = box.state_dir(request.id)
    assert box.supervisor is not None
    async with asyncio.TaskGroup() as both:
        both.create_task(asyncio.to_thread(end_unseen, state_dir))
        creating = both.create_task(box.supervisor.create(request, state_dir))
    task = creating.result()
    await task.gone()
    with pytest.raises(SystemFailure, match="container process is already dead"):
        await task.start()
    assert (await task.wait()).code == 137


@pytest.mark.parametrize("controller", ["pids", "memory"])
async def test_groups_made_in_the_container_s(box: Containers, controller: str) -> None:
    task = await box.create(["sleep", "60"])
    await task.start()
    group = group_of(controller, task.id)
    (group / "own").mkdir()
    await box.end(task)
    assert not group.exists()
    assert by_command(task, "delete")


async def test_more_state_than_is_known(box: Containers) -> None:
    task = await box.create(["sleep", "60"])
    await task.start()
    (box.exec_root / "runc" / task.id / "notify").mkdir()
    await box.end(task)
    assert status(box, task) == ""
    assert by_command(task, "delete")


async def test_hooks_are_run(box: Containers) -> None:
    """By the runtime, which starts and deletes such a container."""
    told = box.root / "told"
    hooks = {
        when: [{"path": "/bin/sh", "args": ["sh", "-c", f"echo {when} >>{told}"]}]
        for when in ("poststart", "poststop")
    }
    task = await box.create(["sleep", "60"], hooks=hooks)
    await task.start()
    assert told.read_text().split() == ["poststart"]
    assert by_command(task, "start")
    await box.end(task)
    assert told.read_text().split() == ["poststart", "poststop"]


async def test_processes_that_outlive_init(box: Containers) -> None:
    """In the host's PID namespace they do: the runtime kills them."""
    task = await box.create(["sh", "-c", "sleep 1000 & exec sleep 60"], host_pid=True)
    await task.start()
    await box.end(task)
    assert by_command(task, "delete")


async def test_by_commands_alone(containers: Containers) -> None:
    """A runtime that is executed by its path may be any version."""
    await containers.open(memfd=False)
    task = await containers.create(["sleep", "60"])
    await task.start()
    assert status(containers, task) == "running"
    await containers.end(task)
    assert by_command(task, "start")
    assert by_command(task, "delete")


async def test_what_the_runtime_is_told_reaches_no_container(box: Containers) -> None:
    """Neither init, nor an exec, nor a hook has more in its environment than its spec says."""
    told = box.root / "told"
    hook = {"path": "/bin/sh", "args": ["sh", "-c", f"tr '\\0' '\\n' </proc/self/environ >{told}"]}
    task = await box.create(["sleep", "60"], hooks={"poststart": [hook]})
    await box.end(task)
    assert "GOGC" not in told.read_text()
    task = await box.create(["sleep", "60"])
    await task.start()
    executed = await task.exec(ExecRequest(id="e1", process=process(["sleep", "60"])))
    for pid in (task.pid, executed.pid):
        eventually(partial(runs, pid, "sleep"))  # a start is told while it is still the runtime's
        names = {line.partition(b"=")[0] for line in environ(pid).split(b"\0") if line}
        assert names <= {b"PATH", b"TERM", b"HOME"}
    await box.end(task)
