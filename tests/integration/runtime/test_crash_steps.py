"""kill -9 of the shim and the zygote at each step, with and without a daemon: a run is undone, or its end is known."""

import asyncio
import os
from contextlib import ExitStack, suppress

import pytest

from errdefs import SystemFailure, WherryError
from runtime.shim import faults
from runtime.task import Task
from runtime.task_values import Attach, ExecRequest, Exit
from tests.integration.runtime.bundles import new_id, process
from tests.integration.runtime.conftest import Containers, read_all
from tests.integration.runtime.mortals import SHIM_DIED, Mortal, adopt
from tests.waiting import dies

pytestmark = pytest.mark.root

CREATE_FAILS = ("shim.born", "shim.bound", "shim.creating", "shim.created")
KILLED = (
    "shim.starting",
    "shim.started",
    "shim.exec-launching",
    "shim.exec-launched",
    "shim.reaped",
    "shim.drained",
)
KNOWN = ("shim.exit-written", "shim.notified", "shim.deleted", "shim.unlinked")
PROBING = "shim.probing"  # of health checks: tests/crash/test_health_steps.py
SHIM_STEPS = [step for step in faults.STEPS if step.startswith("shim.") and step != PROBING]


async def live(box: Containers) -> Exit:
    """Go through everything that a shim does in its life."""
    task = await box.create(["sh", "-c", "read x; exit 7"], open_stdin=True, stdin_once=True)
    try:
        await task.start()
        execution = await task.exec(ExecRequest(id=new_id(), process=process(["true"])))
        await execution.wait()
        stream = await task.attach(Attach(stdin=True))
        await stream.write_eof()
        await read_all(stream)
        stream.close()
    except WherryError:
        pass  # its shim died in the middle
    exit_ = await asyncio.wait_for(task.wait(), 20)
    await asyncio.wait_for(task.gone(), 20)
    return exit_


@pytest.mark.parametrize("step", SHIM_STEPS)
async def test_shim_killed_at(containers: Containers, step: str) -> None:
    await containers.open(faults=step)
    if step in CREATE_FAILS:
        with pytest.raises(SystemFailure, match="its shim died"):
            await live(containers)
        assert not containers.state_dir(containers.ids[-1]).exists()
    else:
        exit_ = await live(containers)
        assert (exit_.code, exit_.reason) == ((7, "") if step in KNOWN else (137, SHIM_DIED))
        assert f"fault {step}" in (containers.state_dir(containers.ids[-1]) / "shim.log").read_text()
    await containers.open()
    assert (await live(containers)).code == 7


def test_every_step_is_tried() -> None:
    assert {*CREATE_FAILS, *KILLED, *KNOWN, PROBING, "zygote.received", "zygote.forked"} == set(faults.STEPS)


@pytest.mark.parametrize("step", ["zygote.received", "zygote.forked"])
async def test_zygote_killed_at(containers: Containers, step: str) -> None:
    supervisor = await containers.open(faults=step)
    first = supervisor.zygote_pid
    assert (await live(containers)).code == 7
    assert (await live(containers)).code == 7
    assert supervisor.zygote_pid != first


@pytest.mark.parametrize("step", SHIM_STEPS)
async def test_shim_killed_while_the_daemon_is_down(containers: Containers, step: str) -> None:
    """The daemon dies as soon as it can be seen that the shim is, or will be, on its way to that step."""
    mortal = Mortal(containers, ["sh", "-c", "sleep 0.4; exit 7"], faults=step)
    early = step in (
        *CREATE_FAILS,
        "shim.starting",
        "shim.started",
        "shim.exec-launching",
        "shim.exec-launched",
    )
    await mortal.until("opened" if early else "started")
    if early:
        await asyncio.sleep(0.03)
        mortal.kill()
        await asyncio.sleep(0.5)
    else:
        pid = int((containers.state_dir(mortal.id) / "shim.pid").read_text())
        with ExitStack() as later:
            with suppress(ProcessLookupError):  # it is dead already
                later.callback(dies, os.pidfd_open(pid))
            mortal.kill()
    found = await adopt(containers, mortal.id)
    if isinstance(found, Task):  # it was created and no more, or has no exec in its life to die at
        assert early
        await containers.end(found)
    elif not early:
        assert isinstance(found, Exit)
        assert found.code == (7 if step in KNOWN else 137)
