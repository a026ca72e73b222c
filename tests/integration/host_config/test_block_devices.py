"""Limits of block devices, as the control group of v1 has them, at the start and after updates."""

import os
from pathlib import Path
from typing import Any

import pytest

from runtime import cgroups
from tests import kernel
from tests.daemon import Wherryd
from tests.integration.host_config.conftest import Run, create

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(
        cgroups.detect().version != 1, reason="of cgroup v1; those of v2 are tests of the machine"
    ),
]

FIELDS = {
    "BlkioDeviceReadBps": "read_bps",
    "BlkioDeviceWriteBps": "write_bps",
    "BlkioDeviceReadIOps": "read_iops",
    "BlkioDeviceWriteIOps": "write_iops",
}
WEIGHT = "Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded."
WEIGHTS = "Your kernel does not support Block I/O weight_device or the cgroup is not mounted. Weight-device discarded."


@pytest.fixture(scope="module")
def disk() -> str:
    """A block device that the kernel has a disk for; nothing is read from it or written to it."""
    for name in sorted(os.listdir("/sys/block")):
        if Path("/dev", name).is_block_device():
            return f"/dev/{name}"
    pytest.skip("this host has no block device")


def number(disk: str) -> str:
    node = os.stat(disk).st_rdev
    return f"{os.major(node)}:{os.minor(node)}"


def throttles(pid: int) -> dict[str, str]:
    """The limits of a container by the kernel's names."""
    return {kind: kernel.cgroup(pid, f"blkio.throttle.{kind}_device") for kind in FIELDS.values()}


def asked(disk: str, *rates: int) -> dict[str, Any]:
    return {field: [{"Path": disk, "Rate": rate}] for field, rate in zip(FIELDS, rates, strict=True)}


def test_throttling(run: Run, disk: str) -> None:
    box = run(asked(disk, 1_000_000, 2_000_000, 300, 1 << 31))
    kinds = {"read_bps": 1_000_000, "write_bps": 2_000_000, "read_iops": 300, "write_iops": 1 << 31}
    assert throttles(box.pid) == {kind: f"{number(disk)} {rate}" for kind, rate in kinds.items()}


def test_updates(run: Run, disk: str) -> None:
    """A list that is given takes the place of the former one, an empty one lifts its limits, null leaves them."""
    box = run(asked(disk, 1_000_000, 2_000_000, 300, 400))
    box.update(
        BlkioDeviceReadBps=[{"Path": disk, "Rate": 5_000_000}],
        BlkioDeviceWriteBps=[],
        BlkioDeviceReadIOps=None,
    )
    assert throttles(box.pid) == {
        "read_bps": f"{number(disk)} 5000000",
        "write_bps": "",
        "read_iops": f"{number(disk)} 300",
        "write_iops": f"{number(disk)} 400",
    }
    shown = box.inspect()["HostConfig"]
    assert [shown[field] for field in FIELDS] == [
        [{"Path": disk, "Rate": 5_000_000}],
        [],
        [{"Path": disk, "Rate": 300}],
        [{"Path": disk, "Rate": 400}],
    ]


def test_an_update_that_cannot_be_changes_nothing(run: Run, disk: str) -> None:
    box = run(asked(disk, 1_000_000, 2_000_000, 300, 400))
    before = throttles(box.pid), box.inspect()["HostConfig"]
    body = {"BlkioDeviceReadBps": [{"Path": "/nope", "Rate": 5}], "CpuShares": 300}
    answer = box.daemon.call("POST", f"/containers/{box.id}/update", body)
    assert (answer.status, answer.json["message"]) == (
        400, f"Cannot update container {box.id}: stat /nope: no such file or directory",
    )  # fmt: skip
    assert (throttles(box.pid), box.inspect()["HostConfig"]) == before


def test_before_1_55_updates_leave_them(run: Run, disk: str) -> None:
    box = run(asked(disk, 1_000_000, 2_000_000, 300, 400))
    body: dict[str, Any] = {"BlkioDeviceReadBps": []}
    assert box.daemon.call("POST", f"/v1.54/containers/{box.id}/update", body).status == 200
    assert throttles(box.pid)["read_bps"] == f"{number(disk)} 1000000"


def test_weights(wherryd: Wherryd, run: Run, disk: str) -> None:
    """Where the kernel has a scheduler that knows them they are set, else they are dropped, and that is said."""
    body = {
        "Image": "busybox",
        "HostConfig": {"BlkioWeight": 300, "BlkioWeightDevice": [{"Path": disk, "Weight": 400}]},
    }
    answer = wherryd.call("POST", "/containers/create", body)
    host = wherryd.get(f"/containers/{answer.json['Id']}/json").json["HostConfig"]
    wherryd.call("DELETE", f"/containers/{answer.json['Id']}")
    has = cgroups.capabilities_of_host()
    assert (WEIGHT in answer.json["Warnings"]) == (not has.blkio_weight)
    assert (WEIGHTS in answer.json["Warnings"]) == (not has.blkio_weight_device)
    assert host["BlkioWeight"] == (300 if has.blkio_weight else 0)
    assert bool(host["BlkioWeightDevice"]) == has.blkio_weight_device
    if has.blkio_weight:
        assert kernel.cgroup(run({"BlkioWeight": 300}).pid, "blkio.weight") == "300"


def test_odd_weights_are_dropped_with_the_rest(wherryd: Wherryd) -> None:
    if not cgroups.capabilities_of_host().blkio_weight:
        wherryd.call("DELETE", f"/containers/{create(wherryd, {'BlkioWeight': 5})}")
