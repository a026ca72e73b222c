"""The worker process itself: on uvloop, as in the daemon, and when the daemon is killed."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import uvloop

from errdefs import InvalidArgument, SystemFailure
from runtime.layers.apply import apply
from runtime.layers.pack import pack
from tests.integration.storage.archives import directory, member, tar

pytestmark = pytest.mark.root
# libuv opens a pipe for signals with its first loop and keeps it: not a descriptor that a test leaves.
uvloop.new_event_loop().close()


def test_layers_are_applied_and_packed_on_uvloop(tmp_path: Path) -> None:
    data = os.urandom(5 << 20)
    (tmp_path / "blob").write_bytes(tar([directory("d"), member("d/f", data=data)]))
    (tmp_path / "bad").write_bytes(b"no archive" * 100)
    for name in "abc":
        (tmp_path / name).mkdir()

    async def work() -> bytes:
        await asyncio.gather(*(apply(tmp_path / "blob", tmp_path / name) for name in "ab"))
        with pytest.raises(InvalidArgument):
            await apply(tmp_path / "bad", tmp_path / "c")
        task = asyncio.get_running_loop().create_task(apply(tmp_path / "blob", tmp_path / "c"))
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
import asyncio, sys
from pathlib import Path
from runtime.layers.apply import apply
asyncio.run(apply(Path(sys.argv[1]), Path(sys.argv[2])))
"""


def test_a_worker_ends_with_its_daemon(tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(tar([member("f", data=bytes(200 << 20))]))
    (tmp_path / "target").mkdir()
    with subprocess.Popen([sys.executable, "-c", DAEMON, tmp_path / "blob", tmp_path / "target"]) as daemon:
        pid = wait_for_worker(daemon.pid)
        worker = os.pidfd_open(pid)
        while Path(f"/proc/{pid}/root").readlink() != tmp_path / "target":
            time.sleep(0.001)
        daemon.kill()
    try:
        deadline = time.monotonic() + 10
        while alive(pid) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not alive(pid)
    finally:
        os.close(worker)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def wait_for_worker(pid: int) -> int:
    """The worker that a process has, or will have; the process of the tests has other children, a daemon for one."""
    while True:
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            if b"runtime.layers.worker" in command_line(child):
                return int(child)
        time.sleep(0.001)


def command_line(pid: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:  # it has ended
        return b""


async def test_a_worker_that_is_killed_is_the_host_s_failure(tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(tar([member("f", data=bytes(200 << 20))]))
    (tmp_path / "target").mkdir()
    task = asyncio.get_running_loop().create_task(apply(tmp_path / "blob", tmp_path / "target"))
    pid = await asyncio.to_thread(wait_for_worker, os.getpid())
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(SystemFailure, match=r"ended without a word \(status -9\)"):
        await task
