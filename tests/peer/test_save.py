"""Saving images: what a real dockerd writes, what it refuses, and what each loads of the other."""

import io
import json
import tarfile
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from tests.integration.images.archives import Made, docker_archive, tar
from tests.peer.comparison import same, same_head
from tests.peer.ledger import VERSIONS
from tests.peer.peer import Both, shape
from tests.unix_http import call

pytestmark = pytest.mark.root

TWO = [tar({"etc/hello": b"hello\n"}), tar({"etc/more": b"more\n"})]
DIGEST = "sha256:" + "a" * 64
REFUSED = [
    "/images/nope/get",
    "/images/nope:1/get",
    "/images/sha256:abcdef1234/get",
    "/images/peer-saved:3/get",
    "/images/get?names=nope",
    "/images/get?names=peer-saved:1&names=nope:1",
    f"/images/{DIGEST}/get",
]


@pytest.fixture
def image(both: Both) -> Iterator[Made]:
    """An image of two layers under two tags on both sides."""
    made = Made(layers=TWO, tags=["peer-saved:1", "peer-saved:2"])
    for side in (both.wherryd, both.peer):
        call(side.socket, "POST", "/v1.45/images/load?quiet=1", docker_archive(made))
    yield made
    both("DELETE", f"/images/{made.id}?force=1")


def documents(archive: bytes) -> dict[str, Any]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        return {
            each.name: json.load(opened.extractfile(each))  # type: ignore[arg-type]
            for each in opened
            if each.isfile() and "/" not in each.name
        }


@pytest.mark.parametrize("path", REFUSED)
@pytest.mark.parametrize("version", ["1.24", "1.45"])
def test_refused(both: Both, image: Made, path: str, version: str) -> None:
    same(both, "GET", path, version=version)


@pytest.mark.parametrize("names", ["peer-saved", "peer-saved:2", "{id}", "peer-saved:2&names={id}", ""])
@pytest.mark.parametrize("version", VERSIONS)
def test_what_the_archive_says(both: Both, image: Made, names: str, version: str) -> None:
    query = f"?names={names.format(id=image.id)}" if names else ""
    ours, theirs = (documents(each) for each in same_head(both, f"/images/get{query}", version))
    assert shape(ours) == shape(theirs)
    assert ours["manifest.json"] == theirs["manifest.json"]
    assert ours.get("repositories") == theirs.get("repositories")
    named = [
        sorted(each["annotations"].items() if "annotations" in each else ())
        for side in (ours, theirs)
        for each in side["index.json"]["manifests"] or ()
    ]
    assert named[: len(named) // 2] == named[len(named) // 2 :]


@pytest.mark.parametrize("name", ["peer-saved", "{id}"])
@pytest.mark.parametrize("version", VERSIONS)
def test_an_archive_of_one(both: Both, image: Made, name: str, version: str) -> None:
    path = f"/images/{name.format(id=image.id)}/get"
    ours, theirs = (documents(each) for each in same_head(both, path, version))
    assert shape(ours) == shape(theirs)
    assert ours["manifest.json"] == theirs["manifest.json"]


def test_before_1_48_the_platform_is_not_looked_at(both: Both, image: Made) -> None:
    asked = quote(json.dumps({"os": "linux", "architecture": "arm64"}))
    for platform in ("x", asked):
        ours, theirs = same_head(both, f"/images/peer-saved:1/get?platform={platform}")
        assert shape(documents(ours)) == shape(documents(theirs))


def test_events(both: Both, image: Made) -> None:
    told = []
    for side in (both.wherryd, both.peer):
        began = time.time_ns()
        call(side.socket, "GET", "/v1.45/images/peer-saved/get")
        filters = quote(json.dumps({"type": ["image"], "event": ["save"], "image": [image.id]}))
        since = f"{began // 10**9}.{began % 10**9:09d}"
        path = f"/v1.45/events?since={since}&until={int(time.time()) + 1}&filters={filters}"
        events = [json.loads(line) for line in call(side.socket, "GET", path).body.splitlines()]
        told.append([(each["Action"], each["Actor"]) for each in events])
    assert told[0] == told[1]
    assert told[0][0][1]["Attributes"] == {"made": "yes", "name": image.id}


def test_each_loads_what_the_other_saved(both: Both, image: Made) -> None:
    ours, theirs = same_head(both, "/images/peer-saved/get")
    both("DELETE", f"/images/{image.id}?force=1")
    for side, archive in ((both.wherryd, theirs), (both.peer, ours)):
        loaded = call(side.socket, "POST", "/v1.45/images/load?quiet=1", archive)
        told = sorted(json.loads(line)["stream"] for line in loaded.body.splitlines())
        assert told == ["Loaded image: peer-saved:1\n", "Loaded image: peer-saved:2\n"]
        found = call(side.socket, "GET", "/v1.45/images/peer-saved:2/json").json
        assert (found["Id"], found["RepoTags"]) == (image.id, ["peer-saved:1", "peer-saved:2"])
