"""Disk usage: the same lists and sizes as a real dockerd's."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.daemon import Wherryd
from tests.integration.images.archives import Made, docker_archive, tar
from tests.peer.peer import Both, Peer, shape
from tests.unix_http import call

pytestmark = pytest.mark.root

BASE = tar({"base": b"b" * 5000})
SHARED = [
    Made(layers=[BASE, tar({"own": name * 300})], tags=[f"peer-df:{name.decode()}"]) for name in (b"1", b"2")
]


@pytest.fixture(scope="module")
def used(peer_wherryd: Wherryd, peer: Peer) -> Iterator[Both]:
    """Two images that share a layer, a container that has written, and one that runs, on both sides."""
    both = Both(peer_wherryd, peer)
    for side in (both.wherryd, both.peer):
        for made in SHARED:
            call(side.socket, "POST", "/v1.45/images/load?quiet=1", docker_archive(made))
        wrote = ("sh", "-c", "head -c 7000 /dev/zero > /x")
        side.docker("run", "--name", "peer-wrote", "--net", "none", "busybox", *wrote)
        volume = ("-v", "peer-df:/data")
        side.docker("run", "-d", "--name", "peer-runs", "--net", "none", *volume, "busybox", "sleep", "600")
        side.docker("exec", "peer-runs", "sh", "-c", "head -c 9000 /dev/zero > /data/x")
        side.docker("volume", "create", "peer-idle")
    yield both
    for side in (both.wherryd, both.peer):
        side.docker("rm", "-f", "peer-wrote", "peer-runs")
        side.docker("rmi", "peer-df:1", "peer-df:2")
        side.docker("volume", "rm", "peer-df", "peer-idle")


@pytest.mark.parametrize("version", ["1.25", "1.40", "1.41", "1.42", "1.43", "1.44", "1.45"])
@pytest.mark.parametrize(
    "query",
    ["", "?type=image", "?type=container", "?type=volume", "?type=image&type=container"],
)
def test_lists(used: Both, version: str, query: str) -> None:
    ours, theirs = used("GET", f"/system/df{query}", version=version)
    assert ours.headers == theirs.headers
    assert shape(ours.body) == shape(theirs.body)
    blobs = _without_blobs(used, ours.body)
    assert ours.body["LayersSize"] == theirs.body["LayersSize"] + blobs
    for kind, key in (("Images", "RepoTags"), ("Containers", "Names"), ("Volumes", "Name")):
        assert _sizes(ours.body, kind, key) == _sizes(theirs.body, kind, key)


def _without_blobs(used: Both, body: dict[str, Any]) -> int:
    """Make the sizes of images those of their layers, as dockerd's are: it has no blobs. The bytes of all blobs."""
    listed = call(used.wherryd.socket, "GET", "/v1.47/images/json?manifests=1&shared-size=1").json
    layers = {tuple(each["RepoTags"]): each for each in listed}
    for image in body["Images"] or ():
        known = layers[tuple(image["RepoTags"])]
        content = known["Manifests"][0]["Size"]["Content"]
        assert image["Size"] == known["Size"] + content
        assert known["SharedSize"] <= image["SharedSize"] <= known["SharedSize"] + content
        image |= {name: known[name] for name in ("Size", "SharedSize")}
        if "VirtualSize" in image:
            assert image["VirtualSize"] == known["Size"] + content
            image["VirtualSize"] = known["Size"]
    if body["Images"] is None:
        return 0
    blobs = (used.wherryd.data_root / "content" / "blobs" / "sha256").iterdir()
    return sum(blob.stat().st_size for blob in blobs)


def _sizes(body: dict[str, Any], kind: str, key: str) -> list[tuple[Any, ...]] | None:
    fields = (key, "Size", "SharedSize", "VirtualSize", "SizeRw", "SizeRootFs", "State", "UsageData")
    if body[kind] is None:
        return None
    return sorted((tuple(each.get(field) for field in fields) for each in body[kind]), key=str)


@pytest.mark.parametrize("query", ["?type=nope", "?type=image&type=nope", "?type="])
@pytest.mark.parametrize("version", ["1.41", "1.45"])
def test_kinds_that_are_none(used: Both, query: str, version: str) -> None:
    ours, theirs = used("GET", f"/system/df{query}", version=version)
    assert ours.status == theirs.status
    if ours.status == 400:
        assert ours == theirs


def test_build_cache(used: Both) -> None:
    """Asked for it alone, dockerd 26 breaks off (a nil pointer); moby has mended that since."""
    empty: dict[str, Any] = {
        "LayersSize": 0,
        "Images": None,
        "Containers": None,
        "Volumes": None,
        "BuildCache": [],
    }
    assert call(used.wherryd.socket, "GET", "/v1.45/system/df?type=build-cache").json == empty


def test_cli(used: Both) -> None:
    """The table of the CLI, sizes and what could be freed; images are compared above."""
    ours = used.wherryd.docker("system", "df").stdout
    theirs = used.peer.docker("system", "df").stdout.decode()
    assert [line.split() for line in _no_images(ours)] == [line.split() for line in _no_images(theirs)]
    columns = [side.docker("system", "df", "-v").stdout for side in (used.wherryd, used.peer)]
    first, second = (text if isinstance(text, str) else text.decode() for text in columns)
    assert len(first.splitlines()) == len(second.splitlines())


def _no_images(table: str) -> list[str]:
    return [line for line in table.splitlines() if not line.startswith("Images")]


def test_newest(used: Both) -> None:
    """Since 1.52 totals, and beside them the lists unless it is verbose (moby, router/system/system_routes.go)."""
    plain = call(used.wherryd.socket, "GET", "/v1.55/system/df").json
    assert plain.keys() == {
        "LayersSize", "Images", "Containers", "Volumes", "BuildCache", "ImageUsage", "ContainerUsage", "VolumeUsage",
        "BuildCacheUsage", "EngineUsage",
    }  # fmt: skip
    verbose = call(used.wherryd.socket, "GET", "/v1.55/system/df?verbose=1").json
    assert verbose.keys() == {name for name in plain if name.endswith("Usage")}
    total = verbose["ContainerUsage"]
    assert (total["ActiveCount"], total["TotalCount"]) == (1, 2)
    assert total["Reclaimable"] == total["TotalSize"] == 7000
    assert verbose["ImageUsage"]["TotalSize"] == plain["LayersSize"]
    assert verbose["BuildCacheUsage"] == {}
    only = call(used.wherryd.socket, "GET", "/v1.55/system/df?type=container&verbose=1").json
    assert only.keys() == {"ContainerUsage"}
