"""Importing from a URL: what is told, and how it fails, the same as by a real dockerd."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.integration.images.archives import tar
from tests.peer.comparison import differences, require
from tests.peer.ledger import VERSIONS
from tests.peer.peer import Both, Peer
from tests.peer.scripted import Rule, Scripted
from tests.ports import free_port
from tests.unix_http import call

pytestmark = pytest.mark.root

ROOTFS = tar({"etc/hello": b"hello\n"})
LARGE = tar({"large": b"x" * (3 << 20)})
RULES = [
    Rule("/rootfs.tar", body=ROOTFS.decode("latin-1")),
    Rule("/large.tar", body=LARGE.decode("latin-1")),
    Rule("/text", body="this is no archive"),
    Rule("/cut", body=LARGE.decode("latin-1"), cut=1 << 20),
    Rule("/moved", 302, headers={"Location": "/rootfs.tar"}),
    Rule("/twice", 307, headers={"Location": "http://{netloc}/moved"}),
    Rule("/away", 302, headers={"Location": "ftp://x/y"}),
    Rule("/nowhere", 302),
    *(Rule(f"/{status}", status, "  the reason \n") for status in (400, 401, 403, 405, 409, 429, 500, 503)),
]


@pytest.fixture(scope="module")
def netloc(peer: Peer, session_root: Path) -> Iterator[str]:
    """The host and port that has the files."""
    with Scripted(session_root / "files", free_port(), peer.pid, RULES) as served:
        yield served.netloc


FAILING = [
    *(f"http://{{}}/{status}" for status in (400, 401, 403, 404, 405, 409, 429, 500, 503)),
    "http://{}/away",
    "http://127.0.0.1:1/x",
    "127.0.0.1:1",
    "ftp://x/y",
    "file:///etc/passwd",
    "/etc/passwd",
    "http://",
    "http://a b/",
    "",
]
MORE = ["repo=UPPER", "repo=x&tag=a%20b", "repo=x&platform=a/b/c/d"]


@pytest.mark.parametrize("version", VERSIONS)
def test_failures(both: Both, netloc: str, version: str) -> None:
    found: list[str] = []
    for source in FAILING:
        path = f"/images/create?fromSrc={quote(source.format(netloc), safe='')}&url=1"
        found += differences(both, "POST", path, version=version)
    for more in MORE if version != "1.24" else MORE[:2]:  # before 1.32 there was no platform
        path = f"/images/create?fromSrc=http://{netloc}/rootfs.tar&{more}"
        found += differences(both, "POST", path, version=version)
    require(found)


def _told(both: Both, path: str) -> list[list[dict[str, Any]]]:
    told = []
    for socket in (both.wherryd.socket, both.peer.socket):
        answer = call(socket, "POST", f"/v1.45{path}")
        lines = [json.loads(line) for line in answer.body.splitlines()]
        told.append([line for line in lines if line])
        assert answer.status == 200
    return told


def _last_of_each(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of a row of messages with the same status the last: how often it is told is chance."""
    return [
        line
        for line, following in zip(lines, [*lines[1:], {}], strict=True)
        if line.get("status") != following.get("status")
    ]


@pytest.mark.parametrize("path", ["rootfs.tar", "large.tar", "moved", "twice"])
def test_what_is_told(both: Both, netloc: str, path: str) -> None:
    ours, theirs = _told(both, f"/images/create?fromSrc={netloc}/{path}&repo=peer-url&tag=1")
    assert _last_of_each(ours)[:-1] == _last_of_each(theirs)[:-1]
    assert [set(lines[-1]) for lines in (ours, theirs)] == [{"status"}, {"status"}]
    found = differences(both, "GET", "/images/peer-url:1/json?url=1")
    found += differences(both, "DELETE", "/images/peer-url:1?url=1")
    require(found)


@pytest.mark.parametrize("path", ["text", "cut", "rootfs.tar&changes=RUN%20x"])
def test_what_fails_on_the_way(both: Both, netloc: str, path: str) -> None:
    for lines in _told(both, f"/images/create?fromSrc=http://{netloc}/{path}"):
        assert lines[0]["status"].startswith(f"Downloading from http://{netloc}/")
        assert any("error" in line for line in lines)
