"""Networks on a disk with no byte free: none is half made, and those that are there can be removed."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.small_disk import SmallDisk, small_disks

pytestmark = pytest.mark.root


@pytest.fixture(scope="module", params=["tmpfs", "ext4"])
def mortal(busybox_tar: Path, request: pytest.FixtureRequest) -> Iterator[SmallDisk]:
    yield from small_disks(busybox_tar, request.param, 32)


def bridges(mortal: SmallDisk) -> int:
    shown = subprocess.run(["ip", "-d", "link", "show", "type", "bridge"], capture_output=True, text=True)
    return shown.stdout.count(f"alias wherry:{mortal.instance}")


def test_networks_on_a_full_disk(mortal: SmallDisk) -> None:
    before = bridges(mortal)
    mortal.docker("network", "create", "kept")
    mortal.docker("network", "create", "gone")
    mortal.fill()
    for body in ({"Name": "n"}, {"Name": "c", "ConfigOnly": True}):
        answer = mortal.call("POST", "/networks/create", body)
        assert answer.status == 500, answer.body
        assert "no space left on device" in answer.json["message"].lower()
    assert {each["Name"] for each in mortal.get("/networks").json} == {
        *("bridge", "host", "none"),
        *("kept", "gone"),
    }
    assert bridges(mortal) == before + 2
    mortal.fill()
    assert mortal.call("DELETE", "/networks/gone").status == 204
    mortal.fill()
    mortal.kill9()
    mortal.fill()
    mortal.start()
    assert {each["Name"] for each in mortal.get("/networks").json} == {"bridge", "host", "none", "kept"}
    assert bridges(mortal) == before + 1
    mortal.fill()
    assert mortal.call("POST", "/networks/prune").json["NetworksDeleted"] == ["kept"]
    assert bridges(mortal) == before
    mortal.free()
    mortal.docker("network", "create", "n")
    mortal.docker("network", "rm", "n")
