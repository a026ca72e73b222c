"""Disks with a little room, more with every try: what is begun is done, or fails for want of it and leaves nothing."""

import gzip
import os
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.crash.small_disk import SmallDisk, small_disks
from tests.integration.images.archives import tar
from tests.registries import DebianRegistry, digest_of, missing
from tests.unix_http import Response

pytestmark = pytest.mark.root

KIB = 1024
WRITE = "head -c 1500000 /dev/urandom > /big; for i in $(seq 50); do echo $i > /small$i; done"


@pytest.fixture(scope="module", params=["tmpfs", "ext4"])
def mortal(busybox_tar: Path, request: pytest.FixtureRequest) -> Iterator[SmallDisk]:
    yield from small_disks(busybox_tar, request.param, 40)


def stored(mortal: SmallDisk) -> list[str]:
    """What lies in the data root but for the database and the ballast."""
    found = []
    for place in ("content", "snapshots", "containers", "volumes"):
        for directory, _, files in os.walk(mortal.data_root / place):
            found += [directory, *(f"{directory}/{file}" for file in files)]
    return sorted(found)


def for_want_of_room(answer: Response) -> bool:
    """Whether a call failed, which has to be for that; in its status or in the stream."""
    if answer.status < 300 and b"errorDetail" not in answer.body:
        return False
    assert answer.status in (200, 500), answer
    assert b"no space left on device" in answer.body.lower(), answer
    return True


def test_loads(mortal: SmallDisk) -> None:
    """Neither blob, nor layer, nor record: nothing of a load that failed stays, and the next one is whole."""
    mortal.docker("run", "--name", "source", "busybox", "sh", "-c", WRITE)
    mortal.docker("commit", "source", "big:1")
    mortal.docker("rm", "source")
    archive = mortal.get("/images/big:1/get").body
    mortal.docker("rmi", "big:1")
    before, failed = stored(mortal), 0
    for room in range(0, 6000, 400):
        mortal.leave(room * KIB)
        answer = mortal.call(
            "POST", "/images/load?quiet=1", archive, headers={"Content-Type": "application/x-tar"}
        )
        if not for_want_of_room(answer):
            break
        failed += 1
        assert stored(mortal) == before
        assert mortal.get("/images/big:1/json").status == 404
    assert failed > 2
    assert mortal.get("/images/big:1/json").status == 200
    mortal.free()
    assert (
        mortal.docker("run", "--rm", "big:1", "sh", "-c", "cat /small50; wc -c < /big").stdout
        == "50\n1500000\n"
    )
    mortal.docker("rmi", "big:1")
    assert stored(mortal) == before


@pytest.fixture(scope="module")
def pulled(session_root: Path) -> Iterator[str]:
    """An image of two layers in a registry, as a pull asks for it."""
    if reason := missing():
        pytest.skip(reason)
    registry = DebianRegistry(session_root / "registry-room")
    registry.start()
    layers = [tar({f"{n}": random.Random(n).randbytes(1_500_000)}) for n in range(2)]
    diff_ids = [digest_of(layer) for layer in layers]
    zipped = [gzip.compress(layer, 1) for layer in layers]
    registry.put_image("little/room", "1", zipped, rootfs={"type": "layers", "diff_ids": diff_ids})
    yield f"fromImage={registry.netloc}/little/room&tag=1"
    registry.stop()


def test_pulls(mortal: SmallDisk, pulled: str) -> None:
    """What was fetched before the disk was full is given back, and not kept for another pull."""
    before, failed = stored(mortal), 0
    for room in range(0, 7200, 600):
        mortal.leave(room * KIB)
        answer = mortal.call("POST", f"/images/create?{pulled}")
        if for_want_of_room(answer):
            failed += 1
            assert stored(mortal) == before, room
    mortal.free()
    assert 3 < failed < 12
    name = pulled.removeprefix("fromImage=").replace("&tag=", ":")
    assert mortal.get(f"/images/{name}/json").status == 200
    mortal.docker("rmi", name)
    assert stored(mortal) == before


def test_commits(mortal: SmallDisk) -> None:
    mortal.docker("run", "--name", "source", "busybox", "sh", "-c", WRITE)
    before, failed = stored(mortal), 0
    for room in range(0, 6000, 400):
        mortal.leave(room * KIB)
        if not for_want_of_room(mortal.call("POST", "/commit?container=source&repo=big&tag=1", {})):
            break
        failed += 1
        assert stored(mortal) == before
    assert failed > 2
    mortal.free()
    mortal.docker("rmi", "big:1")
    mortal.docker("rm", "source")


def test_creates_and_starts(mortal: SmallDisk) -> None:
    """A container that could be made can be removed; one that could not be started can be when there is room."""
    empty, made = stored(mortal), 0
    for room in range(0, 120, 4):
        mortal.leave(room * KIB)
        created = mortal.call(
            "POST", "/containers/create?name=tight", {"Image": "busybox", "Cmd": ["echo", "x"]}
        )
        if for_want_of_room(created):
            assert stored(mortal) == empty
            continue
        made += 1
        started = mortal.call("POST", "/containers/tight/start")
        if for_want_of_room(started):
            mortal.free()
            mortal.docker("start", "-a", "tight")
        mortal.docker("wait", "tight")
        mortal.fill()
        removed = mortal.call("DELETE", "/containers/tight")
        assert removed.status == 204, removed
        assert stored(mortal) == empty
    assert made > 2
    mortal.free()
    with closing(sqlite3.connect(mortal.data_root / "state.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
