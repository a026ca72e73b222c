"""`kill -9` in the middle: afterwards an image is there whole or not at all, and nothing else lies about."""

import asyncio
import hashlib
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

import errdefs
from engine.images import registration, remove
from tests.integration.images.archives import Made, docker_archive, tar
from tests.integration.images.place import Place
from tests.processes import processes
from tests.waiting import eventually

pytestmark = pytest.mark.root

BULK = random.Random(1).randbytes(400_000)
LAYERS = [tar({f"{layer}/{n}": BULK[n:] for n in range(30)}) for layer in ("low", "high")]
MADE = Made(layers=LAYERS)
ARCHIVE = docker_archive(MADE)
LOADER = "tests.integration.images.loader"


def run(root: Path, verb: str, argument: str, fault: str = "") -> subprocess.Popen[bytes]:
    """Start the process, and return when it begins the verb."""
    process = subprocess.Popen(
        [sys.executable, "-m", LOADER, str(root), verb, argument],
        stdout=subprocess.PIPE,
        env={**os.environ, "WHERRY_FAULT": fault},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process


def workers_of(root: Path) -> list[int]:
    """Processes that have something under the root open."""
    return [
        pid
        for pid, process in processes().items()
        if pid != os.getpid() and any(file.startswith(str(root)) for file in process.files)
    ]


def wait_until_alone(root: Path) -> None:
    """The dead process's helpers end by themselves."""
    eventually(lambda: not workers_of(root))


async def check_whole_or_absent(root: Path) -> bool:
    """Reopen, and see that what is there is what is recorded; whether the image is there."""
    place = await Place.open(root)
    try:
        image = place.images.get("made")
    except errdefs.NotFound:
        assert place.images.count() == 0
        assert await place.files() == set()
        return False
    else:
        assert await place.files() == {*image.blobs, *(layer.chain_id for layer in image.layers)}
        for blob in image.blobs:
            assert "sha256:" + hashlib.sha256(place.content.path(blob).read_bytes()).hexdigest() == blob
        assert place.layer_file("made", "low/29") == BULK[29:]
        return True
    finally:
        await place.close()


@pytest.fixture
def archive(root: Path) -> Path:
    path = root / "archive.tar"
    path.write_bytes(ARCHIVE)
    return path


@pytest.mark.parametrize("step", registration.STEPS)
async def test_killed_at_the_steps_of_a_load(root: Path, archive: Path, step: str) -> None:
    process = run(root, "load", str(archive), f"load.{step}")
    assert process.communicate()[0] == b"", "the point was never hit"
    await asyncio.to_thread(wait_until_alone, root)
    assert await check_whole_or_absent(root) == (step == "save")
    place = await Place.open(root)
    await place.load(ARCHIVE)
    await place.close()
    assert await check_whole_or_absent(root)


@pytest.mark.parametrize("step", registration.STEPS)
async def test_killed_at_the_steps_of_an_import(root: Path, step: str) -> None:
    rootfs = root / "rootfs.tar"
    rootfs.write_bytes(LAYERS[0])
    process = run(root, "import", str(rootfs), f"import.{step}")
    assert process.communicate()[0] == b"", "the point was never hit"
    await asyncio.to_thread(wait_until_alone, root)
    assert await check_whole_or_absent(root) == (step == "save")


@pytest.mark.parametrize("step", registration.STEPS)
async def test_killed_at_the_steps_of_a_commit(root: Path, step: str) -> None:
    place = await Place.open(root)
    await place.load(ARCHIVE)
    before = await place.files()
    await place.close()
    layer = root / "layer.tar"
    layer.write_bytes(tar({"etc/committed": b"yes"}))
    process = run(root, "commit", str(layer), f"commit.{step}")
    assert process.communicate()[0] == b"", "the point was never hit"
    await asyncio.to_thread(wait_until_alone, root)
    place = await Place.open(root)
    if step == "save":
        child = place.images.get("child")
        assert child.parent == place.images.get("made").id
        assert place.layer_file("child", "etc/committed", layer=len(LAYERS)) == b"yes"
        await place.images.remove("child", prune=False)
    assert place.images.count() == 1
    assert await place.files() == before
    await place.close()


@pytest.mark.parametrize("step", remove.STEPS)
async def test_killed_at_the_steps_of_a_removal(root: Path, step: str) -> None:
    place = await Place.open(root)
    await place.load(ARCHIVE)
    await place.close()
    process = run(root, "remove", "made", f"rmi.{step}")
    assert process.communicate()[0] == b"", "the point was never hit"
    assert not await check_whole_or_absent(root)


async def test_killed_at_any_moment_of_a_load(root: Path, archive: Path) -> None:
    process = run(root, "load", str(archive))
    began = time.monotonic()
    assert process.communicate()[0] == b"done\n"
    whole = time.monotonic() - began
    outcomes = set()
    for part in range(12):
        place = await Place.open(root)
        if place.images.count():
            await place.images.remove("made")
        await place.close()
        process = run(root, "load", str(archive))
        await asyncio.sleep(whole * part / 12)
        process.kill()
        process.communicate()
        await asyncio.to_thread(wait_until_alone, root)
        outcomes.add(await check_whole_or_absent(root))
    assert False in outcomes
