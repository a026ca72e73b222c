"""The worker process itself: on uvloop, as in the daemon, and when the daemon is killed."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import uvloop

from errdefs import InvalidArgument, SystemFailure
from runtime.layers.apply import apply
from runtime.layers.growing import Growing
from runtime.layers.pack import pack
from tests.integration.storage.archives import directory, member, tar
from tests.waiting import dies, eventually

pytestmark = pytest.mark.root
# libuv opens a pipe for signals with its first loop and keeps it: not a descriptor that a test leaves.
uvloop.new_event_loop().close()
BEGINNING = tar([member("f", data=bytes(50_000))])[:20_000]  # of an archive: who unpacks it waits for more


def test_layers_are_applied_and_packed_on_uvloop(tmp_path: Path) -> None:
    data = os.urandom(5 << 20)
    (tmp_path / "blob").write_bytes(tar([directory("d"), member("d/f", data=data)]))
    (tmp_path / "bad").write_bytes(b"no archive" * 100)
    (tmp_path / "beginning").write_bytes(BEGINNING)
    for name in "abc":
        (tmp_path / name).mkdir()

    async def work() -> bytes:
        await asyncio.gather(*(apply(tmp_path / "blob", tmp_path / name) for name in "ab"))
        with pytest.raises(InvalidArgument):
            await apply(tmp_path / "bad", tmp_path / "c")
        with Growing(os.open(tmp_path / "beginning", os.O_RDONLY)) as growing:
            task = asyncio.get_running_loop().create_task(apply(growing, tmp_path / "c"))
            await asyncio.sleep(0.02)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        return b"".join([chunk async for chunk in pack(tmp_path / "a")])

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        archive = runner.run(work())
    assert (tmp_path / "b" / "d" / "f").read_bytes() == data
    assert data in archive


DAEMON = """
import asyncio, os, sys
from pathlib import Path
from runtime.layers.apply import apply
from runtime.layers.growing import Growing
with Growing(os.open(sys.argv[1], os.O_RDONLY)) as growing:
    os.dup2(os.open(sys.argv[3], os.O_RDWR), growing.more)  # nobody ever tells that this is the end
    asyncio.run(apply(growing, Path(sys.argv[2])))
"""


def test_a_worker_ends_with_its_daemon(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "blob").write_bytes(BEGINNING)
    os.mkfifo(tmp_path / "more")
    argv = [sys.executable, "-c", DAEMON, *(str(tmp_path / name) for name in ("blob", "target", "more"))]
    with subprocess.Popen(argv) as daemon:
        try:
            pid = wait_for_worker(daemon.pid)
            worker = os.pidfd_open(pid)
            eventually(lambda: Path(f"/proc/{pid}/root").readlink() == tmp_path / "target")
        finally:
            daemon.kill()
    dies(worker)


def wait_for_worker(pid: int) -> int:
    """The worker that a process has, or will have."""
    eventually(lambda: workers_of(pid))
    return workers_of(pid)[0]


def workers_of(pid: int) -> list[int]:
    """The workers of a process; that of the tests has other children, a daemon for one."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children if b"runtime.layers.worker" in command_line(child)]


def command_line(pid: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:  # it has ended
        return b""


async def test_a_worker_that_is_killed_is_the_host_s_failure(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "blob").write_bytes(BEGINNING)
    with Growing(os.open(tmp_path / "blob", os.O_RDONLY)) as growing:
        task = asyncio.get_running_loop().create_task(apply(growing, tmp_path / "target"))
        pid = await asyncio.to_thread(wait_for_worker, os.getpid())
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(SystemFailure, match=r"ended without a word \(status -9\)"):
            await task
