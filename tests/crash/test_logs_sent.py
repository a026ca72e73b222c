"""Logs on their way when the daemon is killed, the disk is full, or the other side is slow: nothing is lost."""

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.dying import shim_of
from tests.crash.small_disk import SmallDisk, small_disks
from tests.daemon import Wherryd
from tests.receivers import Receiver
from tests.roots import make_root
from tests.waiting import dies, eventually

pytestmark = pytest.mark.root

BATCH = 64 * 1024
"""Bytes of the log that may be sent twice."""
RECORD = 75


@pytest.fixture(scope="module")
def mortal(busybox_tar: Path) -> Iterator[Wherryd]:
    with Wherryd(make_root()).running(busybox_tar) as daemon:
        yield daemon


def listening() -> Receiver:
    return Receiver(("127.0.0.1", 0), socket.SOCK_STREAM)


def run(daemon: Wherryd, port: int, script: str, *flags: str) -> None:
    driver = ("--log-driver=syslog", f"--log-opt=syslog-address=tcp://127.0.0.1:{port}", "--log-opt=tag=t")
    daemon.docker("run", "-d", "--name", "sent", "--net=none", *driver, *flags, "busybox", "sh", "-c", script)


def numbers(got: list[bytes]) -> list[int]:
    """What the complete lines say."""
    lines = [line for piece in got for line in piece.decode().split("\n")[:-1]]
    return [int(line.split("]: ")[1]) for line in lines]


def test_a_killed_daemon_loses_nothing_and_repeats_little(mortal: Wherryd) -> None:
    """Killed again and again while a container writes 20000 lines."""
    remote = listening().start()
    run(mortal, remote.port, "n=0; while [ $n -lt 20000 ]; do n=$((n+1)); echo $n; done; sleep 1000")
    try:
        for _ in range(3):
            time.sleep(0.15)
            mortal.kill9()
            time.sleep(0.15)
            mortal.start()
        remote.until(lambda got: b"]: 20000\n" in b"".join(got), 40)
        # Each connection is read by a thread of its own.
        eventually(lambda: set(numbers(remote.got)) == set(range(1, 20001)))
        time.sleep(0.2)
        seen = numbers(remote.got)
        assert len(seen) - 20000 <= 3 * BATCH // RECORD
        assert "dropped" not in mortal.log.read_text()
    finally:
        mortal.docker("rm", "-f", "sent")
        remote.close()


def test_what_ended_while_there_was_no_daemon_is_sent(mortal: Wherryd) -> None:
    remote = listening()
    run(mortal, remote.port, "until [ -e /go ]; do sleep .1; done; seq 1 5000")
    pid = mortal.state("sent")["Pid"]
    shim = os.pidfd_open(shim_of(pid))
    mortal.kill9()
    Path(f"/proc/{pid}/root/go").touch()
    dies(shim)
    remote.start()
    mortal.start()
    try:
        remote.until(lambda got: b"]: 5000\n" in b"".join(got))
        assert numbers(remote.got) == list(range(1, 5001))
    finally:
        mortal.docker("rm", "-f", "sent")
        remote.close()


def test_what_a_stopped_container_left_unsent_goes_out_after_a_restart(mortal: Wherryd) -> None:
    with socket.socket() as kept:  # nobody listens, and nobody else gets the port meanwhile
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        kept.bind(("127.0.0.1", 0))
        address = kept.getsockname()
        run(mortal, address[1], "seq 1 3000")
        mortal.docker("wait", "sent")
        mortal.restart()
        remote = Receiver(address, socket.SOCK_STREAM).start()
    try:
        remote.until(lambda got: b"]: 3000\n" in b"".join(got))
        assert numbers(remote.got) == list(range(1, 3001))
    finally:
        mortal.docker("rm", "-f", "sent")
        remote.close()


def test_connections_that_are_cut_lose_nothing(mortal: Wherryd) -> None:
    remote = listening().start()
    run(mortal, remote.port, "n=0; while [ $n -lt 20000 ]; do n=$((n+1)); echo $n; done; sleep 1000")
    try:
        for _ in range(5):
            time.sleep(0.1)
            remote.cut()
        remote.until(lambda got: b"]: 20000\n" in b"".join(got), 40)
        eventually(lambda: set(numbers(remote.got)) == set(range(1, 20001)))
    finally:
        mortal.docker("rm", "-f", "sent")
        remote.close()


@pytest.fixture(scope="module")
def small(busybox_tar: Path) -> Iterator[SmallDisk]:
    yield from small_disks(busybox_tar, "tmpfs", 32)


def test_a_full_disk_loses_records_and_nothing_else(small: SmallDisk) -> None:
    """What was written is sent though nothing of that can be noted; what comes once there is room is sent as well."""
    remote = listening().start()
    run(small, remote.port, "seq 1 1000; sleep 1000")
    try:
        remote.until(lambda got: b"]: 1000\n" in b"".join(got))
        small.fill()
        small.docker("exec", "sent", "sh", "-c", "seq 1001 200000 > /proc/1/fd/1")
        assert small.get("/containers/sent/json").json["State"]["Running"]
        small.free()
        small.docker("exec", "sent", "sh", "-c", "echo 300000 > /proc/1/fd/1")
        remote.until(lambda got: b"]: 300000\n" in b"".join(got))
        seen = numbers(remote.got)
        assert seen[:1000] == list(range(1, 1001))
        assert seen == sorted(set(seen))
    finally:
        small.docker("rm", "-f", "sent")
        remote.close()
