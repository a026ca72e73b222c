"""Drivers that send logs: the same output gives the same bytes as of a real dockerd, but for ids, times and pids."""

import gzip
import json
import zlib
from collections.abc import Callable
from functools import partial

import msgspec
import pytest

from tests.peer.log_side import DATAGRAM, LINES, LONG, STREAM, Side, by_stream, masked, whole
from tests.peer.peer import Both, Peer

pytestmark = pytest.mark.root


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
    ours, theirs = (
        received(
            side,
            "syslog",
            f"syslog-address={address}",
            options,
            script,
            partial(whole, end=b"short\n" if script is LONG else b"unfinished\n"),
        )
        for side in sides
    )
    assert len(ours) == len(theirs)
    lines = [[masked(line) for each in got for line in each.splitlines(True)] for got in (ours, theirs)]
    assert by_stream(lines[0]) == by_stream(lines[1])
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
    assert by_stream([masked(each) for each in ours]) == by_stream([masked(each) for each in theirs])


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
                partial(whole, end=end),
            )
        )
        for side in sides
    )
    assert by_stream(ours) == by_stream(theirs)
    assert len(ours) == 4


def events(got: list[bytes]) -> list[bytes]:
    """The messages, with the keys of their maps in order: those of a Go map come in any."""
    data, found = b"".join(got), list[bytes]()
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
