"""Devices by CDI, and GPUs by it, as a container has them; what clients are told of devices that are not there."""

import json
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import kernel
from tests.daemon import Wherryd
from tests.integration.host_config.conftest import await_command, refused, words
from tests.roots import make_root

pytestmark = pytest.mark.root

VENDOR = """
cdiVersion: "0.7.0"
kind: vendor.com/dev
containerEdits:
  env: [VENDOR=1]
devices:
  - name: one
    containerEdits:
      env: [DEVICE=one]
      deviceNodes: [{path: /dev/mine, hostPath: /dev/null, permissions: r}]
      mounts: [{hostPath: /etc, containerPath: /host/etc, options: [ro, rbind]}]
      additionalGids: [4444]
      hooks: [{hookName: createRuntime, path: HOOK, args: [hook, MARK]}]
  - name: two
    containerEdits: {deviceNodes: [{path: /dev/two, type: c, major: 1, minor: 5, fileMode: 0640, uid: 7, gid: 8}]}
  - name: broken
    containerEdits: {deviceNodes: [{path: /dev/nope}]}
"""
NO_FILE = "no such file or directory"
GPUS = {
    "cdiVersion": "0.5.0",
    "kind": "nvidia.com/gpu",
    "devices": [{"name": name, "containerEdits": {"env": [f"GPU_{name}=1"]}} for name in ("0", "1", "all")],
}


@pytest.fixture(scope="module")
def specs() -> Iterator[Path]:
    """The directory of CDI specs."""
    root = make_root("cdi-")
    hook, mark = root / "hook", root / "mark"
    hook.write_text('#!/bin/sh\ncat >/dev/null\n: >"$1"\n')
    hook.chmod(0o755)
    (root / "specs").mkdir()
    text = VENDOR.replace("HOOK", str(hook)).replace("MARK", str(mark))
    (root / "specs" / "vendor.yaml").write_text(text)
    (root / "specs" / "nvidia.json").write_text(json.dumps(GPUS))
    yield root
    for path in sorted(root.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    root.rmdir()


@pytest.fixture(scope="module")
def daemon(specs: Path, busybox_tar: Path) -> Iterator[Wherryd]:
    """A daemon that finds them."""
    with Wherryd(make_root(), ["--cdi-spec-dir", str(specs / "specs")]).running(busybox_tar) as daemon:
        yield daemon


@pytest.fixture
def pid_of(daemon: Wherryd) -> Iterator[Callable[..., int]]:
    """Run a container by the official CLI; the number of its first process."""

    def run(*options: str) -> int:
        daemon.docker("run", "-d", "--name", "box", "--net", "none", *options, "busybox", "sleep", "1000")
        pid = int(daemon.get("/containers/box/json").json["State"]["Pid"])
        await_command(pid)
        return pid

    yield run
    daemon.docker("rm", "-f", "box", check=False)


def variables(pid: int) -> list[str]:
    """What the first process has in its environment of CDI."""
    entries = words(pid, "environ")
    return sorted(entry for entry in entries if entry.startswith(("VENDOR", "DEVICE", "GPU")))


def test_all_that_a_device_gives(pid_of: Callable[..., int], daemon: Wherryd, specs: Path) -> None:
    pid = pid_of("--device", "vendor.com/dev=one")
    assert variables(pid) == ["DEVICE=one", "VENDOR=1"]
    node = os.stat(f"/proc/{pid}/root/dev/mine")
    assert (stat.S_ISCHR(node.st_mode), node.st_rdev) == (True, os.makedev(1, 3))
    assert "4444" in kernel.status(pid)["Groups"].split()
    assert kernel.mounts(pid)["/host/etc"].options.split(",")[0] == "ro"
    assert (specs / "mark").exists()
    asked = daemon.get("/containers/box/json").json["HostConfig"]["DeviceRequests"]
    assert [(each["Driver"], each["DeviceIDs"]) for each in asked] == [("cdi", ["vendor.com/dev=one"])]


def test_a_node_that_the_host_has_not(pid_of: Callable[..., int], daemon: Wherryd) -> None:
    pid = pid_of("--device", "vendor.com/dev=two")
    node = os.stat(f"/proc/{pid}/root/dev/two")
    assert (node.st_rdev, stat.S_IMODE(node.st_mode), node.st_uid, node.st_gid) == (
        os.makedev(1, 5), 0o640, 7, 8,
    )  # fmt: skip
    assert daemon.docker("exec", "box", "sh", "-c", "head -c 3 /dev/two | wc -c").stdout == "3\n"


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ("all", ["GPU_all=1"]),
        ("1", ["GPU_0=1"]),
        ("2", ["GPU_0=1", "GPU_1=1"]),
        ('"device=1"', ["GPU_1=1"]),
        ("driver=nvidia,count=1", ["GPU_0=1"]),
        ('"capabilities=utility",count=1', ["GPU_0=1"]),
    ],
)
def test_gpus(pid_of: Callable[..., int], asked: str, given: list[str]) -> None:
    assert variables(pid_of("--gpus", asked)) == given


def test_what_is_not_there(daemon: Wherryd) -> None:
    failed = "CDI device injection failed: "
    cases: list[tuple[dict[str, Any], str]] = [
        (
            {"Driver": "cdi", "DeviceIDs": ["vendor.com/dev=x", "y"]},
            f"{failed}unresolvable CDI devices vendor.com/dev=x, y",
        ),
        (
            {"Driver": "cdi", "DeviceIDs": ["vendor.com/dev=broken"]},
            f'{failed}failed to inject devices: failed to stat CDI host device "/dev/nope": {NO_FILE}',
        ),
        ({"Driver": "nvidia", "Count": 3}, f"{failed}unresolvable CDI devices nvidia.com/gpu=2"),
        (
            {"Driver": "tpu", "Capabilities": [["a", "b"]]},
            'could not select device driver "tpu" with capabilities: [[a b]]',
        ),
        ({"Driver": "cdi", "Count": 1}, "unexpected count in CDI device request"),
    ]
    for asked, text in cases:
        assert refused(daemon, {"DeviceRequests": [asked]}) == (400, text)


def test_without_a_spec_it_says_what_would_help(wherryd: Wherryd) -> None:
    done = wherryd.docker("run", "--rm", "--name", "gpu", "--gpus", "all", "busybox", "true", check=False)
    assert 'could not select device driver "" with capabilities: [[gpu]]' in done.stderr
    assert "nvidia-ctk cdi generate" in done.stderr
    assert wherryd.docker("ps", "-aq", "-f", "name=gpu").stdout == ""


def test_what_info_tells(daemon: Wherryd, specs: Path) -> None:
    bad = specs / "specs" / "bad.yaml"
    bad.write_text("a: [")
    try:
        shown = daemon.get("/info").json
    finally:
        bad.unlink()
    assert shown["CDISpecDirs"] == [str(specs / "specs")]
    names = [each["ID"] for each in shown["DiscoveredDevices"] if each["Source"] == "cdi"]
    assert names == sorted(
        [f"nvidia.com/gpu={name}" for name in ("0", "1", "all")]
        + [f"vendor.com/dev={name}" for name in ("broken", "one", "two")]
    )
    warned = [line for line in shown["Warnings"] if line.startswith("CDI: Error associated with spec file")]
    assert len(warned) == 1
    assert str(bad) in warned[0]
    assert "DiscoveredDevices" not in daemon.get("/v1.49/info").json


def test_a_spec_is_found_as_soon_as_it_is_there(pid_of: Callable[..., int], specs: Path) -> None:
    late = specs / "specs" / "late.json"
    one = {"name": "x", "containerEdits": {"env": ["DEVICE=late"]}}
    late.write_text(json.dumps({"cdiVersion": "0.3.0", "kind": "late.com/dev", "devices": [one]}))
    try:
        assert variables(pid_of("--device", "late.com/dev=x")) == ["DEVICE=late"]
    finally:
        late.unlink()
