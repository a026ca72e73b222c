import os
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.config import load, reload
from engine.containers.state import Status
from engine.database import Database
from engine.events import MIGRATIONS, Events
from engine.filters import Filters
from engine.system import System, host
from engine.system.programs import FEATURES, Programs, runc_warning
from engine.system.registries import registry_config

COUNTS = Counter(
    {Status.RUNNING: 2, Status.PAUSED: 1, Status.EXITED: 3, Status.RESTARTING: 1, Status.CREATED: 1}
)

# The fields of API 1.55, in moby's types: api/types/system/info.go. Those it may leave out are in neither
# set.
INFO = {
    *("ID", "Containers", "ContainersRunning", "ContainersPaused", "ContainersStopped", "Images", "Driver"),
    *(
        "DriverStatus",
        "Plugins",
        "MemoryLimit",
        "SwapLimit",
        "CpuCfsPeriod",
        "CpuCfsQuota",
        "CPUShares",
        "CPUSet",
    ),
    *("PidsLimit", "IPv4Forwarding", "Debug", "NFd", "OomKillDisable", "NGoroutines", "SystemTime"),
    *(
        "LoggingDriver",
        "CgroupDriver",
        "CgroupVersion",
        "NEventsListener",
        "KernelVersion",
        "OperatingSystem",
    ),
    *("OSVersion", "OSType", "Architecture", "IndexServerAddress", "RegistryConfig", "NCPU", "MemTotal"),
    *("GenericResources", "DockerRootDir", "HttpProxy", "HttpsProxy", "NoProxy", "Name", "Labels"),
    *("ExperimentalBuild", "ServerVersion", "Runtimes", "DefaultRuntime", "Swarm", "LiveRestoreEnabled"),
    *("Isolation", "InitBinary", "ContainerdCommit", "RuncCommit", "InitCommit", "SecurityOptions"),
    *("FirewallBackend", "CDISpecDirs", "DiscoveredDevices", "Warnings"),
}
VERSION = {
    *(
        "Platform",
        "Components",
        "Version",
        "ApiVersion",
        "MinAPIVersion",
        "GitCommit",
        "GoVersion",
        "Os",
        "Arch",
    ),
    *("KernelVersion", "BuildTime"),
}


@pytest.fixture
async def events(tmp_path: Path) -> AsyncIterator[Events]:
    database = await Database.open(tmp_path / "state.db", MIGRATIONS)
    yield await Events.open(database)
    await database.close()


def _arguments(tmp_path: Path, *more: str) -> list[str]:
    return ["--config-file", str(tmp_path / "daemon.json"), "--data-root", str(tmp_path), *more]


def _system(tmp_path: Path, events: Events, *more: str) -> System:
    if not (tmp_path / "daemon.json").exists():
        (tmp_path / "daemon.json").write_text("{}")
    config = load(_arguments(tmp_path, *more))
    return System(
        config,
        "0123abcd",
        lambda: COUNTS,
        lambda: 5,
        lambda: ["WARNING: x"],
        lambda: ["plug", "bridge"],
        lambda: ["local", "vols"],
        events,
    )


@pytest.mark.root
async def test_info_has_every_field_of_the_newest_api(tmp_path: Path, events: Events) -> None:
    pool = "--default-address-pool=base=10.0.0.0/8,size=24"
    system = _system(tmp_path, events, "--label", "a=b", "-H", "tcp://127.0.0.1:1", pool)
    listening = events.subscribe(Filters())
    shown: dict[str, Any] = msgspec.to_builtins(await system.info())
    assert set(shown) == INFO | {"DefaultAddressPools"}
    assert shown["DefaultAddressPools"] == [{"Base": "10.0.0.0/8", "Size": 24}]
    numbers = [shown[f"Containers{state}"] for state in ("", "Running", "Paused", "Stopped")]
    assert numbers == [8, 3, 1, 4]
    assert "WARNING: x" in shown["Warnings"]
    assert (shown["Images"], shown["NEventsListener"]) == (5, 1)
    assert shown["Labels"] == ["a=b"]
    assert {"bridge", "host", "ipvlan", "macvlan", "null", "plug"} <= set(shown["Plugins"]["Network"])
    assert shown["Plugins"]["Network"] == sorted(set(shown["Plugins"]["Network"]))
    assert shown["ServerVersion"] == "29.7.2+wherry.0.1.0"
    assert shown["KernelVersion"] == os.uname().release
    assert shown["MemTotal"] > 1 << 20
    assert shown["NCPU"] >= 1
    assert shown["CgroupVersion"] in ("1", "2")
    assert shown["Swarm"]["LocalNodeState"] == "inactive"
    assert "name=seccomp,profile=builtin" in shown["SecurityOptions"]
    assert FEATURES in shown["Runtimes"]["runc"]["status"]
    assert shown["RuncCommit"]["ID"][0].isdigit()
    assert shown["DriverStatus"][1][0] == "Backing Filesystem"
    assert any(
        "API is accessible on http://127.0.0.1:1 without encryption" in line for line in shown["Warnings"]
    )
    assert shown["SystemTime"][19] == "."
    del listening


@pytest.mark.root
async def test_version_says_docker_to_tools_and_wherry_to_people(tmp_path: Path, events: Events) -> None:
    shown: dict[str, Any] = msgspec.to_builtins(await _system(tmp_path, events).version())
    assert set(shown) == VERSION
    assert shown["Platform"] == {"Name": "wherry"}
    assert (shown["Version"], shown["ApiVersion"], shown["MinAPIVersion"]) == (
        "29.7.2+wherry.0.1.0",
        "1.55",
        "1.24",
    )
    names = [component["Name"] for component in shown["Components"]]
    assert names[:3] == ["Engine", "wherry", "runc"]
    assert shown["Components"][0]["Details"]["ApiVersion"] == "1.55"


@pytest.mark.root
async def test_a_reload_is_told_and_shown(tmp_path: Path, events: Events) -> None:
    system = _system(tmp_path, events)
    stream = events.subscribe(Filters())
    before = load(_arguments(tmp_path))
    (tmp_path / "daemon.json").write_text('{"debug": true}')
    await system.reload(reload(before, _arguments(tmp_path)))
    event = await anext(stream)
    assert (event.type, event.action, event.actor_id) == ("daemon", "reload", "0123abcd")
    assert event.attributes["debug"] == "true"
    assert event.attributes["name"] == os.uname().nodename
    assert (await system.info()).debug


@pytest.mark.parametrize(
    ("version", "old"),
    [
        ("1.1.15+ds1", True),
        ("1.2.7", True),
        ("1.2.8", False),
        ("1.2.10", False),
        ("1.3.0", True),
        ("1.3.2", True),
        ("1.3.3", False),
        ("1.4.0-rc.1", False),
        ("2.0.0", False),
        ("", False),
        ("dev", False),
    ],
)
def test_an_old_runc_is_warned_of(version: str, old: bool) -> None:
    assert bool(runc_warning(version)) is old


async def test_programs_are_asked_again_when_they_changed(tmp_path: Path) -> None:
    program = tmp_path / "program"
    programs = Programs()
    assert await programs.version(str(program)) == ""
    for version in ("1.0", "2.0"):
        fresh = tmp_path / "fresh"
        fresh.write_text(f"#!/bin/sh\necho program version {version}\necho x >> {tmp_path}/asked\n")
        fresh.chmod(0o755)
        fresh.rename(program)
        for _ in range(3):
            assert await programs.version(str(program)) == version
    assert (tmp_path / "asked").read_text() == "x\nx\n"
    assert await programs.features(str(program), ()) == {}


def test_registries() -> None:
    config = registry_config(["r:5000", "10.0.0.0/8", "HTTP://x", "::1/128"])
    assert config.insecure_registry_cidrs == ["10.0.0.0/8", "::1/128", "127.0.0.0/8"]
    assert {name: index.secure for name, index in config.index_configs.items()} == {
        "docker.io": True,
        "r:5000": False,
        "x": False,
    }


def test_facts_of_the_host() -> None:
    assert host.go_architecture() in ("amd64", "arm64", "386", "arm", os.uname().machine)
    assert host.open_descriptors() > 2
    assert host.operating_system()[0]
