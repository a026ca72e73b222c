"""Volumes of a plugin by the official CLI: who has them mounted, also when daemon or plugin are away."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.daemon import Wherryd
from tests.network.plugins import Plugin
from tests.volumes.ground import Shared
from tests.waiting import eventually

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def shared(busybox_tar: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    shared = Shared(busybox_tar, lambda: tmp_path_factory.mktemp("plugin"))
    yield shared
    shared.close()


@pytest.fixture
def apart(shared: Shared) -> Wherryd:
    return shared.pair()[0]


@pytest.fixture
def plugin(apart: Wherryd, shared: Shared) -> Iterator[Plugin]:
    """After the test nobody has a volume mounted, and there is none; else nobody else gets daemon and plugin."""
    plugin = shared.pair()[1]
    yield plugin
    with ExitStack() as unless_empty:
        unless_empty.callback(shared.close)
        plugin.fails()
        for container in apart.docker("ps", "-aq").stdout.split():
            apart.docker("rm", "-fv", container)
        for volume in apart.docker("volume", "ls", "-q").stdout.split():
            apart.docker("volume", "rm", volume)
        eventually(lambda: users(plugin) == noted(apart) == [])
        unless_empty.pop_all()


def users(plugin: Plugin) -> list[str]:
    """Lines "VOLUME USER" of what is mounted."""
    record = plugin.folder / "mounted"
    return record.read_text().splitlines() if record.exists() else []


def noted(daemon: Wherryd) -> list[str]:
    """What the daemon holds for mounted."""
    return [each.name for each in (daemon.exec_root / "volumes").iterdir()]


def run(daemon: Wherryd, name: str, *command: str) -> None:
    daemon.docker("run", "-d", "--name", name, "--net", "none", "-v", "vol:/v", "busybox", *command)


def test_each_container_mounts_once(apart: Wherryd, plugin: Plugin) -> None:
    apart.docker("volume", "create", "-d", "vols", "vol")
    run(apart, "one", "sh", "-c", "echo x >/v/file; sleep 1000")
    run(apart, "two", "sleep", "1000")
    assert len(users(plugin)) == 2
    eventually(lambda: apart.docker("exec", "two", "cat", "/v/file", check=False).stdout == "x\n")
    apart.docker("stop", "-t0", "one")
    assert len(users(plugin)) == 1
    assert "vols" in apart.docker("info", "-f", "{{.Plugins.Volume}}").stdout


@pytest.mark.parametrize("way", ["restart", "kill"])
def test_a_restart_of_the_daemon(apart: Wherryd, plugin: Plugin, way: str) -> None:
    """Nothing is mounted again for a container that runs on, and its end is told by the same name."""
    apart.docker("volume", "create", "-d", "vols", "vol")
    run(apart, "one", "sleep", "1000")
    before = users(plugin)
    plugin.calls()
    if way == "kill":
        apart.kill9()
        apart.start()
    else:
        apart.restart()
    assert users(plugin) == before
    assert not [call for call in plugin.calls() if call["method"].endswith("ount")]
    apart.docker("rm", "-f", "one")
    assert users(plugin) == []


def test_a_container_that_ended_meanwhile(apart: Wherryd, plugin: Plugin) -> None:
    apart.docker("volume", "create", "-d", "vols", "vol")
    run(apart, "one", "sh", "-c", "while [ ! -e /v/end ]; do sleep 0.1; done")
    apart.kill9()
    (plugin.folder / "volumes/vol/end").touch()
    time.sleep(0.5)
    apart.start()
    eventually(lambda: users(plugin) == [])


def test_copying_from_one_that_does_not_run(apart: Wherryd, plugin: Plugin) -> None:
    apart.docker("volume", "create", "-d", "vols", "vol")
    apart.docker("create", "--name", "one", "-v", "vol:/v", "busybox")
    (plugin.folder / "volumes/vol/file").write_text("of the plugin\n")
    assert "of the plugin" in apart.docker("cp", "one:/v/file", "-").stdout
    assert users(plugin) == []


def test_a_plugin_that_hangs_holds_up_nobody_else(apart: Wherryd, plugin: Plugin) -> None:
    """Removing the container by force calls its start off, and nothing of it stays noted in the end."""
    apart.docker("volume", "create", "-d", "vols", "vol")
    apart.docker("create", "--name", "one", "-v", "vol:/v", "busybox", "sleep", "1000")
    late = {"seconds": 100, "body": '{"Err": "too late"}'}
    plugin.fails(VolumeDriver_Mount=late, VolumeDriver_Unmount=late)
    with ThreadPoolExecutor(1) as threads:
        start = threads.submit(apart.docker, "start", "one", check=False, timeout=100)
        eventually(lambda: noted(apart))
        apart.docker("run", "--rm", "--net", "none", "-v", "other:/v", "busybox", "true")
        began = time.monotonic()
        apart.docker("rm", "-f", "one")
        assert time.monotonic() - began < 15
        assert start.result().returncode != 0


@pytest.mark.parametrize("way", ["waits", "restart", "kill"])
def test_a_plugin_that_hangs_at_the_end(apart: Wherryd, plugin: Plugin, way: str) -> None:
    """The container is ended, started and removed meanwhile; the plugin is told as soon as it listens."""
    apart.docker("volume", "create", "-d", "vols", "vol")
    run(apart, "one", "sleep", "1000")
    plugin.fails(VolumeDriver_Unmount={"seconds": 100, "body": "{}"})
    began = time.monotonic()
    apart.docker("stop", "-t0", "one")
    apart.docker("rm", "one")
    assert time.monotonic() - began < 10
    assert len(users(plugin)) == len(noted(apart)) == 1
    if way == "waits":
        plugin.fails()
        eventually(lambda: noted(apart) == [])  # it says that it did
        (plugin.folder / "mounted").unlink()
        return
    if way == "kill":
        apart.kill9()
    else:
        apart.terminate()
    plugin.fails()  # not before: it would answer the one that ends
    apart.start()
    eventually(lambda: users(plugin) == noted(apart) == [])


def test_a_plugin_that_is_away(apart: Wherryd, plugin: Plugin) -> None:
    """Its volumes are listed by what is remembered, and the reason is told; a container that runs can be ended."""
    apart.docker("volume", "create", "-d", "vols", "vol")
    run(apart, "one", "sleep", "1000")
    plugin.stop()
    began = time.monotonic()
    listed = apart.get("/volumes").json
    assert time.monotonic() - began < 10  # a start would wait for it for 15 seconds
    assert [(each["Name"], each["Driver"]) for each in listed["Volumes"]] == [("vol", "vols")]
    assert listed["Warnings"][0].startswith(
        'list vols: Post "http://plugin.moby.localhost/VolumeDriver.List"'
    )
    told = apart.docker("volume", "inspect", "vol", check=False).stderr
    assert 'get vol: error while checking if volume "vol" exists in driver "vols"' in told
    failed = apart.docker("run", "--rm", "-v", "vol:/v", "busybox", check=False).stderr
    assert "found reference to volume 'vol' in driver 'vols', but got an error while checking" in failed
    apart.docker("rm", "-f", "one")
    plugin.start()
    assert len(users(plugin)) == len(noted(apart)) == 1
    apart.restart()
    eventually(lambda: users(plugin) == noted(apart) == [])


@pytest.mark.parametrize("fault", ["VolumeDriver_List", "Plugin_Activate"])
def test_a_list_does_not_wait_for_one_that_hangs(apart: Wherryd, plugin: Plugin, fault: str) -> None:
    apart.docker("volume", "create", "-d", "vols", "vol")
    if fault == "Plugin_Activate":
        apart.restart()
    plugin.fails(**{fault: {"seconds": 100}})
    began = time.monotonic()
    listed = apart.get("/volumes").json
    assert time.monotonic() - began < 10
    assert [(each["Name"], each["Driver"]) for each in listed["Volumes"]] == [("vol", "vols")]
    assert listed["Warnings"] == ["list vols: the plugin did not answer in 5 seconds"]
