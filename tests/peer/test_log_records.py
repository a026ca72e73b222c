"""The json-file log's records, byte for byte as a real dockerd writes them, and its rotated files."""

import json
import re
from pathlib import Path

import pytest

from runtime.shim.jsonlog import MAX_LINE, JsonLog
from runtime.shim.protocol import STDOUT
from tests.peer.peer import Peer

pytestmark = pytest.mark.root

TIME = re.compile(rb'"time":"[^"]*"')
ODD = [
    b"plain\n",
    b"\n\n",
    bytes(range(32)) + b"\x7f\n",
    b'"quoted" \\back\\ <tag> & more\r\n',
    "é€😀 \u2028 \u2029 \ufffd\n".encode(),
    b"\xff\xfe \xc3 \xe2\x80 \xed\xa0\x80 \xc0\xaf \xf4\x90\x80\x80\n",
    *(b"x" * length + b"\n" for length in (MAX_LINE - 1, MAX_LINE, MAX_LINE + 1, 3 * MAX_LINE + 5)),
    "é".encode() * MAX_LINE + b"\n",
    b"short\n" + b"y" * (MAX_LINE - 7) + b"\n",
    b"no newline at the end",
]


def run(peer: Peer, data: Path, *options: str) -> Path:
    """Have dockerd run a container that prints the file, and return its log."""
    name = f"log-{data.stem}"
    peer.docker(
        "run",
        "--name",
        name,
        "--network",
        "none",
        "-v",
        f"{data}:/data:ro",
        *options,
        "busybox",
        "cat",
        "/data",
    )
    return Path(peer.docker("inspect", "--format", "{{.LogPath}}", name).stdout.decode().strip())


def records(path: Path) -> list[bytes]:
    """Read records with their times blanked."""
    return [TIME.sub(b'"time":""', line) for line in path.read_bytes().splitlines()]


def test_odd_records(peer: Peer, tmp_path: Path) -> None:
    data = tmp_path / "odd"
    data.write_bytes(b"".join(ODD))
    theirs = run(peer, data, "--label", "a=b", "--log-opt", "labels=a")
    log = JsonLog(str(tmp_path / "log"), attrs=b'{"a":"b"}')
    log.write(STDOUT, data.read_bytes())
    log.flush()
    log.close()
    assert records(tmp_path / "log") == records(theirs)


def test_timestamps_look_alike(peer: Peer, tmp_path: Path) -> None:
    data = tmp_path / "times"
    data.write_bytes(b"x\n" * 50)
    log = JsonLog(str(tmp_path / "log"))
    log.write(STDOUT, data.read_bytes())
    log.close()
    for path in (run(peer, data), tmp_path / "log"):
        for line in path.read_bytes().splitlines():
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{0,8}[1-9])?Z", json.loads(line)["time"])


def test_rotation(peer: Peer, tmp_path: Path) -> None:
    """Which lines are in which file: equal but for the length of a time, whose zeros are not written."""
    data = tmp_path / "rotated"
    data.write_bytes(b"".join(b"line %d %s\n" % (number, b"x" * 1000) for number in range(100)))
    theirs = run(peer, data, "--log-opt", "max-size=20k", "--log-opt", "max-file=3")
    ours = tmp_path / "log"
    log = JsonLog(str(ours), max_size=20_000, max_files=3)
    log.write(STDOUT, data.read_bytes())
    log.close()
    for suffix in ("", ".1", ".2"):
        expected, found = (records(Path(f"{path}{suffix}")) for path in (theirs, ours))
        assert found == expected
    assert not Path(f"{theirs}.3").exists()
    assert not Path(f"{ours}.3").exists()
