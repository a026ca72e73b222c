"""What a process that copies has of a container: nothing that executes, and no program or library of it."""

import os
import socket
import tarfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from tests.daemon import Wherryd
from tests.processes import read

pytestmark = pytest.mark.root

TARGET = "/v1.45/containers/copied/archive?path="
BIG = 64 << 20  # bytes, more than all buffers on the way hold
HARD = {"nosuid", "nodev", "noexec"}


@pytest.fixture
def copied(wherryd: Wherryd, tmp_path: Path) -> Iterator[int]:
    """The process of a container with a volume, a bind and a large file."""
    wherryd.docker(
        "run", "-d", "--name", "copied", "--network", "none", "-v", "copied:/v", "-v", f"{tmp_path}:/b",
        "--tmpfs", "/t", "busybox", "sh", "-c", "mkdir /d && truncate -s 64M /d/big && exec sleep 1000",
    )  # fmt: skip
    wherryd.docker("exec", "copied", "sh", "-c", "until [ -e /d/big ]; do sleep 0.05; done")
    yield int(wherryd.docker("inspect", "-f", "{{.State.Pid}}", "copied").stdout)
    wherryd.docker("rm", "-f", "-v", "copied")
    wherryd.docker("volume", "rm", "copied")


@contextmanager
def stalled(wherryd: Wherryd, request: bytes) -> Iterator[Path]:
    """The /proc directory of the worker for a request that goes no further."""
    with closing(socket.socket(socket.AF_UNIX)) as client:
        client.connect(str(wherryd.socket))
        client.sendall(request)
        yield worker_inside(wherryd.pid)


def worker_inside(daemon: int) -> Path:
    """A daemon's worker, once it sees a container's files alone."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        for server in children(daemon):
            for worker in children(server):
                with suppress(OSError):  # it has ended
                    command = Path(f"/proc/{worker}/cmdline").read_bytes()
                    status = Path(f"/proc/{worker}/status").read_text()
                    if b"runtime.archive.server" in command and "NoNewPrivs:\t1" in status:
                        return Path(f"/proc/{worker}")
        time.sleep(0.02)
    raise AssertionError("no worker went in")


def children(process: int) -> list[int]:
    """The processes that a process has started."""
    with suppress(OSError):
        return [
            int(pid)
            for file in Path(f"/proc/{process}/task").glob("*/children")
            for pid in file.read_text().split()
        ]
    return []


def put() -> bytes:
    """The beginning of a request."""
    entry = tarfile.TarInfo("file")
    entry.size = BIG
    head = f"PUT {TARGET}/d HTTP/1.1\r\nHost: d\r\nContent-Length: {BIG + 1024}\r\n\r\n"
    return head.encode() + entry.tobuf() + bytes(1 << 16)


REQUESTS = {"PUT": put(), "GET": f"GET {TARGET}/d HTTP/1.1\r\nHost: d\r\n\r\n".encode()}


@pytest.mark.parametrize("method", REQUESTS)
def test_nothing_of_the_container_executes(wherryd: Wherryd, copied: int, method: str) -> None:
    places = ("/", "/v", "/b", "/t")
    devices = {os.stat(f"/proc/{copied}/root{place}").st_dev for place in places}
    devices -= {os.stat("/usr").st_dev}  # of a bind, whose filesystem may be that of Python
    with stalled(wherryd, REQUESTS[method]) as worker:
        mounts = [line.split() for line in (worker / "mountinfo").read_text().splitlines()]
        assert set(places) <= {mount[4] for mount in mounts}
        for mount in mounts:
            assert set(mount[5].split(",")) >= HARD, mount
        for line in (worker / "maps").read_text().splitlines():
            major, minor = (int(part, 16) for part in line.split()[3].split(":"))
            assert os.makedev(major, minor) not in devices, line
        assert os.stat(worker / "exe").st_dev not in devices
        assert not [fd for fd in (worker / "fd").iterdir() if str(fd.readlink()).startswith("mnt:")]


def test_no_descriptor_of_the_daemon_is_inherited(wherryd: Wherryd, copied: int) -> None:
    """The daemon holds the container's init, its shim and its output; who copies is given a socket."""
    with stalled(wherryd, REQUESTS["GET"]) as worker:
        server = Path(f"/proc/{(worker / 'stat').read_text().rpartition(')')[2].split()[1]}")
        assert sorted(fd.name for fd in (server / "fd").iterdir()) == ["0", "1", "2", "3"]
        ours = Path(f"/proc/{wherryd.pid}/fdinfo")
        kept = [text for text in map(read, map(str, ours.iterdir())) if f"Pid:\t{copied}\n" in text]
        assert kept
        for text in kept:
            flags = text.partition("flags:")[2].split()[0]
            assert int(flags, 8) & os.O_CLOEXEC
