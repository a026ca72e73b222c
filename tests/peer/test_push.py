"""Pushing to registries of the same kind: lines, failures, records and events as of a real dockerd."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.integration.images.archives import Made, docker_archive, tar
from tests.peer.comparison import differences, require, same
from tests.peer.ledger import VERSIONS
from tests.peer.peer import Both, Peer
from tests.peer.registries import twice
from tests.peer.test_pull import auth
from tests.registries import PASSWORD, USER, missing
from tests.unix_http import call

pytestmark = pytest.mark.root

AUTH = {"X-Registry-Auth": "e30="}
LAYERS = [tar({"etc/pushed": b"pushed\n"}), tar({"etc/more": bytes(range(256)) * 4096})]


@pytest.fixture(scope="module")
def netloc(session_root: Path, peer: Peer) -> Iterator[str]:
    """Where the registries are."""
    if reason := missing():
        pytest.skip(reason)
    with twice(session_root / "registry-peer-push", peer, apart=True) as made:
        yield made.netloc


@pytest.fixture
def made(netloc: str, both: Both) -> Iterator[Made]:
    """An image of two layers, loaded on both sides under two tags of push/it."""
    image = Made(LAYERS, [f"{netloc}/push/it:1", f"{netloc}/push/it:2"])
    both("POST", "/images/load?quiet=1", docker_archive(image))
    yield image
    both("DELETE", f"/images/{image.id}?force=1")


def told(both: Both, path: str, headers: dict[str, str] | None = None) -> list[list[dict[str, Any]]]:
    """What both say to a push."""
    sockets = (both.wherryd.socket, both.peer.socket)
    answers = [call(socket, "POST", f"/v1.45{path}", headers=headers or AUTH) for socket in sockets]
    return [[json.loads(line) for line in answer.body.splitlines()] for answer in answers]


def story(lines: list[dict[str, Any]]) -> tuple[list[str], dict[str, list[str]]]:
    """What is told of the whole, in order, without digests, and of each layer its steps, each once."""
    whole: list[str] = []
    layers: dict[str, list[str]] = {}
    for line in lines:
        if "id" not in line:
            text = re.sub("sha256:[0-9a-f]{64}", "DIGEST", json.dumps(line, sort_keys=True))
            whole.append(re.sub(r'(size: |"Size": )\d+', r"\1N", text))
        elif line["status"] not in ("Waiting", "Pushing"):
            steps = layers.setdefault(line["id"], [])
            if line["status"] not in steps:
                steps.append(line["status"])
    return whole, layers


def require_same_story(both: Both, path: str, headers: dict[str, str] | None = None) -> None:
    ours, theirs = told(both, path, headers)
    assert story(ours) == story(theirs)


def test_lines(both: Both, netloc: str, made: Made) -> None:
    """Of a first push, of one that brings nothing, of all tags, and of another repository: that is mounted."""
    require_same_story(both, f"/images/{netloc}/push/it/push?tag=1")
    require_same_story(both, f"/images/{netloc}/push/it/push?tag=1")
    require_same_story(both, f"/images/{netloc}/push/it:2/push")
    require_same_story(both, f"/images/{netloc}/push/it/push")
    both("POST", f"/images/{made.id}/tag?repo={netloc}/push/other&tag=3")
    require_same_story(both, f"/images/{netloc}/push/other/push?tag=3")
    require_same_story(both, f"/images/{netloc}/push/other/push?tag=4")


def test_a_line_of_progress(both: Both, netloc: str, made: Made) -> None:
    """Every kind of line has the same fields."""
    both("POST", f"/images/{made.id}/tag?repo={netloc}/push/fields&tag=1")
    fields = [
        {line.get("status", "").partition(" ")[0]: sorted(line) for line in lines}
        for lines in told(both, f"/images/{netloc}/push/fields/push?tag=1")
    ]
    assert fields[0].keys() & fields[1].keys() >= {"Preparing", "The", "1:", ""}
    common = fields[0].keys() & fields[1].keys()
    assert {key: fields[0][key] for key in common} == {key: fields[1][key] for key in common}


def test_the_record(both: Both, netloc: str, made: Made) -> None:
    """Both know by which digest the image is there now; digests are each one's own."""
    require_same_story(both, f"/images/{netloc}/push/it/push?tag=1")
    for socket in (both.wherryd.socket, both.peer.socket):
        record = call(socket, "GET", f"/v1.45/images/{made.id}/json").json
        (name,) = record["RepoDigests"]
        assert re.fullmatch(re.escape(f"{netloc}/push/it@sha256:") + "[0-9a-f]{64}", name)


def test_a_pulled_image(both: Both, netloc: str, made: Made) -> None:
    """What was pushed is pulled as the same image, and is the same when it is pushed again."""
    require_same_story(both, f"/images/{netloc}/push/it/push?tag=1")
    both("DELETE", f"/images/{made.id}?force=1")
    for socket in (both.wherryd.socket, both.peer.socket):
        call(socket, "POST", f"/v1.45/images/create?fromImage={netloc}/push/it&tag=1")
        before = call(socket, "GET", f"/v1.45/images/{netloc}/push/it:1/json").json
        assert before["Id"] == made.id
        call(socket, "POST", f"/v1.45/images/{netloc}/push/it:1/tag?repo={netloc}/push/again&tag=1")
    ours, theirs = told(both, f"/images/{netloc}/push/again/push?tag=1")
    assert story(ours)[0] == story(theirs)[0]
    for lines in (ours, theirs):  # each from the repository that it likes best
        assert [steps[-1].split()[0] for steps in story(lines)[1].values()] == ["Mounted", "Mounted"]
    for socket in (both.wherryd.socket, both.peer.socket):
        digests = call(socket, "GET", f"/v1.45/images/{made.id}/json").json["RepoDigests"]
        assert len({name.partition("@")[2] for name in digests}) == 1


GOOD = ("/images/nope/push?tag=1", "/images/{}/push/it/push?tag=9", "/images/{}/push/it@{}/push")
BAD = (
    "/images/UPPER/push?tag=1",
    "/images/{}/push/it/push?tag=a%20b",
    "/images/{}/push/it@{}/push?tag=1",
    "/images/sha256:{}/push?tag=1",
    "/images/%20/push",
    "/images/{}/push/it/push?tag=-x",
)


@pytest.mark.parametrize("version", VERSIONS)
def test_failures(both: Both, netloc: str, made: Made, version: str) -> None:
    """Those of the first kind travel in the stream."""
    found: list[str] = []
    for path in (*GOOD, *BAD):
        filled = path.replace("{}", netloc, 1).replace("{}", "sha256:" + "a" * 64)
        filled = filled.replace(f"sha256:{netloc}", "a" * 64)
        found += differences(both, "POST", filled, version=version, headers=AUTH)
    require(found)


@pytest.mark.parametrize("header", [{}, {"X-Registry-Auth": "no base64!"}, {"X-Registry-Auth": ""}])
def test_headers(both: Both, header: dict[str, str]) -> None:
    same(both, "POST", "/images/unasked/push?tag=1", headers=header)


@pytest.mark.parametrize("port", [1, 99999])
def test_nobody_answers(both: Both, made: Made, port: int) -> None:
    both("POST", f"/images/{made.id}/tag?repo=127.0.0.1:{port}/x&tag=1")
    same(both, "POST", f"/images/127.0.0.1:{port}/x/push?tag=1", headers=AUTH)


def test_events(both: Both, netloc: str, made: Made) -> None:
    since = time.time()
    for path in ("/push?tag=1", ":2/push", "/push"):
        told(both, f"/images/{netloc}/push/it{path}")
    filters = quote(json.dumps({"type": ["image"], "event": ["push"]}))
    path = f"/v1.45/events?since={since:.9f}&until={int(time.time()) + 1}&filters={filters}"
    happened = []
    for socket in (both.wherryd.socket, both.peer.socket):
        lines = [json.loads(line) for line in call(socket, "GET", path).body.splitlines()]
        happened.append([line["Actor"] for line in lines])
    assert happened[0] == happened[1]
    assert len(happened[0]) == 3


def test_credentials(both: Both, session_root: Path, peer: Peer, made: Made) -> None:
    root = session_root / "registry-peer-push-htpasswd"
    with twice(root, peer, apart=True, htpasswd=True) as registry:
        guarded = registry.netloc
        both("POST", f"/images/{made.id}/tag?repo={guarded}/in/side&tag=1")
        path = f"/images/{guarded}/in/side/push?tag=1"
        for header in ("e30=", auth(username=USER), auth(username=USER, password="wrong")):
            require_same_story(both, path, {"X-Registry-Auth": header})
        require_same_story(both, path, {"X-Registry-Auth": auth(username=USER, password=PASSWORD)})
