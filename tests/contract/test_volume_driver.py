"""What every volume driver must do: run against real directories, and a real plugin."""

import os
import stat
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from engine.volumes.host import VolumeHost
from errdefs import Conflict, InvalidArgument, SystemFailure
from plugins.registry import Plugins
from tests.network.plugins import Plugin, plugins_of
from volumes.driver import Driver
from volumes.local import LocalDriver
from volumes.remote import RemoteDriver
from volumes.volume import Volume

pytestmark = pytest.mark.root
INSTANCE = "0a1b2c3d"
PLUGIN = Path(__file__).resolve().parent.parent / "volumes/plugin.py"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "volumes").mkdir()
    return tmp_path / "volumes"


def local(root: Path, instance: str = INSTANCE) -> LocalDriver:
    return LocalDriver(root, VolumeHost(root), instance=instance)


@pytest.fixture
async def plugins(tmp_path: Path) -> AsyncIterator[Plugins]:
    plugin = Plugin(tmp_path / "plugins", ("vols",), program=PLUGIN)
    found = plugins_of(tmp_path)
    yield found
    await found.close()
    plugin.stop()


@pytest.fixture(params=["local", "remote"])
def driver(request: pytest.FixtureRequest, root: Path) -> Driver:
    if request.param == "local":
        return local(root)
    return RemoteDriver(request.getfixturevalue("plugins"), "vols")


def volume(name: str, options: dict[str, str] | None = None) -> Volume:
    return Volume(name=name, created=0, options=options)


async def path_of(driver: Driver, name: str) -> str:
    return await driver.mount(volume(name), "user")


async def exists(driver: Driver, name: str) -> bool:
    return await driver.find(name) is not None


def _touch(directory: str, name: str) -> None:
    Path(directory, name).touch()


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True)


async def test_a_life(driver: Driver) -> None:
    driver.check("db", None)
    assert not await exists(driver, "db")
    await driver.create("db", None)
    assert await exists(driver, "db")
    path = await driver.mount(volume("db"), "one")
    assert await driver.mount(volume("db"), "two") == path
    seen = await driver.find("db")
    assert seen is not None
    assert seen.mountpoint == path
    assert os.listdir(path) == []
    await driver.unmount(volume("db"), "one", last=False)
    await driver.unmount(volume("db"), "two", last=True)
    await driver.remove("db")
    assert not await exists(driver, "db")
    with pytest.raises(SystemFailure, match=r"gone|no such volume"):
        await driver.mount(volume("db"), "three")


async def test_what_was_cut_short_is_called_again(driver: Driver) -> None:
    for _ in range(2):
        await driver.create("db", None)
    _touch(await path_of(driver, "db"), "kept")
    await driver.create("db", None)
    assert os.listdir(await path_of(driver, "db")) == ["kept"]
    for _ in range(2):
        await driver.unmount(volume("db"), "user", last=True)
    await driver.remove("db")
    await driver.create("db", None)
    assert os.listdir(await path_of(driver, "db")) == []


@pytest.mark.parametrize("name", ["a", "a/b", "..", ".hidden", "a b", "-a", "a\n", "ä1", "a\0b"])
def test_names_that_are_refused(root: Path, name: str) -> None:
    with pytest.raises(InvalidArgument, match="create "):
        local(root).check(name, None)


def test_options_that_are_refused(root: Path) -> None:
    with pytest.raises(InvalidArgument, match='create db: invalid option: "foo"'):
        local(root).check("db", {"foo": "1"})
    with pytest.raises(InvalidArgument, match='missing required option: "device"'):
        local(root).check("db", {"type": "tmpfs"})


async def test_what_options_mount_is_there_while_it_is_used(root: Path) -> None:
    """Once for all users, and gone after the last one; what is removed is the directory alone."""
    driver = local(root)
    options = {"type": "tmpfs", "device": "tmpfs", "o": "size=1m,uid=7"}
    driver.check("db", options)
    await driver.create("db", options)
    for user in ("one", "two"):
        path = await driver.mount(volume("db", options), user)
        assert os.stat(path).st_uid == 7
    _touch(path, "file")
    await driver.unmount(volume("db", options), "one", last=False)
    assert os.listdir(path) == ["file"]
    for _ in range(2):
        await driver.unmount(volume("db", options), "two", last=True)
    assert os.listdir(path) == []
    await driver.remove("db")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"type": "tmpfs", "device": "x", "o": "nope=1"}, "mount x:{}, data: nope=1: invalid argument"),
        ({"type": "none", "device": "/nope", "o": "bind,ro"}, "mount /nope:{}, flags: 0x1001: no such file"),
        (
            {"type": "cifs", "device": "//127.0.0.1/x", "o": "username=u,password=geheim,x=1"},
            "mount //127.0.0.1/x:{}, data: username=u,password=\\*{8},x=1: ",
        ),
    ],
)
async def test_mounts_that_fail(root: Path, options: dict[str, str], told: str) -> None:
    await local(root).create("db", options)
    text = "error while mounting volume '{0}': failed to mount local volume: " + told
    with pytest.raises(SystemFailure, match=text.replace("{0}", "{}").replace("{}", f"{root}/db/_data")):
        await local(root).mount(volume("db", options), "user")


async def test_the_address_of_a_server_by_its_name(root: Path) -> None:
    """The kernel knows no names."""
    options = {"type": "nfs", "device": ":/x", "o": "addr=localhost,vers=4"}
    await local(root).create("db", options)
    with pytest.raises(SystemFailure, match=r"data: addr=127\.0\.0\.1,vers=4: "):
        await local(root).mount(volume("db", options), "user")
    nowhere = {"type": "nfs", "device": ":/x", "o": "addr=nowhere.invalid"}
    with pytest.raises(
        SystemFailure, match="error resolving passed in network volume address: lookup nowhere"
    ):
        await local(root).mount(volume("db", nowhere), "user")


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
    path = await path_of(driver, "db")
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
    assert os.listdir(await path_of(driver, "db")) == ["precious"]
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
    _run("python3", "-c", script, await path_of(driver, "db"))
    await driver.remove("db")
    assert os.listdir(root) == []
