"""What CDI devices change in a container's spec."""

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from runtime.cdi import Registry, Unresolved, inject
from runtime.cdi.nouns import Device, DeviceNode, Edits, Hook, IntelRdt, Mount, NetDevice, Spec
from runtime.cdi.registry import Found


def container(uid: int = 0) -> dict[str, Any]:
    """The part of config.json that is changed."""
    return {
        "process": {"env": ["PATH=/bin", "A=old"], "user": {"uid": uid, "gid": uid, "additionalGids": [0]}},
        "mounts": [{"destination": "/proc"}, {"destination": "/dev/shm"}, {"destination": "/data/deep"}],
        "linux": {"devices": [{"path": "/dev/x", "type": "b"}], "resources": {"devices": [{"allow": False}]}},
    }


def registry(*edits: Edits, general: Edits | None = None) -> Registry:
    """One spec with devices a, b, …"""
    devices = [Device(name, each) for name, each in zip("abcdef", edits, strict=False)]
    spec = Spec("1.1.0", "v.com/c", devices, container_edits=general or Edits())
    return Registry({f"v.com/c={device.name}": Found(device, spec) for device in devices})


def injected(edits: Edits, uid: int = 0) -> dict[str, Any]:
    spec = container(uid)
    inject(spec, registry(edits), ["v.com/c=a"])
    return spec


def test_what_is_not_there() -> None:
    with pytest.raises(Unresolved, match=r"^unresolvable CDI devices v\.com/c=x, nope$"):
        inject(container(), registry(Edits(env=["A=1"])), ["v.com/c=x", "v.com/c=a", "nope"])


def test_the_general_edits_come_once_and_first() -> None:
    found = registry(Edits(env=["A=1"]), Edits(env=["B=2"]), general=Edits(env=["A=general", "G=1"]))
    spec = container()
    inject(spec, found, ["v.com/c=b", "v.com/c=a"])
    assert spec["process"]["env"] == ["PATH=/bin", "A=1", "G=1", "B=2"]


def test_a_node_that_says_all_of_itself() -> None:
    node = DeviceNode("/dev/x", "", "c", 195, 3, 0o640, "rw", 7, 8)
    linux = injected(Edits(device_nodes=[node]))["linux"]
    assert linux["devices"] == [
        {"path": "/dev/x", "type": "c", "major": 195, "minor": 3, "fileMode": 0o640, "uid": 7, "gid": 8}
    ]
    assert linux["resources"]["devices"][1:] == [
        {"allow": True, "access": "rw", "type": "c", "major": 195, "minor": 3}
    ]


def test_a_node_of_the_host() -> None:
    mode = stat.S_IMODE(os.stat("/dev/null").st_mode)
    linux = injected(Edits(device_nodes=[DeviceNode("/dev/mine", "/dev/null", permissions="none")]), 5)[
        "linux"
    ]
    assert linux["devices"][1:] == [
        {"path": "/dev/mine", "type": "c", "major": 1, "minor": 3, "fileMode": mode, "uid": 5, "gid": 5}
    ]
    assert linux["resources"]["devices"][1]["access"] == ""


def test_a_fifo_gets_no_rule(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    linux = injected(Edits(device_nodes=[DeviceNode(str(tmp_path / "fifo"))]))["linux"]
    assert linux["devices"][1]["type"] == "p"
    assert linux["resources"]["devices"] == [{"allow": False}]


@pytest.mark.parametrize(
    ("node", "text"),
    [
        (DeviceNode("/dev/nope"), 'failed to stat CDI host device "/dev/nope": no such file or directory'),
        (DeviceNode("/dev/x", "/etc/passwd"), 'failed to stat CDI host device "/etc/passwd": not a device node'),
        (DeviceNode("/dev/x", "/dev/null", "b"), 'CDI device ("/dev/x", "/dev/null"), host type mismatch (b, c)'),
    ],
)  # fmt: skip
def test_nodes_that_are_none(node: DeviceNode, text: str) -> None:
    with pytest.raises(Unresolved) as refused:
        injected(Edits(device_nodes=[node]))
    assert str(refused.value) == f"failed to inject devices: {text}"


def test_the_rest() -> None:
    spec = injected(
        Edits(
            mounts=[Mount("/h", "/data", ["bind"]), Mount("tmpfs", "/dev/shm", [], "tmpfs")],
            hooks=[Hook("poststop", "/h", ["h"], ["A=b"], 5), Hook("poststop", "/i", timeout=0)],
            intel_rdt=IntelRdt("c", "L3"),
            net_devices=[NetDevice("eth5", "net0")],
            additional_gids=[44, 0, 44, 45],
        )
    )
    assert spec["mounts"] == [
        {"destination": "/proc"},
        {"source": "/h", "destination": "/data", "options": ["bind"]},
        {"destination": "/data/deep"},
        {"source": "tmpfs", "destination": "/dev/shm", "type": "tmpfs"},
    ]
    assert spec["hooks"] == {
        "poststop": [{"path": "/h", "args": ["h"], "env": ["A=b"], "timeout": 5}, {"path": "/i"}]
    }
    assert spec["linux"]["intelRdt"] == {"closID": "c", "l3CacheSchema": "L3"}
    assert spec["linux"]["netDevices"] == {"eth5": {"name": "net0"}}
    assert spec["process"]["user"]["additionalGids"] == [0, 44, 45]
