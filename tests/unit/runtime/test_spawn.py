"""Children of the daemon, with real programs."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest

from runtime import spawn
from tests.waiting import eventually

REPORT = """
import json, os, signal
fds = {}
for name in os.listdir("/proc/self/fd"):
    try:
        fds[name] = os.readlink("/proc/self/fd/" + name)
    except OSError:
        pass
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(json.dumps({
    "env": dict(os.environ), "cwd": os.getcwd(), "leader": os.getsid(0) == os.getpid(), "fds": fds,
    "blocked": int(status["SigBlk"], 16), "ignored": int(status["SigIgn"], 16),
}))
"""


async def test_clean_birth() -> None:
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    old = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    os.environ["NOTIFY_SOCKET"] = "/x"
    try:
        spawn.keep_descriptors_private()
        result = await spawn.run([sys.executable, "-I", "-S", "-c", REPORT], executable=sys.executable)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, old)
        del os.environ["NOTIFY_SOCKET"]
        os.close(reader)
        os.close(writer)
    report = json.loads(result.stdout)
    assert set(report["env"]) <= {"PATH", "LC_CTYPE"}  # Python itself may set the latter
    assert report["cwd"] == "/"
    assert report["leader"]
    assert report["fds"]["0"] == "/dev/null"
    assert set(report["fds"]) == {"0", "1", "2"}
    assert report["blocked"] == 0
    assert report["ignored"] & ~(1 << (signal.SIGPIPE - 1) | 1 << (signal.SIGXFSZ - 1)) == 0  # Python's own


async def test_output_and_returncode() -> None:
    result = await spawn.run(["sh", "-c", "cat; echo err >&2; exit 3"], stdin=b"in")
    assert (result.returncode, result.stdout, result.stderr) == (3, b"in", b"err\n")


async def test_signalled() -> None:
    assert (await spawn.run(["sh", "-c", "kill -9 $$"])).returncode == -9


async def test_much_in_and_out() -> None:
    data = os.urandom(5_000_000)
    result = await spawn.run(["cat"], stdin=data, limit=len(data))
    assert result.stdout == data


async def test_output_is_bounded_and_the_child_still_ends() -> None:
    result = await spawn.run(["sh", "-c", "head -c 3000000 /dev/zero; exit 4"], limit=1000)
    assert (result.returncode, len(result.stdout)) == (4, 1000)


async def test_stdin_that_nobody_reads() -> None:
    assert (await spawn.run(["true"], stdin=b"x" * 1_000_000)).returncode == 0


async def test_background_child_is_not_waited_for() -> None:
    result = await spawn.run(["sh", "-c", "sleep 60.4713 & echo $!"])
    eventually(lambda: running("60.4713"))  # it has been forked, and may not be executed yet
    os.kill(int(result.stdout), signal.SIGKILL)


async def test_timeout_kills() -> None:
    with pytest.raises(TimeoutError):
        await spawn.run(["sleep", "300.4711"], timeout=0.1)
    await asyncio.to_thread(eventually, lambda: not running("300.4711"))


async def test_cancellation_kills() -> None:
    task = asyncio.get_running_loop().create_task(spawn.run(["sleep", "300.4712"]))
    await asyncio.to_thread(eventually, lambda: running("300.4712"))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.to_thread(eventually, lambda: not running("300.4712"))


async def test_what_cannot_be_executed() -> None:
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(FileNotFoundError):
        await spawn.run(["/no/such/program"], cwd=os.getcwd())
    assert len(os.listdir("/proc/self/fd")) == before


async def test_passed_descriptor_and_directory(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("there")
    reader, writer = os.pipe()
    try:
        result = await spawn.run(
            ["sh", "-c", f"cat f; echo hi > /proc/self/fd/{writer}"], cwd=str(tmp_path), pass_fds=[writer]
        )
        assert result.stdout == b"there"
        os.set_blocking(reader, False)
        assert os.read(reader, 10) == b"hi\n"
    finally:
        os.close(reader)
        os.close(writer)


def running(argument: str) -> bool:
    """Tell whether a process with that argument runs."""
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and f"\0{argument}\0".encode() in Path(f"/proc/{name}/cmdline").read_bytes():
                return True
        except OSError:
            continue
    return False
