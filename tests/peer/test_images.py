"""Loading, importing, naming, listing and removing images: the same as a real dockerd does it."""

import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from tests.integration.images.archives import Made, docker_archive, tar
from tests.peer.comparison import same
from tests.peer.peer import Both, shape
from tests.unix_http import call

pytestmark = pytest.mark.root

ROOTFS = tar({"etc/hello": b"hello\n"})
TWO = [ROOTFS, tar({"etc/more": b"more\n"})]
DIGEST = "sha256:" + "a" * 64


@pytest.fixture
def image(both: Both) -> Iterator[Made]:
    """An image of two layers on both sides, as peer-made:1, gone after the test."""
    made = Made(layers=TWO, tags=["peer-made:1"])
    both("POST", "/images/load?quiet=1", docker_archive(made))
    yield made
    both("DELETE", f"/images/{made.id}?force=1")


def streams(both: Both, path: str, body: bytes) -> list[list[dict[str, Any]]]:
    """The messages of a JSON stream of both sides, ids as they are."""
    answers = [call(side.socket, "POST", f"/v1.45{path}", body) for side in (both.wherryd, both.peer)]
    return [[json.loads(line) for line in answer.body.splitlines()] for answer in answers]


ERRORS = [
    ("DELETE", "/images/nope"),
    ("DELETE", "/images/nope:1"),
    ("DELETE", f"/images/{DIGEST}"),
    ("DELETE", "/images/NOPE"),
    ("DELETE", "/images/no%20pe"),
    ("DELETE", "/images/%20"),
    ("GET", "/images/nope/json"),
    ("POST", "/images/nope/tag?repo=x"),
    ("POST", "/images/peer-made:1/tag?repo=sha256"),
    ("POST", "/images/peer-made:1/tag?repo=x&tag=a%20b"),
    ("POST", f"/images/peer-made:1/tag?repo=x%40{DIGEST}"),
    ("GET", "/images/json?filters=" + quote('{"nope":["x"]}')),
    ("GET", "/images/json?filters=" + quote('{"dangling":["x"]}')),
    ("GET", "/images/json?filters=" + quote('{"before":["nope"]}')),
    ("GET", "/images/json?filters=" + quote('{"since":["nope:1"]}')),
    ("POST", "/images/create?fromSrc=-&repo=UPPER"),
    ("POST", "/images/create?fromSrc=-&repo=x&tag=a%20b"),
    ("POST", f"/images/create?fromSrc=-&repo=x%40{DIGEST}"),
    ("POST", "/images/create?fromSrc=-&changes=" + quote("RUN x")),
    ("POST", "/images/create?fromSrc=-&changes=" + quote("ENV A")),
    ("POST", "/images/create?fromSrc=-&platform=a/b/c/d"),
]


@pytest.mark.parametrize("request_", ERRORS, ids=" ".join)
def test_errors(both: Both, image: Made, request_: tuple[str, str]) -> None:
    same(both, *request_, ROOTFS if "create" in request_[1] else None)


@pytest.mark.parametrize("tags", [["peer-a:1"], ["peer-a:1", "peer-a:2"], []])
def test_load(both: Both, tags: list[str]) -> None:
    archive = docker_archive(Made(layers=TWO, tags=tags, said={"author": "peer"}))
    ours, theirs = streams(both, "/images/load?quiet=1", archive)
    assert ours == theirs
    image_id = Made(layers=TWO, said={"author": "peer"}).id
    first, second = both("GET", f"/images/{image_id}/json")
    for field in ("Id", "RepoTags", "Created", "Size", "RootFS", "Author", "Architecture", "Os", "Config"):
        assert first.body[field] == second.body[field]
    removed = both("DELETE", f"/images/{image_id}?force=1")
    assert removed[0].body == removed[1].body


def test_progress(both: Both) -> None:
    archive = docker_archive(Made(layers=[tar({"peer": b"x" * 100})], tags=["peer-progress:1"]))
    for told in streams(both, "/images/load?quiet=0", archive):
        assert told[-1] == {"stream": "Loaded image: peer-progress:1\n"}
        assert {line["status"] for line in told[:-1]} == {"Loading layer"}
        assert told[-2]["progressDetail"] == {"current": 10240, "total": 10240}
    both("DELETE", "/images/peer-progress:1")


def test_import(both: Both) -> None:
    path = "/images/create?fromSrc=-&repo=peer-imported&tag=1&message=hi&changes=" + quote('CMD ["x"]')
    ours, theirs = streams(both, path, ROOTFS)
    assert shape(ours) == shape(theirs) == [{"status": "str"}]
    first, second = both("GET", "/images/peer-imported:1/json")
    for field in ("RepoTags", "Comment", "Size", "RootFS", "Architecture", "Os", "Config"):
        assert first.body[field] == second.body[field]
    assert shape(first.body["Metadata"]) == shape(second.body["Metadata"])
    removed = both("DELETE", "/images/peer-imported:1")
    assert removed[0].body == removed[1].body


def test_removal_of_what_a_container_uses(both: Both, image: Made) -> None:
    both("POST", "/images/peer-made:1/tag?repo=peer-made&tag=2")
    body = json.dumps({"Image": "peer-made:1", "Cmd": ["x"]}).encode()
    both("POST", "/containers/create?name=peer-user", body, headers={"Content-Type": "application/json"})
    try:
        for path in ("peer-made:1", "peer-made:2", image.id, f"{image.id}?force=0"):
            same(both, "DELETE", f"/images/{path}")
    finally:
        both("DELETE", "/containers/peer-user")


def test_events(both: Both) -> None:
    """The same actions in the same order on the same names."""
    made = Made(layers=TWO, tags=["peer-events:1"], said={"author": "events"})
    both("POST", "/images/load?quiet=1", docker_archive(made))
    both("POST", "/images/peer-events:1/tag?repo=peer-events&tag=2")
    both("DELETE", "/images/peer-events:1")
    both("DELETE", "/images/peer-events:2")
    filters = quote(json.dumps({"type": ["image"], "image": [made.id]}))
    told = []
    for socket in (both.wherryd.socket, both.peer.socket):
        answer = call(socket, "GET", f"/v1.45/events?since=0&until={int(time.time()) + 1}&filters={filters}")
        events = [json.loads(line) for line in answer.body.splitlines()]
        told.append([(each["Action"], each["Actor"]["Attributes"]) for each in events])
    assert told[0] == told[1]
    assert [action for action, _ in told[0]] == ["load", "tag", "untag", "untag", "delete"]
