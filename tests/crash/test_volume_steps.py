"""The daemon is killed at every step of making, filling and removing volumes: it is done or undone at the next boot."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.containers import create, remove
from engine.volumes import making, mounting, volumes
from tests.crash.dying import is_killed_by
from tests.daemon import Wherryd

pytestmark = pytest.mark.root

MAKING = ("volume.recorded", "volume.made")
REMOVING = ("volume.marked", "volume.gone")
MOUNTING, UNMOUNTING = ("volume.noted", "volume.mounted"), ("volume.unmounted",)
CREATE = [f"create.{step}" for step in create.STEPS]
REMOVE = [f"remove.{step}" for step in remove.STEPS]


@pytest.fixture(autouse=True)
def no_volume_left(mortal: Wherryd) -> Iterator[None]:
    """After the test there is no volume, and no directory of one."""
    yield
    mortal.docker("volume", "prune", "-af")
    assert named(mortal) == on_disk(mortal) == set()


def named(mortal: Wherryd) -> set[str]:
    return {each["Name"] for each in mortal.get("/volumes").json["Volumes"]}


def on_disk(mortal: Wherryd) -> set[str]:
    return set(os.listdir(mortal.data_root / "volumes"))


def content(mortal: Wherryd, name: str) -> list[str]:
    return os.listdir(mortal.data_root / "volumes" / name / "_data")


def exists(mortal: Wherryd, name: str) -> bool:
    return mortal.get(f"/containers/{name}/json").status == 200


def test_every_point_is_tested() -> None:
    assert {*MAKING, *REMOVING} == {*making.STEPS, *volumes.STEPS}
    assert {*MOUNTING, *UNMOUNTING} == set(mounting.STEPS)


@pytest.mark.parametrize("point", MAKING)
def test_create(mortal: Wherryd, point: str) -> None:
    mortal.dies_at(point)
    is_killed_by(mortal, lambda: mortal.docker("volume", "create", "--label", "a=b", "vol"))
    assert named(mortal) == on_disk(mortal) == {"vol"}
    assert content(mortal, "vol") == []
    assert mortal.get("/volumes/vol").json["Labels"] == {"a": "b"}


@pytest.mark.parametrize("point", REMOVING)
def test_remove(mortal: Wherryd, point: str) -> None:
    mortal.docker("run", "--rm", "-v", "vol:/v", "busybox", "touch", "/v/old")
    mortal.dies_at(point)
    is_killed_by(mortal, lambda: mortal.docker("volume", "rm", "vol"))
    assert named(mortal) == on_disk(mortal) == set()
    mortal.docker("volume", "create", "vol")
    assert content(mortal, "vol") == []


@pytest.mark.parametrize("point", [*MAKING, *CREATE])
def test_create_of_a_container(mortal: Wherryd, point: str) -> None:
    asked = ("--name", "cc", "-v", "vol:/bin", "-v", "/anonymous", "busybox", "sleep", "1000")
    mortal.dies_at(point)
    is_killed_by(mortal, lambda: mortal.docker("create", *asked))
    if exists(mortal, "cc"):
        mounts = mortal.get("/containers/cc/json").json["Mounts"]
        assert {mount["Name"] for mount in mounts} == named(mortal) == on_disk(mortal)
        assert len(mounts) == 2
    else:
        assert named(mortal) == on_disk(mortal) == set()
        mortal.docker("create", *asked)
    assert "busybox" in content(mortal, "vol")
    mortal.docker("rm", "-v", "cc")
    assert named(mortal) == {"vol"}


@pytest.mark.parametrize("point", CREATE)
def test_a_volume_that_was_there_is_filled_once(mortal: Wherryd, point: str) -> None:
    """An empty one is empty again, unless the container is there; one with data keeps it."""
    mortal.docker("volume", "create", "empty")
    mortal.docker("run", "--rm", "-v", "full:/f", "busybox", "touch", "/f/mine")
    asked = ("--name", "cc", "-v", "empty:/bin", "-v", "full:/etc", "busybox", "true")
    mortal.dies_at(point)
    is_killed_by(mortal, lambda: mortal.docker("create", *asked))
    assert named(mortal) == on_disk(mortal) == {"empty", "full"}
    assert content(mortal, "full") == ["mine"]
    if exists(mortal, "cc"):
        assert "busybox" in content(mortal, "empty")
    else:
        assert content(mortal, "empty") == []
        mortal.docker("create", *asked)
        assert "busybox" in content(mortal, "empty")
    mortal.docker("rm", "-v", "cc")


@pytest.mark.parametrize("point", [*REMOVING, *REMOVE])
def test_remove_of_a_container(mortal: Wherryd, point: str) -> None:
    """What was begun with `-v` goes on with it: the anonymous volume goes, the named one stays."""
    mortal.docker("create", "--name", "cc", "-v", "vol:/v", "-v", "/anonymous", "busybox", "true")
    mortal.dies_at(point)
    is_killed_by(mortal, lambda: mortal.docker("rm", "-v", "cc"))
    assert not exists(mortal, "cc")
    assert named(mortal) == on_disk(mortal) == {"vol"}


def mounted(mortal: Wherryd) -> list[str]:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    places = [line.split(" ")[4] for line in lines]
    return [place for place in places if place.startswith(f"{mortal.data_root}/volumes/")]


@pytest.mark.parametrize("point", [*MOUNTING, "start.sources", "start.create", "start.save"])
def test_a_start_that_mounts_a_volume(mortal: Wherryd, point: str) -> None:
    """What is mounted is so for a container that runs."""
    options = ("-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=size=1m")
    mortal.docker("volume", "create", *options, "vol")
    mortal.docker("create", "--name", "cc", "-v", "vol:/v", "busybox", "sleep", "1000")
    mortal.dies_at(point)
    is_killed_by(mortal, lambda: mortal.docker("start", "cc"))
    running = mortal.get("/containers/cc/json").json["State"]["Running"]
    assert len(mounted(mortal)) == len(os.listdir(mortal.exec_root / "volumes")) == int(running)
    mortal.docker("rm", "-f", "cc")
    assert mounted(mortal) == os.listdir(mortal.exec_root / "volumes") == []
    mortal.docker("volume", "rm", "vol")


@pytest.mark.parametrize("point", UNMOUNTING)
def test_an_end_that_unmounts_a_volume(mortal: Wherryd, point: str) -> None:
    options = ("-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=size=1m")
    mortal.docker("volume", "create", *options, "vol")
    mortal.docker("run", "-d", "--name", "cc", "-v", "vol:/v", "busybox", "sleep", "1000")
    mortal.dies_at(point)
    is_killed_by(mortal, lambda: mortal.docker("kill", "cc"))
    assert mounted(mortal) == os.listdir(mortal.exec_root / "volumes") == []
    mortal.docker("rm", "-f", "cc")
    mortal.docker("volume", "rm", "vol")


def test_strangers_are_left_alone(mortal: Wherryd) -> None:
    """A directory that no record knows is used by who names it, and kept until then."""
    stranger = mortal.data_root / "volumes" / "stranger" / "_data"
    stranger.mkdir(parents=True)
    (stranger / "precious").touch()
    mortal.kill9()
    mortal.start()
    assert (stranger / "precious").exists()
    refused = mortal.docker(
        "create", "-v", "stranger:/s", "-v", "/bin/busybox", "busybox", "true", check=False
    )
    assert "existing file" in refused.stderr
    assert (stranger / "precious").exists()
    assert mortal.docker("run", "--rm", "-v", "stranger:/s", "busybox", "ls", "/s").stdout == "precious\n"
