"""Where on the host a container is: its control group's place, the runtime that makes it, what of /proc it is shown."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime import cgroups
from tests import kernel
from tests.daemon import Wherryd
from tests.integration.host_config.conftest import Run, refused, require_refused

pytestmark = pytest.mark.root


@pytest.fixture
def top(tmp_path: Path) -> Iterator[str]:
    """The name of a control group of this test alone, which is taken away with all below it."""
    name = tmp_path.parent.name.replace("_", "-") + tmp_path.name.replace("_", "-")
    yield name
    for folder in kernel.group_folders(f"/{name}"):
        for below in sorted(folder.rglob("*"), reverse=True):
            if below.is_dir():
                below.rmdir()
        folder.rmdir()


@pytest.mark.skipif(cgroups.default_driver(cgroups.detect()) != "cgroupfs", reason="the machine has slices")
def test_the_group_above(run: Run, top: str) -> None:
    for asked, parent in ((f"/{top}/a", f"/{top}/a"), (f"{top}//b/", f"/{top}/b"), ("", "/docker")):
        box = run({"CgroupParent": asked})
        folder = cgroups.paths(box.pid)["memory"]
        assert str(folder).endswith(f"{parent}/{box.id}")
        assert box.inspect()["HostConfig"]["CgroupParent"] == asked
        box.daemon.call("DELETE", f"/containers/{box.id}?force=1")


@pytest.mark.skipif(cgroups.default_driver(cgroups.detect()) != "cgroupfs", reason="the machine has slices")
def test_the_group_above_those_that_name_none(start_daemon: Callable[..., Wherryd], top: str) -> None:
    daemon = start_daemon("--cgroup-parent", f"/{top}")
    for options, parent in (((), f"/{top}"), (("--cgroup-parent", f"/{top}/own"), f"/{top}/own")):
        daemon.docker("run", "-d", "--name", "box", *options, "busybox", "sleep", "1000")
        shown = daemon.get("/containers/box/json").json
        assert str(cgroups.paths(shown["State"]["Pid"])["memory"]).endswith(f"{parent}/{shown['Id']}")
        daemon.docker("exec", "box", "true")
        daemon.docker("rm", "-f", "box")


def test_groups_that_cannot_be(wherryd: Wherryd) -> None:
    require_refused(
        wherryd,
        ({"CgroupParent": "/a/../../b"}, "invalid cgroup parent: /a/../../b"),
        ({"CgroupParent": "/a\0b"}, "invalid cgroup parent"),
        ({"CgroupParent": "/a" * 2000}, "invalid cgroup parent: it is longer than 3072 bytes"),
    )


def test_another_runtime(start_daemon: Callable[..., Wherryd], tmp_path: Path) -> None:
    """It is called with its own arguments in front; what is not configured is refused."""
    program, calls = tmp_path / "my-runc", tmp_path / "calls"
    program.write_text(f'#!/bin/sh\necho "$*" >>{calls}\nexec runc "$@"\n')
    program.chmod(0o755)
    daemon = start_daemon("--add-runtime", f"mine={program}")
    done = daemon.docker("run", "--rm", "--runtime", "mine", "busybox", "echo", "ran")
    assert done.stdout == "ran\n"
    assert " create " in calls.read_text()
    before = calls.read_text()
    assert daemon.docker("run", "--rm", "busybox", "echo", "ran").stdout == "ran\n"
    assert calls.read_text() == before
    told = refused(daemon, {"Runtime": "nosuch"})
    assert told == (400, "unknown or invalid runtime name: nosuch")


def test_the_runtime_by_containerds_name(run: Run, wherryd: Wherryd) -> None:
    assert (
        run({"Runtime": "io.containerd.runc.v2"}).inspect()["HostConfig"]["Runtime"]
        == "io.containerd.runc.v2"
    )
    shown = wherryd.get("/info").json
    assert {"runc", "io.containerd.runc.v2"} <= set(shown["Runtimes"])


@pytest.mark.parametrize(
    ("asked", "hidden", "kept"),
    [
        ({"MaskedPaths": ["/proc/cpuinfo", "/etc"]}, {"/proc/cpuinfo", "/etc"}, {"/proc/keys"}),
        ({"MaskedPaths": []}, set(), {"/proc/keys", "/sys/firmware"}),
        ({}, {"/proc/keys", "/sys/firmware"}, {"/proc/cpuinfo"}),
        ({"Privileged": True}, set(), {"/proc/keys", "/sys/firmware"}),
    ],
)
def test_what_is_hidden(run: Run, asked: dict[str, Any], hidden: set[str], kept: set[str]) -> None:
    mounts = kernel.mounts(run(asked).pid)
    assert {path for path in hidden if path in mounts} == hidden
    assert not {path for path in kept if path in mounts}


@pytest.mark.parametrize(
    ("asked", "read_only"),
    [
        ({"ReadonlyPaths": ["/etc", "/proc/sys"]}, {"/etc", "/proc/sys"}),
        ({"ReadonlyPaths": []}, set()),
        ({}, {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}),
    ],
)
def test_what_is_read_only(run: Run, asked: dict[str, Any], read_only: set[str]) -> None:
    box = run(asked)
    found = {
        path
        for path, entry in kernel.mounts(box.pid).items()
        if path.startswith(("/proc/", "/etc")) and entry.options.startswith("ro")
    }
    assert {path for path in read_only if os.path.exists(path)} <= found
    assert ("/proc/sys" in found) == ("/proc/sys" in read_only)
