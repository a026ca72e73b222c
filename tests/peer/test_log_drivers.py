"""Drivers that send logs: the same output gives the same bytes as of a real dockerd, but for ids, times and pids."""

import gzip
import json
import os
import re
import shutil
import socket
import subprocess
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.daemon import Wherryd
from tests.peer.peer import Both, Peer
from tests.receivers import Receiver
from tests.roots import make_root
from tests.unix_http import call

pytestmark = pytest.mark.root

STREAM, DATAGRAM = socket.SOCK_STREAM, socket.SOCK_DGRAM
LINES = "echo 'out <&> é'; sleep .1; echo; sleep .1; echo err >&2; sleep .1; printf unfinished"
LONG = "head -c 40000 /dev/zero | tr '\\0' x; echo; sleep .1; echo short"
BODY: dict[str, Any] = {
    "Image": "busybox:latest",
    "Env": ["A=1", "B=x y"],
    "Labels": {"l.x": "v", "_other": "<w>"},
}
MASKS = (
    (re.compile(rb"\b[0-9a-f]{64}\b"), b"<id>"),
    (re.compile(rb"\b[0-9a-f]{12}\b"), b"<id>"),
    # Of nanoseconds those at the end are left out that are 0: now and then there are six digits, as of microseconds.
    (re.compile(rb"(?<=SYSLOG_TIMESTAMP=)[-T:\d]+(\.\d+)?Z"), b"<fine time>"),
    (re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z"), b"<time>"),
    (re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z"), b"<fine time>"),
    (re.compile(rb"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d"), b"<stamp>"),
    (re.compile(rb"\[\d+\]: "), b"[<pid>]: "),
    (re.compile(rb"(<id>|box\S*) \d+ (<id>|box\S*) - "), b"<tag> <pid> <tag> - "),
    (re.compile(rb'"timestamp":\d+(\.\d+)?'), b'"timestamp":<time>'),
)


def masked(data: bytes) -> bytes:
    for pattern, word in MASKS:
        data = pattern.sub(word, data)
    return data


class Side:
    """One of the two daemons, and receivers that it can reach."""

    def __init__(self, daemon: Wherryd | Peer, netns: int) -> None:
        self.daemon = daemon
        self.netns = netns
        self.root = daemon.root

    def receiver(self, kind: socket.SocketKind, path: str = "") -> Receiver:
        if path:
            return Receiver(str(self.root / path), kind).start()
        return Receiver(("127.0.0.1", 0), kind, netns=self.netns).start()

    def run(self, driver: str, options: dict[str, str], script: str) -> None:
        body = {
            **BODY,
            "Cmd": ["sh", "-c", script],
            "HostConfig": {"NetworkMode": "none", "LogConfig": {"Type": driver, "Config": options}},
        }
        made = call(self.daemon.socket, "POST", "/v1.45/containers/create?name=box", body)
        assert made.status == 201, made.body
        try:
            started = call(self.daemon.socket, "POST", "/v1.45/containers/box/start")
            assert started.status == 204, started.body
            call(self.daemon.socket, "POST", "/v1.45/containers/box/wait")
        finally:
            call(self.daemon.socket, "DELETE", "/v1.45/containers/box?force=1")


@pytest.fixture
def sides(both: Both) -> list[Side]:
    assert isinstance(both.peer, Peer)
    return [Side(both.wherryd, 0), Side(both.peer, both.peer.pid)]


def received(
    side: Side,
    driver: str,
    address: str,
    options: dict[str, str],
    script: str,
    last: Callable[[list[bytes]], object],
) -> list[bytes]:
    """What arrives at `address`, an option with a url in which {port} or {path} is the receiver's."""
    name, _, url = address.partition("=")
    path = "log.sock" if "{path}" in url else ""
    kind = DATAGRAM if url.startswith(("udp", "unixgram")) else STREAM
    receiver = side.receiver(kind, path)
    try:
        where = url.format(path=side.root / "log.sock", port="" if path else receiver.port)
        side.run(driver, {name: where, **options}, script)
        return list(receiver.until(last))
    finally:
        receiver.close()
        (side.root / "log.sock").unlink(missing_ok=True)


SYSLOG = [
    *(
        ("tcp://127.0.0.1:{port}", {"syslog-format": form}, LINES)
        for form in ("", "rfc3164", "rfc5424", "rfc5424micro")
    ),
    ("udp://127.0.0.1:{port}", {"syslog-facility": "local3", "tag": "box.{{.Name}}"}, LINES),
    ("udp://127.0.0.1:{port}", {"syslog-format": "rfc5424micro", "tag": "box"}, LINES),
    ("unix://{path}", {"syslog-format": "rfc5424"}, LINES),
    ("unixgram://{path}", {"labels": "l.x", "env": "A", "tag": "box {{.ImageName}}"}, LINES),
    ("tcp://127.0.0.1:{port}", {}, LONG),
]


@pytest.mark.parametrize(("address", "options", "script"), SYSLOG)
def test_syslog(sides: list[Side], address: str, options: dict[str, str], script: str) -> None:
    end = b"short\n" if script is LONG else b"unfinished\n"
    ours, theirs = (
        received(
            side,
            "syslog",
            f"syslog-address={address}",
            options,
            script,
            lambda got: b"".join(got).endswith(end),
        )
        for side in sides
    )
    assert [masked(each) for each in ours] == [masked(each) for each in theirs]
    assert b"<&> \xc3\xa9\n" in b"".join(ours) or script is LONG


GELF = [
    ("udp", {}, LINES),
    ("udp", {"gelf-compression-type": "zlib", "gelf-compression-level": "9"}, LINES),
    (
        "udp",
        {"gelf-compression-type": "none", "labels": "l.x,_other", "env-regex": "^[AB]$", "tag": "{{.Name}}"},
        LINES,
    ),
    ("tcp", {"labels": "l.x"}, LINES),
]


UNPACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress,
    "zlib": zlib.decompress,
    "none": bytes,
}


@pytest.mark.parametrize(("scheme", "options", "script"), GELF)
def test_gelf(sides: list[Side], scheme: str, options: dict[str, str], script: str) -> None:
    unpack = UNPACK[options.get("gelf-compression-type", "gzip")]

    def plain(got: list[bytes]) -> list[bytes]:
        return b"".join(got).split(b"\0")[:-1] if scheme == "tcp" else [unpack(each) for each in got]

    ours, theirs = (
        plain(
            received(
                *(side, "gelf", f"gelf-address={scheme}://127.0.0.1:{{port}}", options, script),
                lambda got: len(plain(got)) == 3,
            )
        )
        for side in sides
    )
    assert [masked(each) for each in ours] == [masked(each) for each in theirs]


def test_gelf_in_chunks(sides: list[Side]) -> None:
    """The same number of datagrams, of the same sizes, but for the daemons' own ids and times."""
    options = {"gelf-compression-type": "none"}
    both = [
        received(
            *(side, "gelf", "gelf-address=udp://127.0.0.1:{port}", options, LONG),
            lambda got: b"short" in got[-1] if got else False,
        )
        for side in sides
    ]
    for got in both:
        chunks = [each for each in got if each.startswith(b"\x1e\x0f")]
        assert [len(each) for each in chunks[:11]] == [1420] * 11
        assert len({each[2:10] for each in chunks}) == 3
        whole = b"".join(each[12:] for each in chunks if each[2:10] == chunks[0][2:10])
        assert json.loads(whole)["short_message"] == "x" * 16384
    assert len(both[0]) == len(both[1])


FLUENTD = [
    ("tcp://127.0.0.1:{port}", {}, LINES),
    (
        "127.0.0.1:{port}",
        {"fluentd-sub-second-precision": "true", "labels": "l.x", "env": "A", "tag": "docker.{{.Name}}"},
        LINES,
    ),
    ("unix://{path}", {"fluentd-async": "true"}, LONG),
]


@pytest.mark.parametrize(("address", "options", "script"), FLUENTD)
def test_fluentd(sides: list[Side], address: str, options: dict[str, str], script: str) -> None:
    end = b"short" if script is LONG else b"unfinished"
    ours, theirs = (
        events(
            received(
                side,
                "fluentd",
                f"fluentd-address={address}",
                options,
                script,
                lambda got: end in b"".join(got),
            )
        )
        for side in sides
    )
    assert ours == theirs
    assert len(ours) == 4


def events(got: list[bytes]) -> list[Any]:
    """The messages, with the keys of their maps in order: those of a Go map come in any."""
    data, found = b"".join(got), []
    while data:
        end = data.find(b"\x80\x94") + 1 or len(data)
        tag, time, record, option = msgspec.msgpack.decode(data[:end])
        kind = (
            (type(time).__name__, len(bytes(time.data)), time.code)
            if isinstance(time, msgspec.msgpack.Ext)
            else "int"
        )
        found.append(masked(repr((tag, kind, sorted(record.items()), option)).encode()))
        data = data[end:]
    return found


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
            entries.append([sorted(masked(each).split(b"\n")) for each in got])
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
