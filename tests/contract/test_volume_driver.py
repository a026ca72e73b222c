"""What every volume driver must do: run against real directories."""

import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from errdefs import Conflict, InvalidArgument, SystemFailure
from runtime import mount, tree
from volumes.driver import Driver
from volumes.local import LocalDriver

pytestmark = pytest.mark.root
INSTANCE = "0a1b2c3d"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "volumes").mkdir()
    return tmp_path / "volumes"


def local(root: Path, instance: str = INSTANCE) -> Driver:
    return LocalDriver(
        root,
        instance=instance,
        remove_tree=tree.remove,
        mounted=lambda: [entry.target for entry in mount.mountinfo()],
    )


@pytest.fixture(params=[local])
def driver(request: pytest.FixtureRequest, root: Path) -> Driver:
    made: Driver = request.param(root)
    return made


def _touch(directory: str, name: str) -> None:
    Path(directory, name).touch()


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True)


async def test_a_life(driver: Driver) -> None:
    driver.check("db", None)
    assert not await driver.exists("db")
    await driver.create("db", None)
    assert await driver.exists("db")
    path = await driver.path("db")
    assert path == driver.mountpoint("db")
    assert os.listdir(path) == []
    await driver.remove("db")
    assert not await driver.exists("db")
    with pytest.raises(SystemFailure, match="gone"):
        await driver.path("db")


async def test_what_was_cut_short_is_called_again(driver: Driver) -> None:
    for _ in range(2):
        await driver.create("db", None)
    _touch(await driver.path("db"), "kept")
    await driver.create("db", None)
    assert os.listdir(await driver.path("db")) == ["kept"]
    for _ in range(2):
        await driver.remove("db")
    await driver.create("db", None)
    assert os.listdir(await driver.path("db")) == []


@pytest.mark.parametrize("name", ["a", "a/b", "..", ".hidden", "a b", "-a", "a\n", "ä1", "a\0b"])
def test_names_that_are_refused(driver: Driver, name: str) -> None:
    with pytest.raises(InvalidArgument, match="create "):
        driver.check(name, None)


def test_options_that_are_refused(driver: Driver) -> None:
    with pytest.raises(InvalidArgument, match='create db: invalid option: "foo"'):
        driver.check("db", {"foo": "1"})
    with pytest.raises(InvalidArgument, match="type"):
        driver.check("db", {"type": "tmpfs"})


async def test_modes_whatever_the_umask(root: Path) -> None:
    before = os.umask(0o077)
    try:
        await local(root).create("db", None)
    finally:
        os.umask(before)
    modes = [stat.S_IMODE(os.stat(root / path).st_mode) for path in ("db", "db/_data")]
    assert modes == [0o701, 0o755]


async def test_a_file_in_the_way_is_named(root: Path) -> None:
    (root / "db").touch()
    with pytest.raises(SystemFailure, match="create db: error while creating volume root path"):
        await local(root).create("db", None)


async def test_a_mount_inside_keeps_a_volume(root: Path) -> None:
    driver = local(root)
    await driver.create("db", None)
    path = await driver.path("db")
    _run("mount", "-t", "tmpfs", "tmpfs", path)
    try:
        _touch(path, "precious")
        with pytest.raises(Conflict, match="something is mounted"):
            await driver.remove("db")
        assert os.listdir(path) == ["precious"]
    finally:
        _run("umount", path)
    await driver.remove("db")


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "elsewhere"
    (place / "_data").mkdir(parents=True)
    (place / "_data" / "precious").touch()
    yield place
    assert (place / "_data" / "precious").exists()


async def test_links_are_used_and_not_followed_when_removed(root: Path, elsewhere: Path) -> None:
    """An administrator moved a volume to another disk: what is there stays when the volume is removed."""
    driver = local(root)
    (root / "db").symlink_to(elsewhere)
    await driver.create("db", None)
    assert os.listdir(await driver.path("db")) == ["precious"]
    await driver.remove("db")
    assert os.listdir(root) == []
    await driver.create("db2", None)
    os.rmdir(root / "db2" / "_data")
    (root / "db2" / "_data").symlink_to(elsewhere / "_data")
    await driver.remove("db2")
    assert os.listdir(root) == []


async def test_a_sweep_takes_only_what_is_its_own(root: Path) -> None:
    driver = local(root)
    await driver.create("db", None)
    for name in (f".removed-{INSTANCE}-aa", ".removed-ffffffff-aa", "stranger"):
        (root / name / "_data").mkdir(parents=True)
    await driver.sweep()
    assert sorted(os.listdir(root)) == [".removed-ffffffff-aa", "db", "stranger"]


async def test_deep_trees_are_removed(root: Path) -> None:
    driver = local(root)
    await driver.create("db", None)
    script = "import os,sys\nos.chdir(sys.argv[1])\nfor _ in range(3000):\n os.mkdir('d'); os.chdir('d')"
    _run("python3", "-c", script, await driver.path("db"))
    await driver.remove("db")
    assert os.listdir(root) == []
