"""A container from create to gone: exit codes, errors, births, logs."""

import asyncio
import json
import os
import resource
import shutil
import time
from pathlib import Path

import pytest

from errdefs import InvalidArgument, SystemFailure
from runtime import zygote
from runtime.task import Task
from runtime.task_values import Attach, ExecRequest, LogFile, Runtime
from tests.integration.runtime.bundles import new_id, process
from tests.integration.runtime.conftest import Containers, read_all, stdout_of
from tests.processes import targets
from tests.waiting import eventually

pytestmark = pytest.mark.root

CREATE = "failed to create task for container: failed to create shim task: OCI runtime create failed: "


def text(path: str) -> str:
    """Read a file of procfs."""
    return Path(path).read_text()


async def test_output_exit_and_log(box: Containers) -> None:
    before = time.time_ns()
    exit_, output = await box.run(["sh", "-c", "echo out; echo err >&2; exit 7"])
    assert (exit_.code, exit_.oom, exit_.reason) == (7, False, "")
    assert before < exit_.at < time.time_ns()
    assert (stdout_of(output), stdout_of(output, 2)) == (b"out\n", b"err\n")
    records = [json.loads(line) for line in box.log(box.ids[0]).read_bytes().splitlines()]
    assert {(record["stream"], record["log"]) for record in records} == {
        ("stdout", "out\n"),
        ("stderr", "err\n"),
    }


async def test_exit_is_written_before_it_is_told(box: Containers) -> None:
    task = await box.create(["true"])
    await task.start()
    exit_ = await task.wait()
    assert (task.state_dir / "exit").read_text() == f"0 {exit_.at} 0 \n"
    await task.gone()
    assert not (box.exec_root / "runc" / task.id).exists()


async def test_handled_signal(box: Containers) -> None:
    task = await box.create(["sh", "-c", "trap 'exit 12' TERM; echo up; while :; do sleep 0.05; done"])
    stream = await task.attach(Attach())
    await task.start()
    assert b"up" in await stream.read()
    await task.kill(15)
    assert (await task.wait()).code == 12
    stream.close()
    await task.gone()


async def test_term_ignored_then_killed(box: Containers) -> None:
    task = await box.create(["sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.1; done"])
    stream = await task.attach(Attach())
    await task.start()
    assert b"up" in await stream.read()
    await task.kill(15)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(task.wait(), 0.3)
    await task.kill(9)
    assert (await task.wait()).code == 137
    stream.close()
    await task.gone()
    await task.kill(9)  # no error once it has ended


@pytest.mark.parametrize(
    ("args", "cause"),
    [
        (["nosuch"], 'exec: "nosuch": executable file not found in $PATH'),
        (["/bin/nosuch"], 'exec: "/bin/nosuch": stat /bin/nosuch: no such file or directory'),
        (["/bin/noexec"], 'exec: "/bin/noexec": permission denied'),
    ],
)
async def test_command_that_cannot_run(box: Containers, args: list[str], cause: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        await box.create(args)
    start = "runc create failed: unable to start container process: "
    assert caught.value.message == f"{CREATE}{start}{cause}: unknown"
    assert not box.state_dir(box.ids[0]).exists()


async def test_runtime_that_is_not_there(box: Containers) -> None:
    with pytest.raises(
        InvalidArgument, match=r"OCI runtime create failed: /nowhere/runc: no such file or directory: unknown"
    ):
        await box.create(["true"], runtime=Runtime(name="x", path="/nowhere/runc"))


async def test_bundle_that_is_nonsense(box: Containers) -> None:
    request = box.request(["true"])
    (request.bundle / "config.json").write_text("{")
    assert box.supervisor is not None
    with pytest.raises(SystemFailure, match=r"OCI runtime create failed: .*unexpected EOF: unknown"):
        await box.supervisor.create(request, box.state_dir(request.id))


async def test_log_that_cannot_be_opened(box: Containers) -> None:
    with pytest.raises(
        InvalidArgument, match=r"failed: .*/no/such/dir/log: no such file or directory: unknown"
    ):
        await box.create(["true"], log=LogFile(path=box.root / "no/such/dir/log"))


async def test_no_log(box: Containers) -> None:
    exit_, output = await box.run(["echo", "hi"], log=None)
    assert (exit_.code, stdout_of(output)) == (0, b"hi\n")
    assert not list(box.root.glob("*.log"))


async def test_log_with_attributes_and_rotation(box: Containers) -> None:
    path = box.root / "log"
    log = LogFile(path=path, max_size=4000, max_files=3, attrs=b'{"tag":"t"}')
    await box.run(["seq", "1", "100"], log=log)
    files = [path.with_name("log.2"), path.with_name("log.1"), path]
    records = [json.loads(line) for file in files for line in file.read_bytes().splitlines()]
    assert [record["log"] for record in records] == [f"{number}\n" for number in range(1, 101)][
        -len(records) :
    ]
    assert all(record["attrs"] == {"tag": "t"} for record in records)
    assert not path.with_name("log.3").exists()


async def test_deleted_log_does_not_stop_the_container(box: Containers) -> None:
    task = await box.create(["sh", "-c", "echo one; sleep 0.3; echo two; exit 4"])
    stream = await task.attach(Attach())
    await task.start()
    await stream.read()
    box.log(task.id).unlink()
    assert (await task.wait()).code == 4
    stream.close()
    await task.gone()


async def test_full_disk_does_not_stop_the_container(box: Containers) -> None:
    task = await box.create(["sh", "-c", "seq 1 1000; exit 4"], log=LogFile(path=Path("/dev/full")))
    stream = await task.attach(Attach())
    await task.start()
    data = b""
    while chunk := await stream.read():
        data += chunk
    assert stdout_of(data).endswith(b"1000\n")
    assert (await task.wait()).code == 4
    stream.close()
    await task.gone()


async def test_started_flag_and_second_start(box: Containers) -> None:
    task = await box.create(["sleep", "60"])
    before = task.started
    await task.start()
    assert (before, task.started) == (False, True)
    with pytest.raises(
        SystemFailure, match="OCI runtime start failed: cannot start a container that is running"
    ):
        await task.start()
    await box.end(task)


async def test_start_of_a_container_killed_meanwhile(box: Containers) -> None:
    task = await box.create(["sleep", "60"])
    await task.kill(9)
    await task.gone()
    with pytest.raises(SystemFailure):
        await task.start()


async def test_abandon(box: Containers) -> None:
    task = await box.create(["sleep", "60"])
    await task.abandon()
    assert not task.state_dir.exists()
    await task.abandon()


async def test_same_id_again_at_once(box: Containers) -> None:
    container_id = new_id()
    for number in range(1, 4):
        task = await box.create(["sh", "-c", f"exit {number}"], container_id=container_id, number=number)
        await task.start()
        assert (await task.wait()).code == number
        await task.gone()


async def test_many_at_once(box: Containers) -> None:
    async def one(number: int) -> None:
        exit_, output = await box.run(["sh", "-c", f"echo {number}; exit {number}"])
        assert (exit_.code, stdout_of(output)) == (number, b"%d\n" % number)

    await asyncio.gather(*(one(number) for number in range(12)))


async def test_out_of_memory(box: Containers) -> None:
    exit_, _ = await box.run(["dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1"], memory=32 << 20)
    assert exit_.code == 137
    assert exit_.oom


async def test_cancelled_create_leaves_nothing(box: Containers) -> None:
    assert box.supervisor is not None
    for delay in (0.0, 0.005, 0.015, 0.03):
        request = box.request(["sleep", "60"])
        creating = asyncio.get_running_loop().create_task(
            box.supervisor.create(request, box.state_dir(request.id))
        )
        await asyncio.sleep(delay)
        creating.cancel()
        result = (await asyncio.gather(creating, return_exceptions=True))[0]
        if isinstance(result, Task):
            await result.abandon()
        assert not box.state_dir(request.id).exists()


async def test_long_exec_root(rootfs: Path, box: Containers) -> None:
    box.exec_root = box.root / ("x" * 100) / ("y" * 100)
    await box.open()
    exit_, output = await box.run(["sh", "-c", "test -t 1 && echo tty"], terminal=True)
    assert (exit_.code, output) == (0, b"tty\r\n")


def may_protect() -> bool:
    """Tell whether this machine lets root lower an OOM score (not so without CAP_SYS_RESOURCE)."""
    status = text("/proc/self/status").splitlines()
    effective = int(next(line for line in status if line.startswith("CapEff")).split()[1], 16)
    return bool(effective >> 24 & 1)


async def test_birth_of_shim_and_container(containers: Containers) -> None:
    """What the daemon's own surroundings are does not reach a shim or a container."""
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    old_umask = os.umask(0o077)
    os.environ["NOTIFY_SOCKET"] = "/nowhere"
    try:
        await containers.open()
        task = await containers.create(["sh", "-c", "ls /proc/self/fd | wc -l; umask; sleep 60"])
        stream = await task.attach(Attach())
        await task.start()
        output = b""
        while output.count(b"\n") < 2:
            output += stdout_of(await stream.read())
        assert output.split() == [b"4", b"0022"]  # 0, 1, 2 and the directory itself
        for pid in (task.pid, task.shim_pid):
            environment = text(f"/proc/{pid}/environ")
            assert "NOTIFY_SOCKET" not in environment
            assert "HOME=/root" not in environment
            assert os.getsid(pid) == pid
            assert f"pipe:[{os.fstat(writer).st_ino}]" not in targets(f"/proc/{pid}/fd")
        assert text(f"/proc/{task.pid}/oom_score_adj") == "0\n"
        expected = "-998\n" if may_protect() else text("/proc/self/oom_score_adj")
        assert text(f"/proc/{task.shim_pid}/oom_score_adj") == expected
        assert text(f"/proc/{task.shim_pid}/comm") == "wherry-shim\n"
        assert os.readlink(f"/proc/{task.shim_pid}/cwd") == "/"
        stream.close()
        await containers.end(task)
    finally:
        os.umask(old_umask)
        del os.environ["NOTIFY_SOCKET"]
        os.close(reader)
        os.close(writer)


async def test_signals_of_a_container(box: Containers) -> None:
    _, output = await box.run(["cat", "/proc/self/status"])
    status = dict(line.split(":\t") for line in stdout_of(output).decode().splitlines())
    assert {status[name] for name in ("SigBlk", "SigIgn", "SigCgt")} == {"0" * 16}


def memory(task: Task, kind: str) -> int:
    """Return a sum of the shim's smaps in kB."""
    rollup = text(f"/proc/{task.shim_pid}/smaps_rollup").splitlines()
    return int(next(line for line in rollup if line.startswith(f"{kind}:")).split()[1])


async def test_memory_of_an_idle_shim(box: Containers) -> None:
    tasks = [await box.create(["sleep", "60"]) for _ in range(10)]
    for task in tasks:
        await task.start()
    sizes: list[int] = []

    def are_small() -> bool:
        sizes[:] = [memory(task, "Pss") for task in tasks]
        return max(sizes) < 1900

    try:
        await asyncio.to_thread(eventually, are_small)  # they give memory back after a second of idling
    finally:
        print(f"PSS of ten shims in kB: {sizes}")
        for task in tasks:
            await box.end(task)


async def test_memory_after_much_output_is_given_back(box: Containers) -> None:
    script = "read x; for i in 1 2 3; do head -c 9999999 /dev/zero; yes 0123456789 | head -c 9999999; sleep 1.2; done"
    task = await box.create(["sh", "-c", f"{script}; echo done; exec sleep 60"], open_stdin=True)
    stream = await task.attach(Attach(stdin=True))
    await task.start()
    await asyncio.sleep(1.5)
    before = memory(task, "Private_Dirty")
    await stream.write(b"\n")
    while b"done" not in await stream.read():
        continue
    stream.close()
    try:
        await asyncio.to_thread(eventually, lambda: memory(task, "Private_Dirty") < before + 400)
        assert box.log(task.id).stat().st_size > 30_000_000
    finally:
        print(f"kB of the shim's own, before and after: {before}, {memory(task, 'Private_Dirty')}")
        await box.end(task)


async def test_runtime_replaced_on_disk(box: Containers) -> None:
    """A shim executes the runtime it was born with; the next one, the new file."""
    path = box.root / "runc"
    shutil.copy("/usr/sbin/runc", path)
    runtime = Runtime(name="own", path=str(path))
    task = await box.create(["sleep", "60"], runtime=runtime)
    path.unlink()
    path.write_text("#!/bin/sh\nexit 9\n")
    path.chmod(0o755)
    await task.start()
    with pytest.raises(SystemFailure, match="runc did not terminate successfully: exit status 9"):
        await box.create(["true"], runtime=runtime)
    await box.end(task)


async def test_without_memfd(containers: Containers) -> None:
    await containers.open(memfd=False)
    task = await containers.create(["sleep", "60"])
    assert (found := targets(f"/proc/{task.shim_pid}/fd"))
    assert not any("memfd" in target for target in found)
    await task.start()
    await containers.end(task)


async def test_shims_open_no_code_after_their_birth(
    containers: Containers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An upgrade on disk, here a removal, cannot break what is running or will be forked."""
    packages = containers.root / "packages"
    shutil.copytree(Path(zygote.__file__).parent, packages / "runtime")
    monkeypatch.setattr(zygote, "_PACKAGES", str(packages))
    await containers.open()
    assert (await containers.run(["true"]))[0].code == 0
    shutil.rmtree(packages)
    task = await containers.create(["sh", "-c", "read x; exit 3"], terminal=True, open_stdin=True)
    stream = await task.attach(Attach(stdin=True))
    await task.start()
    await task.resize(10, 20)
    execution = await task.exec(ExecRequest(id=new_id(), process=process(["echo", "hi"]), attach=Attach()))
    assert execution.stream is not None
    assert stdout_of(await read_all(execution.stream)) == b"hi\n"
    execution.stream.close()
    await stream.write(b"\n")
    assert (await task.wait()).code == 3
    stream.close()
    await task.gone()


async def test_the_daemon_has_all_descriptors_and_containers_what_it_was_given(
    containers: Containers,
) -> None:
    given = resource.getrlimit(resource.RLIMIT_NOFILE)
    lower = (given[1] - 1000, given[1])
    resource.setrlimit(resource.RLIMIT_NOFILE, lower)
    try:
        await containers.open()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (given[1], given[1])
        task = await containers.create(["sleep", "60"])
        await task.start()
        assert resource.prlimit(task.pid, resource.RLIMIT_NOFILE) == lower
        assert resource.prlimit(task.shim_pid, resource.RLIMIT_NOFILE) == lower
        await containers.end(task)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, given)
