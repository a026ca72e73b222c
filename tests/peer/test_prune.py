"""Prunes: what goes, what is said of it, and what is refused, as by a real dockerd."""

import json
import time
from typing import Any
from urllib.parse import quote

import pytest

from tests.integration.images.archives import Made, docker_archive, tar
from tests.peer.comparison import same
from tests.peer.peer import Answer, Both
from tests.unix_http import call

pytestmark = pytest.mark.root

FILTERS = [
    ("containers", {"nope": ["x"]}),
    ("containers", {"dangling": ["true"]}),
    ("containers", {"until": ["1h", "2h"]}),
    ("containers", {"until": ["bad"]}),
    ("containers", {"until": [""]}),
    ("images", {"until": ["bad"]}),
    ("images", {"until": ["1h", "2h"]}),
    ("containers", {"until": ["1h"]}),
    ("containers", {"label": ["no-such-label"]}),
    ("images", {"nope": ["x"]}),
    ("images", {"dangling": ["bad"]}),
    ("images", {"until": ["1h"]}),
    ("images", {"label": ["no-such-label"]}),
    ("networks", {"nope": ["x"]}),
    ("networks", {"dangling": ["true"]}),
    ("networks", {"until": ["bad"]}),
    ("networks", {"until": ["1h", "2h"]}),
    ("networks", {"label": ["no-such-label"], "until": ["1h"]}),
    ("volumes", {"nope": ["x"]}),
    ("volumes", {"until": ["1h"]}),
    ("volumes", {"all": ["bad"]}),
    ("volumes", {"all": ["true", "false"]}),
    ("volumes", {"label": ["no-such-label"], "label!": ["x"], "all": ["1"]}),
]


def prune(
    both: Both, what: str, filters: dict[str, list[str]], version: str = "1.45"
) -> tuple[Answer, Answer]:
    """Prune both sides."""
    return both("POST", f"/{what}/prune?filters={quote(json.dumps(filters))}", version=version)


@pytest.mark.parametrize(("what", "filters"), FILTERS, ids=str)
def test_filters(both: Both, what: str, filters: dict[str, list[str]]) -> None:
    same(both, "POST", f"/{what}/prune?filters={quote(json.dumps(filters))}")


@pytest.mark.parametrize(
    "filters",
    [{"label": ["peer-prune"]}, {"label": ["peer-prune=1"]}, {"label": ["peer-prune"], "label!": ["keep"]}],
    ids=str,
)
def test_containers(both: Both, filters: dict[str, list[str]]) -> None:
    """Created, ended and running ones; those that run and those with another label stay."""
    names = ("created", "ended", "kept", "running")
    for side in (both.wherryd, both.peer):
        run = ("--net", "none", "--label", "peer-prune=1")
        side.docker("create", "--name", "created", *run, "busybox", "true")
        side.docker("run", "--name", "ended", *run, "busybox", "sh", "-c", "head -c 3000 /dev/zero > /x")
        side.docker("create", "--name", "kept", "--label", "keep", *run, "busybox", "true")
        side.docker("run", "-d", "--name", "running", *run, "busybox", "sleep", "600")
    try:
        ours, theirs = prune(both, "containers", filters)
        assert ours.body["ContainersDeleted"] == theirs.body["ContainersDeleted"]  # masked: as many
        assert ours.body["SpaceReclaimed"] == theirs.body["SpaceReclaimed"] == 3000
        left = [
            sorted(each["Names"][0] for each in call(side.socket, "GET", "/v1.45/containers/json?all=1").json)
            for side in (both.wherryd, both.peer)
        ]
        assert left[0] == left[1]
        assert "/running" in left[0]
    finally:
        for side in (both.wherryd, both.peer):
            side.docker("rm", "-f", *names, check=False)


ROOT = tar({"etc/pruned": b"x" * 4096})
MORE = [ROOT, tar({"etc/more": b"y" * 100})]
IMAGES = [
    [Made(layers=[ROOT])],  # without a name
    [Made(layers=[ROOT], tags=["peer-prune:1"])],
    [Made(layers=[ROOT], tags=["peer-prune:1", "peer-prune:2"]), Made(layers=MORE)],  # a layer of both stays
]


@pytest.mark.parametrize("made", IMAGES, ids=["unnamed", "named", "both"])
@pytest.mark.parametrize("dangling", ["true", "false"])
def test_images(both: Both, made: list[Made], dangling: str) -> None:
    """A container keeps busybox from being pruned on both sides."""
    for side in (both.wherryd, both.peer):
        side.docker("create", "--name", "peer-keeps", "busybox", "true")
        for each in made:
            call(side.socket, "POST", "/v1.45/images/load?quiet=1", docker_archive(each))
    try:
        told, blobs = [], _blobs(both)
        for side in (both.wherryd, both.peer):
            path = f"/v1.45/images/prune?filters={quote(json.dumps({'dangling': [dangling]}))}"
            told.append(call(side.socket, "POST", path).json)
        assert told[0].pop("SpaceReclaimed") == told[1].pop("SpaceReclaimed") + blobs - _blobs(both)
        assert _sorted(told[0]) == _sorted(told[1])
    finally:
        for each in made:
            both("DELETE", f"/images/{each.id}?force=1")
        for side in (both.wherryd, both.peer):
            side.docker("rm", "peer-keeps")


def _blobs(both: Both) -> int:
    """The bytes of what images were loaded of, which dockerd does not keep."""
    store = both.wherryd.data_root / "content" / "blobs" / "sha256"
    return sum(blob.stat().st_size for blob in store.iterdir())


def _sorted(report: dict[str, Any]) -> dict[str, Any]:
    """Docker goes through images in no order."""
    lines = report["ImagesDeleted"]
    return report | {"ImagesDeleted": lines and sorted(map(json.dumps, lines))}


def test_events(both: Both) -> None:
    for what in ("containers", "images"):
        prune(both, what, {"label": ["no-such-label"]})
    for kind in ("container", "image"):
        told = []
        for side in (both.wherryd, both.peer):
            filters = quote(json.dumps({"type": [kind], "event": ["prune"]}))
            path = f"/v1.45/events?since=1&until={int(time.time()) + 1}&filters={filters}"
            told.append(json.loads(call(side.socket, "GET", path).body.splitlines()[-1]))
        assert told[0]["Actor"] == told[1]["Actor"] == {"ID": "", "Attributes": {"reclaimed": "0"}}
        assert told[0]["Action"] == told[1]["Action"] == "prune"
        assert told[0].keys() - told[1].keys() <= {"id", "from"}
