"""Disks too small for what is asked: each way in and out of the image store says so, gives all back, and works then."""

import gzip
import os
import random
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.crash.small_disk import BALLAST, SmallDisk
from tests.integration.images.archives import Made, docker_archive, tar
from tests.registries import DebianRegistry, digest_of, missing
from tests.roots import make_root
from tests.unix_http import Response

pytestmark = pytest.mark.root

MIB = 1 << 20
SLACK = 128 << 10  # bytes that directories, the database and its journal may grow by
SHARED = tar({"shared": random.Random(1).randbytes(2 * MIB)})
LARGE = tar({f"large/{number}": (b"%d" % number) * MIB for number in range(1, 9)})
"""12 MB in 8 files, of which next to nothing is left when they are compressed."""


@pytest.fixture(scope="module", params=["tmpfs", "ext4"])
def mortal(busybox_tar: Path, request: pytest.FixtureRequest) -> Iterator[SmallDisk]:
    with SmallDisk(make_root(), request.param, 64).running(busybox_tar) as daemon:
        yield daemon


@pytest.fixture(scope="module")
def registry(session_root: Path) -> Iterator[DebianRegistry]:
    """With room/image:small (one layer) and :large (that one, and one that is large once it is unpacked)."""
    if reason := missing():
        pytest.skip(reason)
    made = DebianRegistry(session_root / "registry-little-room")
    made.start()
    for tag, layers in (("small", [SHARED]), ("large", [SHARED, LARGE])):
        made.put_image(
            "room/image",
            tag,
            [gzip.compress(layer, 1, mtime=0) for layer in layers],
            rootfs={"type": "layers", "diff_ids": [digest_of(layer) for layer in layers]},
        )
    yield made
    made.stop()


def taken(mortal: SmallDisk) -> int:
    """Bytes on the disk, but for the ballast's."""
    mortal.sync()
    found = os.statvfs(mortal.data_root)
    ballast = mortal.data_root / BALLAST
    of_ballast = ballast.stat().st_blocks * 512 if ballast.exists() else 0
    return (found.f_blocks - found.f_bfree) * found.f_frsize - of_ballast


def stored(mortal: SmallDisk) -> set[Path]:
    """Every file and directory of the image store."""
    return {path for part in ("content", "snapshots") for path in (mortal.data_root / part).rglob("*")}


def fails_for_want_of_room(mortal: SmallDisk, room: int, ask: Callable[[], Response]) -> None:
    """With so many bytes free it fails, says why, and leaves nothing; the disk is free afterwards."""
    before, files = taken(mortal), stored(mortal)
    mortal.leave(room)
    answer = ask()
    assert answer.status in (200, 500), answer
    assert b"no space left on device" in answer.body.lower(), answer
    assert mortal.get("/_ping").status == 200
    assert stored(mortal) == files
    assert taken(mortal) <= before + SLACK
    mortal.free()


def succeeds(answer: Response) -> bytes:
    assert answer.status in (200, 201), answer
    assert b"errorDetail" not in answer.body, answer
    return answer.body


@pytest.mark.parametrize("room", [64 << 10, 4 * MIB])
def test_pull(mortal: SmallDisk, registry: DebianRegistry, room: int) -> None:
    """What an image had before is not fetched again; the layer that found no room is, and it alone."""
    name = f"{registry.netloc}/room/image"

    def pull(tag: str) -> Response:
        return mortal.call("POST", f"/images/create?fromImage={name}&tag={tag}")

    succeeds(pull("small"))
    fails_for_want_of_room(mortal, room, lambda: pull("large"))
    assert mortal.get(f"/images/{name}:large/json").status == 404
    assert mortal.get(f"/images/{name}:small/json").status == 200
    said = succeeds(pull("large"))
    assert (said.count(b'"Already exists"'), said.count(b'"Pull complete"')) == (1, 1)
    mortal.docker("rmi", f"{name}:large", f"{name}:small")


@pytest.mark.parametrize("room", [64 << 10, 4 * MIB])
@pytest.mark.parametrize("zipped", [True, False])
def test_load(mortal: SmallDisk, room: int, zipped: bool) -> None:
    made = Made(layers=[SHARED, LARGE], tags=["loaded:1"])
    made.blobs = [gzip.compress(layer, 1, mtime=0) for layer in made.layers] if zipped else None
    archive = docker_archive(made)

    def load() -> Response:
        return mortal.call(
            "POST", "/images/load?quiet=1", archive, headers={"Content-Type": "application/x-tar"}
        )

    fails_for_want_of_room(mortal, room, load)
    assert mortal.get("/images/loaded:1/json").status == 404
    succeeds(load())
    mortal.docker("rmi", "loaded:1")


@pytest.mark.parametrize("room", [64 << 10, 4 * MIB])
def test_import(mortal: SmallDisk, room: int) -> None:
    archive = gzip.compress(LARGE, 1)

    def bring_in() -> Response:
        return mortal.call("POST", "/images/create?fromSrc=-&repo=imported&tag=1", archive)

    fails_for_want_of_room(mortal, room, bring_in)
    assert mortal.get("/images/imported:1/json").status == 404
    succeeds(bring_in())
    mortal.docker("rmi", "imported:1")


def test_commit_and_push(mortal: SmallDisk, registry: DebianRegistry) -> None:
    """A push needs room for what it packs, if for anything; what was packed does not stay."""
    mortal.docker("run", "--name", "grown", "busybox", "sh", "-c", "head -c 8000000 /dev/urandom >/large")

    def commit() -> Response:
        return mortal.call("POST", "/commit?container=grown&repo=grown&tag=1", {})

    def push() -> Response:
        return mortal.call(
            "POST", f"/images/{registry.netloc}/grown/push?tag=1", headers={"X-Registry-Auth": "e30="}
        )

    fails_for_want_of_room(mortal, 64 << 10, commit)
    assert mortal.get("/images/grown:1/json").status == 404
    succeeds(commit())
    mortal.docker("tag", "grown:1", f"{registry.netloc}/grown:1")
    before, files = taken(mortal), stored(mortal)
    mortal.leave(64 << 10)
    told = push()
    if b"errorDetail" in told.body:
        assert b"no space left on device" in told.body.lower(), told
        assert stored(mortal) == files
    assert taken(mortal) <= before + SLACK
    mortal.free()
    assert b'"aux"' in succeeds(push())
    mortal.docker("rmi", "grown:1", f"{registry.netloc}/grown:1")
    mortal.docker("rm", "grown")


def test_save(mortal: SmallDisk, tmp_path: Path) -> None:
    """It is the client's disk that is full, and the client's to tell; the daemon lets go of the image."""
    loaded = docker_archive(Made(layers=[SHARED, LARGE], tags=["saved:1"]))
    succeeds(
        mortal.call("POST", "/images/load?quiet=1", loaded, headers={"Content-Type": "application/x-tar"})
    )
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(tmp_path)], check=True)
    try:
        done = mortal.docker("save", "-o", str(tmp_path / "saved.tar"), "saved:1", check=False)
        assert done.returncode == 1
        assert "no space left on device" in done.stderr
        assert not (tmp_path / "saved.tar").exists(), "the client removes what it began"
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)
    mortal.docker("rmi", "saved:1")
