"""Starts that hang in the runtime, in the container's first process or in the kernel: who wants an end gets it."""

import ctypes
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.daemon import Wherryd
from tests.leftovers import Leftovers, scope_of
from tests.roots import make_root
from tests.waiting import eventually

pytestmark = [pytest.mark.root, pytest.mark.timeout(180)]
HOOKS = ("prestart", "createContainer", "startContainer")
"""Where a hook hangs: in the runtime itself, in its process in the container, and in the same after `start`."""
SECONDS = str(1_000_000 + os.getpid())
"""What the hooks sleep: nobody else sleeps as long."""
_WRAPPER = """#!{python} -I
import json, os, sys
words = sys.argv[1:]
if "create" in words:
    path = os.path.join(words[words.index("--bundle") + 1], "config.json")
    spec = json.load(open(path))
    spec["hooks"] = {{"{hook}": [{{"path": "/bin/sleep", "args": ["sleep", "{seconds}"]}}]}}
    json.dump(spec, open(path, "w"))
os.execvp("runc", ["runc", *words])
"""
REFUSAL = "it was to end before it had started"


@pytest.fixture(scope="module")
def daemon(busybox_tar: Path) -> Iterator[Wherryd]:
    """A daemon with a runtime for each place where a start may hang: runc, with a hook that sleeps."""
    made = Wherryd(make_root())
    for hook in HOOKS:
        wrapper = made.root / hook
        wrapper.write_text(_WRAPPER.format(python=sys.executable, hook=hook, seconds=SECONDS))
        wrapper.chmod(0o755)
        made.flags += ["--add-runtime", f"{hook.lower()}={wrapper}"]
    with made.running(busybox_tar):
        yield made


@pytest.fixture(autouse=True)
def nothing_left(daemon: Wherryd) -> Iterator[None]:
    """Fail a test that leaves anything of its container, or the container itself, which nobody else meets then."""
    before = Leftovers(scope_of(daemon))
    yield
    if not daemon.alive:
        daemon.start(timeout=90)
    if left := daemon.docker("ps", "-aq").stdout.split():
        daemon.docker("rm", "-f", *left, timeout=90)
    before.check(scope_of(daemon))
    eventually(lambda: not sleeping())
    assert left == []


def sleeping() -> list[str]:
    """The hooks that sleep."""
    return [
        entry.parent.name
        for entry in Path("/proc").glob("[0-9]*/cmdline")
        if _read(entry) == f"sleep\0{SECONDS}\0".encode()
    ]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def made(daemon: Wherryd, hook: str, *options: str) -> str:
    """A container whose start hangs."""
    return daemon.docker("create", "--runtime", hook.lower(), *options, "busybox", "top").stdout.strip()


@contextmanager
def starting(daemon: Wherryd, container: str) -> Iterator["Future[str]"]:
    """Its start, which hangs by now: what its client is told in the end."""
    with ThreadPoolExecutor(1) as pool:
        told = pool.submit(lambda: daemon.docker("start", container, check=False, timeout=90).stderr)
        eventually(lambda: sleeping() or told.done())
        assert not told.done()
        yield told


@pytest.mark.parametrize("hook", HOOKS)
def test_a_removal_by_force(daemon: Wherryd, hook: str) -> None:
    container = made(daemon, hook)
    with starting(daemon, container) as told:
        daemon.docker("rm", "-f", container, timeout=40)
        assert REFUSAL in told.result(20)


def test_a_kill(daemon: Wherryd) -> None:
    """The container stays, says why, and can be started again, which hangs again."""
    container = made(daemon, "createContainer")
    for _ in range(2):
        with starting(daemon, container) as told:
            daemon.docker("kill", container, timeout=40)
            assert REFUSAL in told.result(20)
        state = daemon.get(f"/containers/{container}/json").json["State"]
        assert (state["Status"], state["Pid"], REFUSAL in state["Error"]) == ("created", 0, True)
    daemon.docker("rm", container)


def test_a_stop_waits_for_as_long_as_it_is_told(daemon: Wherryd) -> None:
    container = made(daemon, "createContainer")
    with starting(daemon, container) as told:
        began = time.monotonic()
        daemon.docker("stop", "-t", "2", container, timeout=40)
        assert time.monotonic() - began > 2
        assert REFUSAL in told.result(20)
    daemon.docker("rm", container)


def test_others_are_not_held_up(daemon: Wherryd) -> None:
    container = made(daemon, "prestart")
    with starting(daemon, container) as told:
        assert daemon.docker("run", "--rm", "busybox", "echo", "here").stdout == "here\n"
        assert daemon.docker("inspect", "-f", "{{.State.Status}}", container).stdout == "created\n"
        daemon.docker("rm", "-f", container, timeout=40)
        assert REFUSAL in told.result(20)


def test_a_daemon_that_ends(daemon: Wherryd) -> None:
    """The start ends with it, and the next daemon has nothing of it."""
    container = made(daemon, "createContainer")
    with starting(daemon, container) as told:
        daemon.terminate(timeout=40)
        daemon.start()
        assert told.result(20)
    eventually(lambda: not sleeping())
    daemon.docker("rm", container)


def test_a_daemon_that_is_killed(daemon: Wherryd) -> None:
    """The next one finds a shim whose runtime hangs, and ends both."""
    container = made(daemon, "createContainer")
    with starting(daemon, container):
        daemon.kill9()
        daemon.start(timeout=90)
    eventually(lambda: not sleeping())
    daemon.docker("rm", container)


def test_a_bind_of_a_file_system_that_does_not_answer(daemon: Wherryd, tmp_path: Path) -> None:
    """FUSE whose daemon reads no request, as a network file system whose server is away."""
    container = daemon.docker("create", "-v", f"{tmp_path}/in:/in", "busybox", "top").stdout.strip()
    server = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    options = f"fd={server},rootmode=40000,user_id=0,group_id=0"
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.mount(b"hung", bytes(tmp_path), b"fuse", 0, options.encode()) == 0, os.strerror(
        ctypes.get_errno()
    )
    try:
        with ThreadPoolExecutor(1) as pool:
            told = pool.submit(daemon.call, "POST", f"/containers/{container}/start", timeout=90)
            time.sleep(1)
            assert not told.done()
            daemon.docker("rm", "-f", container, timeout=40)
            assert REFUSAL in told.result(20).json["message"]
    finally:
        os.close(server)
        libc.umount2(bytes(tmp_path), 2)
