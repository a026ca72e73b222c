"""A supervisor of its own for each test, with real runc, and a look for what the test left in the kernel."""

import asyncio
import glob
import json
import os
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop

from runtime.shim_stream import Stream
from runtime.spec.build import is_plain
from runtime.supervisor import Supervisor
from runtime.task import Task
from runtime.task_values import Attach, Exit, LogFile, Runtime, TaskRequest
from tests.integration.runtime.bundles import make_bundle, make_rootfs, new_id
from tests.roots import make_root

RUNC = Runtime(name="runc", path="runc")
GRACE = 20.0


class Containers:
    """Makes containers under one exec root. `ids` remembers them for the look afterwards."""

    def __init__(self, root: Path, rootfs: Path) -> None:
        self.root = root
        self.exec_root = root / "run"
        self.rootfs = rootfs
        self.ids: list[str] = []
        self.supervisor: Supervisor | None = None

    async def open(self, **options: Any) -> Supervisor:
        """Open the supervisor, closing the one before."""
        await self.close()
        self.supervisor = await Supervisor.open(self.exec_root, **options)
        return self.supervisor

    async def close(self) -> None:
        """Close the supervisor, if there is one."""
        if self.supervisor is not None:
            await self.supervisor.close()
        self.supervisor = None

    def log(self, container_id: str) -> Path:
        """Return where the container's log is."""
        return self.root / f"{container_id}.log"

    def state_dir(self, container_id: str, number: int = 1) -> Path:
        """Return the state directory of the n-th start."""
        return self.exec_root / "containers" / container_id / str(number)

    def request(
        self,
        args: list[str],
        *,
        container_id: str = "",
        runtime: Runtime = RUNC,
        log: LogFile | str | None = "default",
        open_stdin: bool = False,
        stdin_once: bool = False,
        terminal: bool = False,
        console_size: tuple[int, int] | None = None,
        host_pid: bool = False,
        memory: int = 0,
        hooks: dict[str, Any] | None = None,
    ) -> TaskRequest:
        """Write a bundle and return the request for it."""
        container_id = container_id or new_id()
        self.ids.append(container_id)
        bundle = make_bundle(
            self.exec_root / "containers" / container_id,
            self.rootfs,
            container_id,
            args,
            terminal=terminal,
            host_pid=host_pid,
            memory=memory,
            hooks=hooks,
        )
        return TaskRequest(
            id=container_id,
            bundle=bundle,
            runtime=runtime,
            terminal=terminal,
            open_stdin=open_stdin,
            stdin_once=stdin_once,
            log=LogFile(path=self.log(container_id)) if isinstance(log, str) else log,
            console_size=console_size,
            plain=is_plain(json.loads((bundle / "config.json").read_text())),
        )

    async def create(self, args: list[str], *, number: int = 1, **options: Any) -> Task:
        """Create a container; the options are those of `request`."""
        request = self.request(args, **options)
        assert self.supervisor is not None
        return await self.supervisor.create(request, self.state_dir(request.id, number))

    async def run(self, args: list[str], **options: Any) -> tuple[Exit, bytes]:
        """Run a container to its end and return its exit and all that an attached client got."""
        task = await self.create(args, **options)
        stream = await task.attach(Attach())
        await task.start()
        output = await read_all(stream)
        stream.close()
        await task.gone()
        return await task.wait(), output

    async def end(self, task: Task) -> None:
        """Kill a container and see it go."""
        await task.kill(9)
        await task.gone()


async def read_all(stream: Stream) -> bytes:
    """Read a stream to its end."""
    chunks: list[bytes] = []
    while chunk := await stream.read():
        chunks.append(chunk)
    return b"".join(chunks)


def stdout_of(frames: bytes, stream: int = 1) -> bytes:
    """Take one stream out of stdcopy frames."""
    found, at = bytearray(), 0
    while at < len(frames):
        end = at + 8 + int.from_bytes(frames[at + 4 : at + 8], "big")
        if frames[at] == stream:
            found += frames[at + 8 : end]
        at = end
    return bytes(found)


def left_behind(containers: Containers) -> list[str]:
    """Return a line for each process, cgroup and runtime state that belongs to these containers."""
    needle = str(containers.root).encode()
    pids = [name for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]
    left = [
        f"process {pid}: {_read(f'/proc/{pid}/comm').decode().strip()}"
        for pid in pids
        if _belongs(pid, needle, containers.ids)
    ]
    left += [
        f"cgroup {controller} of {container_id[:12]}"
        for controller in os.listdir("/sys/fs/cgroup")
        for container_id in containers.ids
        if os.path.isdir(f"/sys/fs/cgroup/{controller}/docker/{container_id}")
    ]
    runc = containers.exec_root / "runc"
    left += [f"runtime state of {path.name[:12]}" for path in (runc.iterdir() if runc.is_dir() else ())]
    left += [f"socket {path}" for path in glob.glob(f"{containers.exec_root}/containers/*/*/*sock")]
    return left


def settle(containers: Containers) -> list[str]:
    """Return what is still left after some seconds."""
    deadline = time.monotonic() + GRACE
    while (left := left_behind(containers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def _belongs(pid: str, needle: bytes, ids: list[str]) -> bool:
    if needle in _read(f"/proc/{pid}/cmdline"):
        return True
    if any(container_id.encode() in _read(f"/proc/{pid}/cgroup") for container_id in ids):
        return True
    try:
        return any(
            needle.decode() in os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")
        )
    except OSError:
        return False


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


@pytest.fixture(scope="session")
def rootfs() -> Iterator[Path]:
    """A root filesystem of busybox."""
    root = make_root("supervisor-")
    yield make_rootfs(root / "rootfs")
    shutil.rmtree(root)


@pytest.fixture
async def containers(rootfs: Path) -> AsyncIterator[Containers]:
    """A place for containers, with no supervisor yet."""
    root = make_root("supervisor-")
    place = Containers(root, rootfs)
    descriptors = len(os.listdir("/proc/self/fd"))
    yield place
    await place.close()
    left = await asyncio.to_thread(settle, place)
    shutil.rmtree(root, ignore_errors=True)
    if left:
        pytest.fail("the test left:\n  " + "\n  ".join(left), pytrace=False)
    # Fewer is no leak: garbage of an earlier test may have held one.
    assert len(os.listdir("/proc/self/fd")) <= descriptors, "the supervisor leaks descriptors"


@pytest.fixture
async def box(containers: Containers) -> Containers:
    """A place for containers with an open supervisor."""
    await containers.open()
    return containers


@pytest.fixture(autouse=True)
def no_leftovers() -> None:
    """Here `containers` looks: there is no daemon."""


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Use the loop that the daemon runs on."""
    return {"uvloop": uvloop.new_event_loop}
