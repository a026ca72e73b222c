"""The journal's driver: the same entries as of a real dockerd, but for ids, times and pids."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.daemon import Wherryd
from tests.peer.log_side import BODY, DATAGRAM, LINES, LONG, Side, by_stream, masked
from tests.peer.peer import Peer
from tests.receivers import Receiver
from tests.roots import make_root
from tests.unix_http import call

pytestmark = pytest.mark.root

JOURNAL = "run/systemd/journal"


@pytest.fixture
def journals(peer: Peer, busybox_tar: Path) -> Iterator[list[tuple[Side, Receiver]]]:
    """A journal for each, which none of the host's others sees."""
    there = os.path.isdir("/run/systemd")
    os.makedirs("/run/systemd", exist_ok=True)
    mounted = "mount -t tmpfs journal /run/systemd && mkdir /run/systemd/journal"
    daemon = Wherryd(make_root())
    daemon.wrapper = ["unshare", "--mount", "sh", "-c", f'{mounted} && exec "$@"', "sh"]
    subprocess.run(["nsenter", "-m", "-t", str(peer.pid), "sh", "-c", mounted], check=True)
    receivers: list[Receiver] = []
    try:
        daemon.start()
        daemon.import_busybox(busybox_tar)
        sides = [Side(daemon, 0), Side(peer, peer.pid)]
        receivers += [
            Receiver(f"/proc/{side.daemon.pid}/root/{JOURNAL}/socket", DATAGRAM).start() for side in sides
        ]
        yield list(zip(sides, receivers, strict=True))
    finally:
        for receiver in receivers:
            receiver.close()
        subprocess.run(["nsenter", "-m", "-t", str(peer.pid), "umount", "/run/systemd"], check=True)
        daemon.destroy()
        if not there:
            shutil.rmtree("/run/systemd")


def test_journald(journals: list[tuple[Side, Receiver]]) -> None:
    for options, script, count in (
        ({}, LINES, 4),
        ({"labels": "l.x,_other", "env": "A", "tag": "{{.Name}}"}, LINES, 4),
        ({}, LONG, 4),
    ):
        entries = []
        for side, receiver in journals:
            receiver.got.clear()
            side.run("journald", options, script)
            got = receiver.until(partial(_are, count))
            entries.append([sorted(each.split(b"\n")) for each in by_stream([masked(each) for each in got])])
        assert entries[0] == entries[1]


def _are(count: int, got: list[bytes]) -> bool:
    return len(got) == count


def test_an_entry_too_large_for_a_datagram(journals: list[tuple[Side, Receiver]]) -> None:
    """It has a variable of 300 KB, and goes as a descriptor."""
    side, receiver = journals[0]
    environment = [*BODY["Env"], f"BIG={'y' * 100_000}", f"LINES=a\nb{'z' * 120_000}"]
    body = {
        **BODY,
        "Env": environment,
        "Cmd": ["echo", "hi"],
        "HostConfig": {
            "NetworkMode": "none",
            "LogConfig": {"Type": "journald", "Config": {"env": "BIG,LINES"}},
        },
    }
    call(side.daemon.socket, "POST", "/v1.45/containers/create?name=box", body)
    started = call(side.daemon.socket, "POST", "/v1.45/containers/box/start")
    assert started.status == 204, started.body
    try:
        (entry,) = receiver.until(len)
        assert entry.startswith(b"PRIORITY=6\nMESSAGE=hi\n")
        size = 120_003
        assert b"LINES\n" + size.to_bytes(8, "little") + b"a\nbzz" in entry
        assert b"\nBIG=yyy" in entry
    finally:
        call(side.daemon.socket, "DELETE", "/v1.45/containers/box?force=1")
