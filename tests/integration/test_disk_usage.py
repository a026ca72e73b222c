"""Disk usage accounts for every byte below the data root, and prunes give back what they say."""

import os
import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon import Wherryd
from tests.integration.images.archives import Made, docker_archive, tar
from tests.waiting import eventually

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("no_leftovers")]

LOW = tar({"low": random.Random(1).randbytes(300_000)})
MADE = [
    Made(layers=[LOW, tar({name: name.encode() * 50_000})], tags=[f"du-{name}:1"])
    for name in ("idle", "used")
]
SLACK = 64 << 10
"""What the database's log may grow by between two looks."""


def lying(directory: Path) -> int:
    """The bytes of all files, links too, below a directory, each inode once."""
    found = {}
    for path, _, files in os.walk(directory):
        for name in files:
            status = (Path(path) / name).lstat()
            found[status.st_dev, status.st_ino] = status.st_size
    return sum(found.values())


@pytest.fixture
def filled(wherryd: Wherryd) -> Iterator[Wherryd]:
    """A daemon with everything that takes room, a broken off download among it."""
    for made in MADE:
        wherryd.docker("load", stdin=docker_archive(made))
    script = "head -c 200000 /dev/zero > /x; ln /x /y; head -c 100000 /dev/zero | tr '\\0' '\\n'; echo told"
    wherryd.docker("run", "--name", "du-wrote", "--net", "none", "busybox", "sh", "-c", script)
    volume = ("-v", "du-data:/data", "--name", "du-runs", "--net", "none")
    written = wherryd.data_root / "volumes/du-data/_data/x"
    wherryd.docker(
        "run", "-d", *volume, "busybox", "sh", "-c", "head -c 70000 /dev/zero > /data/x; sleep 600"
    )
    eventually(lambda: written.exists() and written.stat().st_size == 70_000)
    wherryd.docker("create", "--name", "du-of-used", "du-used:1", "x")
    wherryd.docker("create", "--name", "du-of-forced", "du-idle:1", "x")
    wherryd.docker("tag", "du-idle:1", "du-kept:1")
    partial = wherryd.data_root / "content" / "retained" / ("0" * 64)
    partial.write_bytes(bytes(123_456))
    yield wherryd
    partial.unlink(missing_ok=True)
    wherryd.docker("rm", "-fv", "du-wrote", "du-runs", "du-of-used", "du-of-forced")
    wherryd.docker("volume", "rm", "du-data")
    wherryd.docker("rmi", "du-idle:1", "du-kept:1", "du-used:1", check=False)


KINDS = (
    ("ImageUsage", r"content/.*|snapshots/committed/[^/]+/fs/.*"),
    (
        "ContainerUsage",
        r"snapshots/(active|view)/[^/]+/fs/.*|containers/[0-9a-f]{64}/([^/]*-json|container)\.log.*",
    ),
    ("VolumeUsage", r"volumes/[^/]+/_data/.*"),
    (
        "EngineUsage",
        r"[^/]+|containers/[0-9a-f]{64}/[^/]+|snapshots/[a-z]+/[^/]+/[^/]+|volumes/([^/]+/)?[^/]+",
    ),
)
"""docs/volumes.md, "What lies where", as patterns of paths below the data root: the first that fits."""


def attributed(data_root: Path) -> dict[str, int]:
    """The bytes of each kind, each inode once; a file of no kind is a failure."""
    sizes: dict[str, dict[tuple[int, int], int]] = {kind: {} for kind, _ in KINDS}
    for path, _, files in os.walk(data_root):
        for name in files:
            file = Path(path) / name
            shown = str(file.relative_to(data_root))
            kind = next((kind for kind, pattern in KINDS if re.fullmatch(pattern, shown)), None)
            assert kind is not None, f"{shown} is of no kind"
            status = file.lstat()
            sizes[kind][status.st_dev, status.st_ino] = status.st_size
    return {kind: sum(found.values()) for kind, found in sizes.items()}


def test_every_file_is_of_a_kind(filled: Wherryd) -> None:
    """And the bytes of each kind are what is told of it, also with another log and an image that is mounted."""
    mount = {"Type": "image", "Source": "busybox", "Target": "/img"}
    host = {"Mounts": [mount], "NetworkMode": "none", "LogConfig": {"Type": "local"}}
    body = {"Image": "busybox", "Cmd": ["sh", "-c", "ls -lR /img; sleep 1000"], "HostConfig": host}
    assert filled.call("POST", "/v1.48/containers/create?name=du-mounts", body).status == 201
    filled.docker("start", "du-mounts")
    try:
        usage = filled.get("/v1.55/system/df?verbose=1").json
        told = {kind: total.get("TotalSize", 0) for kind, total in usage.items() if kind != "BuildCacheUsage"}
        found = attributed(filled.data_root)
        assert told.keys() == found.keys()
        for kind, size in found.items():
            assert abs(told[kind] - size) <= SLACK, (kind, told, found)
    finally:
        filled.docker("rm", "-f", "du-mounts")


@pytest.mark.parametrize("forced", [False, True])
def test_every_byte(filled: Wherryd, forced: bool) -> None:
    """Also layers that a container keeps of an image that was removed by force."""
    if forced:
        filled.docker("rmi", "-f", "du-idle:1", "du-kept:1")
    usage = filled.get("/v1.55/system/df?verbose=1").json
    sizes = {kind: total.get("TotalSize", 0) for kind, total in usage.items()}
    there = lying(filled.data_root)
    assert abs(sum(sizes.values()) - there) <= SLACK, sizes
    assert sizes["ImageUsage"] == lying(filled.data_root / "content") + sum(
        lying(layer / "fs") for layer in (filled.data_root / "snapshots" / "committed").iterdir()
    )
    assert sizes["VolumeUsage"] >= 70_000
    assert sizes["EngineUsage"] >= 1 << 20
    containers = {
        each["Names"][0]: each["SizeRw"] for each in usage["ContainerUsage"]["Items"] if "SizeRw" in each
    }
    assert containers["/du-wrote"] > 200_000 + 100_000 * 60, "a record for each line"
    images = {tuple(each["RepoTags"]): each for each in usage["ImageUsage"]["Items"]}
    used = images["du-used:1",]
    assert used["Size"] > 2 * (300_000 + 200_000), "as files, and as archives"
    assert (used["SharedSize"] > 600_000) == (not forced)


def test_the_old_shape_has_it_all(filled: Wherryd) -> None:
    old, new = filled.get("/v1.44/system/df").json, filled.get("/v1.55/system/df?verbose=1").json
    assert old["LayersSize"] == new["ImageUsage"]["TotalSize"]
    assert "du-used" in filled.docker("system", "df", "-v").stdout


def test_a_prune_says_what_it_gave_back(filled: Wherryd) -> None:
    filled.docker("rm", "du-of-forced")
    reclaimable = filled.get("/v1.55/system/df?type=image").json["ImageUsage"]["Reclaimable"]
    before = lying(filled.data_root / "content") + lying(filled.data_root / "snapshots")
    told = filled.call("POST", '/images/prune?filters={"dangling":["false"]}').json
    after = lying(filled.data_root / "content") + lying(filled.data_root / "snapshots")
    assert {"Untagged": "du-idle:1"} in told["ImagesDeleted"]
    links = 4096  # that snapshots have beside their files
    assert before - after - links <= told["SpaceReclaimed"] <= before - after
    assert told["SpaceReclaimed"] == reclaimable > 123_456
    filled.docker("create", "--name", "du-of-forced", "busybox")
