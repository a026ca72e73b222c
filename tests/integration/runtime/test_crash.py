"""kill -9 of the daemon, the zygote and the shim: what runs goes on, what ended is known, and nothing is left."""

import asyncio
import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.task import Task
from runtime.task_values import Attach, ExecRequest, Exit
from tests.integration.runtime.bundles import new_id, process
from tests.integration.runtime.conftest import Containers, read_all, stdout_of
from tests.integration.runtime.mortals import SHIM_DIED, Mortal, adopt
from tests.waiting import dies, eventually

pytestmark = pytest.mark.root


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that nobody tells."""
    await asyncio.to_thread(eventually, condition)


async def end_stdin(task: Task) -> None:
    """Let a container go on that waits for the end of its input."""
    stream = await task.attach(Attach(stdin=True))
    await stream.write_eof()
    stream.close()


def kill_shim(pid: int) -> None:
    """Kill it, and see it die."""
    shim = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    dies(shim)


async def test_daemon_killed_container_lives(containers: Containers) -> None:
    script = "i=0; while read x; do echo line $x; done; exit 9"
    mortal = Mortal(containers, ["sh", "-c", script], open_stdin=True)
    await mortal.until("started")
    mortal.kill()
    task = await adopt(containers, mortal.id)
    assert isinstance(task, Task)
    assert task.started
    assert task.pid > 0
    stream = await task.attach(Attach(stdin=True))
    await stream.write(b"one\ntwo\n")
    await stream.write_eof()
    assert stdout_of(await read_all(stream)) == b"line one\nline two\n"
    stream.close()
    assert (await task.wait()).code == 9
    await task.gone()
    assert await adopt(containers, mortal.id) == await task.wait()


async def test_daemon_killed_log_goes_on(containers: Containers) -> None:
    mortal = Mortal(containers, ["sh", "-c", "for i in $(seq 1 50); do echo $i; sleep 0.01; done; exit 5"])
    await mortal.until("started")
    mortal.kill()
    await until((containers.state_dir(mortal.id) / "exit").exists)
    exit_ = await adopt(containers, mortal.id)
    if isinstance(exit_, Task):  # its shim had not left yet
        await exit_.gone()
        exit_ = await exit_.wait()
    assert isinstance(exit_, Exit)
    assert (exit_.code, exit_.reason) == (5, "")
    assert time.time_ns() - exit_.at < 30e9
    records = containers.log(mortal.id).read_text().splitlines()
    assert [json.loads(record)["log"] for record in records] == [f"{number}\n" for number in range(1, 51)]


async def test_daemon_killed_before_start(containers: Containers) -> None:
    mortal = Mortal(containers, ["sleep", "60"], start=False)
    await mortal.until("created")
    mortal.kill()
    task = await adopt(containers, mortal.id)
    assert isinstance(task, Task)
    assert not task.started
    await task.abandon()
    assert await adopt(containers, mortal.id) is None


async def test_adopted_container_can_be_started_and_exec_d(containers: Containers) -> None:
    mortal = Mortal(containers, ["sleep", "60"], start=False)
    await mortal.until("created")
    mortal.kill()
    task = await adopt(containers, mortal.id)
    assert isinstance(task, Task)
    await task.start()
    execution = await task.exec(ExecRequest(id=new_id(), process=process(["sh", "-c", "exit 3"])))
    assert (await execution.wait()).code == 3
    await containers.end(task)


@pytest.mark.parametrize("delay", [0, 5, 10, 20, 30, 40, 60, 80])
async def test_daemon_killed_at_some_moment(containers: Containers, delay: int) -> None:
    mortal = Mortal(containers, ["sleep", "60"])
    await mortal.until("opened")
    await asyncio.sleep(delay / 1000)
    mortal.kill()
    found = await adopt(containers, mortal.id)
    assert found is None or isinstance(found, Task)
    if found is not None:
        await containers.end(found)
    assert containers.supervisor is not None
    assert await containers.supervisor.sweep(set()) in ([], [mortal.id])


async def test_zygote_killed(box: Containers) -> None:
    assert box.supervisor is not None
    task = await box.create(["sh", "-c", "sleep 0.5; exit 3"])
    await task.start()
    first = box.supervisor.zygote_pid
    os.kill(first, signal.SIGKILL)
    exit_, output = await box.run(["echo", "hi"])
    assert (exit_.code, stdout_of(output)) == (0, b"hi\n")
    assert box.supervisor.zygote_pid not in (0, first)
    assert (await task.wait()).code == 3
    await task.gone()


async def test_zygote_killed_again_and_again(box: Containers) -> None:
    assert box.supervisor is not None
    for _ in range(5):
        os.kill(box.supervisor.zygote_pid, signal.SIGKILL)
        exit_, _ = await box.run(["true"])
        assert exit_.code == 0


async def test_zygote_comes_back_by_itself(box: Containers) -> None:
    assert box.supervisor is not None
    await asyncio.sleep(1.1)
    first = box.supervisor.zygote_pid
    os.kill(first, signal.SIGKILL)
    supervisor = box.supervisor
    await until(lambda: supervisor.zygote_pid not in (0, first))


async def test_what_a_killed_zygote_rehearsed_in_is_removed(containers: Containers) -> None:
    left = containers.exec_root / "rehearsal-1" / ("0" * 64)
    left.mkdir(parents=True)
    os.mkfifo(left / "exec.fifo")
    await containers.open()
    assert not left.parent.exists()


async def test_daemon_and_zygote_killed(containers: Containers) -> None:
    mortal = Mortal(containers, ["sh", "-c", "read x; echo end; exit 6"], open_stdin=True)
    await mortal.until("started")
    pid = mortal.process.pid
    zygote = int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])  # noqa: ASYNC240
    os.kill(zygote, signal.SIGKILL)
    mortal.kill()
    task = await adopt(containers, mortal.id)
    assert isinstance(task, Task)
    await end_stdin(task)
    assert (await task.wait()).code == 6
    await task.gone()
    assert "end" in containers.log(mortal.id).read_text()


async def test_shim_killed(box: Containers) -> None:
    other = await box.create(["sh", "-c", "sleep 1; exit 2"])
    await other.start()
    task = await box.create(["sh", "-c", "echo before; sleep 300"])
    stream = await task.attach(Attach())
    await task.start()
    assert b"before" in await stream.read()
    execution = await task.exec(ExecRequest(id=new_id(), process=process(["sleep", "300"])))
    os.kill(task.shim_pid, signal.SIGKILL)
    exit_ = await asyncio.wait_for(task.wait(), 10)
    assert (exit_.code, exit_.reason) == (137, SHIM_DIED)
    assert (await execution.wait()).reason == SHIM_DIED
    await task.gone()
    assert await read_all(stream) == b""
    stream.close()
    assert "before" in box.log(task.id).read_text()
    assert await adopt(box, task.id) == exit_
    assert (await other.wait()).code == 2
    await other.gone()


async def test_zygote_reaps_shims_and_what_they_leave(box: Containers) -> None:
    assert box.supervisor is not None
    zygote = box.supervisor.zygote_pid

    def children() -> list[str]:
        return Path(f"/proc/{zygote}/task/{zygote}/children").read_text().split()

    await box.run(["true"])
    task = await box.create(["sleep", "300"])
    await task.start()
    assert str(task.shim_pid) in children()
    os.kill(task.shim_pid, signal.SIGKILL)
    await task.gone()
    await until(lambda: not children())


async def test_shim_killed_with_hosts_pid_namespace(box: Containers) -> None:
    task = await box.create(["sh", "-c", "sleep 300 & sleep 301 & wait"], host_pid=True)
    await task.start()
    os.kill(task.shim_pid, signal.SIGKILL)
    assert (await asyncio.wait_for(task.wait(), 20)).code == 137
    await task.gone()


async def test_shim_and_daemon_killed(containers: Containers) -> None:
    mortal = Mortal(containers, ["sleep", "300"])
    await mortal.until("started")
    shim = int((containers.state_dir(mortal.id) / "shim.pid").read_text())
    mortal.kill()
    kill_shim(shim)
    exit_ = await adopt(containers, mortal.id)
    assert isinstance(exit_, Exit)
    assert (exit_.code, exit_.reason) == (137, SHIM_DIED)
    assert await adopt(containers, mortal.id) == exit_


async def test_stopped_shim_is_replaced_by_its_exit(
    containers: Containers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.supervisor._ANSWER", 1.0)
    mortal = Mortal(containers, ["sleep", "300"])
    await mortal.until("started")
    shim = int((containers.state_dir(mortal.id) / "shim.pid").read_text())
    mortal.kill()
    os.kill(shim, signal.SIGSTOP)
    exit_ = await adopt(containers, mortal.id)
    assert isinstance(exit_, Exit)
    assert exit_.code == 137


async def test_init_killed_from_outside(box: Containers) -> None:
    task = await box.create(["sleep", "300"])
    await task.start()
    os.kill(task.pid, signal.SIGKILL)
    exit_ = await task.wait()
    assert (exit_.code, exit_.reason) == (137, "")
    await task.gone()


async def test_sweep(containers: Containers) -> None:
    doomed = Mortal(containers, ["sleep", "300"])
    await doomed.until("started")
    doomed.kill()
    kept = Mortal(containers, ["sleep", "300"])
    await kept.until("started")
    kept.kill()
    half_dead = Mortal(containers, ["sleep", "300"])
    await half_dead.until("started")
    half_dead.kill()
    kill_shim(int((containers.state_dir(half_dead.id) / "shim.pid").read_text()))
    shutil.rmtree(containers.state_dir(half_dead.id))
    supervisor = await containers.open()
    assert await supervisor.sweep({kept.id}) == sorted([doomed.id, half_dead.id])
    assert not containers.state_dir(doomed.id).exists()
    task = await adopt(containers, kept.id)
    assert isinstance(task, Task)
    await containers.end(task)


async def test_exec_root_removed(containers: Containers) -> None:
    """Containers are found through /proc, ended, and reported; by adoption as by a sweep."""
    mortals = [Mortal(containers, ["sleep", "300"]) for _ in range(2)]
    for mortal in mortals:
        await mortal.until("started")
        mortal.kill()
    shutil.rmtree(containers.exec_root)
    supervisor = await containers.open()
    exit_ = await adopt(containers, mortals[0].id)
    assert isinstance(exit_, Exit)
    assert exit_.code == 137
    assert "directory was removed" in exit_.reason
    assert await supervisor.sweep({mortals[0].id}) == [mortals[1].id]


async def test_exec_root_removed_under_a_living_daemon(box: Containers) -> None:
    task = await box.create(["sh", "-c", "read x; exit 3"], open_stdin=True, stdin_once=True)
    stream = await task.attach(Attach(stdin=True))
    await task.start()
    shutil.rmtree(box.exec_root)
    await stream.write_eof()
    assert (await task.wait()).code == 3
    await task.gone()
    stream.close()


async def test_nothing_ever_ran_there(box: Containers) -> None:
    container_id = new_id()
    assert await adopt(box, container_id) is None
    box.state_dir(container_id).mkdir(parents=True)
    assert await adopt(box, container_id) is None


async def test_close_leaves_containers_running(box: Containers) -> None:
    task = await box.create(["sh", "-c", "read x; exit 4"], open_stdin=True, stdin_once=True)
    await task.start()
    await box.open()
    again = await adopt(box, task.id)
    assert isinstance(again, Task)
    await end_stdin(again)
    assert (await again.wait()).code == 4
    await again.gone()
