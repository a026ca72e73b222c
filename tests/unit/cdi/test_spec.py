"""CDI specs as files have them: what is read, and what is refused with which words."""

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.cdi import scan
from runtime.cdi.nouns import DeviceNode, Edits, Hook, IntelRdt, Mount, NetDevice
from runtime.cdi.spec import MAX_BYTES, parse

YAML = b"""
---
cdiVersion: "0.7.0"
kind: vendor.com/gpu
annotations: {made-by: hand}
containerEdits:
  env: [ALL=1]
devices:
  - name: "0"
    annotations: {a: b}
    containerEdits:
      env: [ONE=1]
      deviceNodes:
        - {path: /dev/gpu0, hostPath: /dev/real0, type: c, major: 195, minor: 0, fileMode: 0666, permissions: rw,
           uid: 1, gid: 2}
      mounts:
        - {hostPath: /usr/lib/x.so, containerPath: /usr/lib/x.so, options: [ro, bind], type: bind}
      hooks:
        - {hookName: createContainer, path: /usr/bin/hook, args: [hook, x], env: [A=b], timeout: 3}
      intelRdt: {closID: big, l3CacheSchema: "L3:0=f", memBwSchema: "MB:0=20"}
      additionalGids: [44, 0]
"""
EDITS: dict[str, Any] = {"env": ["A=b"]}


def document(version: str = "1.1.0", kind: str = "vendor.com/gpu", **device: Any) -> dict[str, Any]:
    """A spec with one device."""
    one = {"name": "one", "containerEdits": EDITS, **device}
    return {"cdiVersion": version, "kind": kind, "devices": [one]}


def test_all_fields_in_yaml() -> None:
    spec = parse(YAML, is_json=False)
    assert (spec.kind, spec.cdi_version, spec.annotations) == ("vendor.com/gpu", "0.7.0", {"made-by": "hand"})
    assert spec.container_edits == Edits(env=["ALL=1"])
    assert spec.devices[0].name == "0"
    assert spec.devices[0].container_edits == Edits(
        env=["ONE=1"],
        device_nodes=[
            DeviceNode(
                path="/dev/gpu0", host_path="/dev/real0", type="c", major=195, minor=0, file_mode=0o666,
                permissions="rw", uid=1, gid=2,
            )
        ],
        mounts=[Mount("/usr/lib/x.so", "/usr/lib/x.so", ["ro", "bind"], "bind")],
        hooks=[Hook("createContainer", "/usr/bin/hook", ["hook", "x"], ["A=b"], 3)],
        intel_rdt=IntelRdt(clos_id="big", l3_cache_schema="L3:0=f", mem_bw_schema="MB:0=20"),
        additional_gids=[44, 0],
    )  # fmt: skip


def test_the_newest_fields_in_json() -> None:
    edits = {
        "netDevices": [{"hostInterfaceName": "eth7", "name": "net1"}],
        "intelRdt": {"schemata": ["L3:0=f"], "enableMonitoring": True},
    }
    spec = parse(json.dumps(document(containerEdits=edits)).encode(), is_json=True)
    assert spec.devices[0].container_edits == Edits(
        net_devices=[NetDevice("eth7", "net1")],
        intel_rdt=IntelRdt(schemata=["L3:0=f"], enable_monitoring=True),
    )


@pytest.mark.parametrize(
    ("edits", "least"),
    [
        ({"netDevices": [{"hostInterfaceName": "a", "name": "b"}]}, "1.1.0"),
        ({"intelRdt": {"schemata": []}}, "1.1.0"),
        ({"intelRdt": {}}, "0.7.0"),
        ({"additionalGids": [5]}, "0.7.0"),
        ({"deviceNodes": [{"path": "/dev/x", "hostPath": "/dev/y"}]}, "0.5.0"),
        ({"mounts": [{"hostPath": "/a", "containerPath": "/b", "type": "bind"}]}, "0.4.0"),
        (EDITS, "0.3.0"),
    ],
)
def test_what_needs_which_version(edits: dict[str, Any], least: str) -> None:
    versions = ["0.1.0", "0.2.0", "0.3.0", "0.4.0", "0.5.0", "0.6.0", "0.7.0", "0.8.0", "1.0.0", "1.1.0"]
    for version in versions:
        content = json.dumps(document("v" + version, containerEdits=edits)).encode()
        if versions.index(version) >= versions.index(least):
            parse(content, is_json=True)
        else:
            with pytest.raises(ValueError, match=f"^the spec version must be at least v{least}$"):
                parse(content, is_json=True)


@pytest.mark.parametrize(
    ("asked", "least"),
    [
        (document("0.3.0", name="0"), "0.5.0"),
        (document("0.5.0", kind="vendor.com/a.b"), "0.6.0"),
        (document("0.5.0", annotations={"a": "b"}), "0.6.0"),
        (document("0.5.0") | {"annotations": {"a": "b"}}, "0.6.0"),
    ],
)
def test_names_that_need_a_version(asked: dict[str, Any], least: str) -> None:
    with pytest.raises(ValueError, match=f"must be at least v{least}$"):
        parse(json.dumps(asked).encode(), is_json=True)


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        (document("1.2.0"), 'invalid version "1.2.0"'),
        (document(kind="gpu"), "invalid class"),
        (document(kind="9.com/gpu"), "invalid vendor"),
        (document(kind="v.com/gpu-"), "invalid class"),
        (document(name="a b"), 'failed add device "a b"'),
        (document(name=""), "failed add device"),
        (document(containerEdits={}), "empty device edits"),
        (document(containerEdits={"env": ["A"]}), 'invalid environment variable "A"'),
        (document(containerEdits={"env": ["=A"]}), "invalid environment variable"),
        (document(containerEdits={"deviceNodes": [{"path": ""}]}), "invalid (empty) device path"),
        (document(containerEdits={"deviceNodes": [{"path": "/x", "type": "d"}]}), 'invalid type "d"'),
        (document(containerEdits={"deviceNodes": [{"path": "/x", "permissions": "x"}]}), 'permissions "x"'),
        (document(containerEdits={"deviceNodes": [{"path": "/x", "major": -1}]}), "out of range"),
        (document(containerEdits={"hooks": [{"hookName": "x", "path": "/x"}]}), 'invalid hook name "x"'),
        (document(containerEdits={"hooks": [{"hookName": "poststop", "path": ""}]}), "empty path"),
        (document(containerEdits={"mounts": [{"hostPath": "", "containerPath": "/x"}]}), "empty host path"),
        (document(containerEdits={"mounts": [{"hostPath": "/x", "containerPath": ""}]}), "container path"),
        (document(containerEdits={"intelRdt": {"closID": "a/b"}}), "invalid ClosID"),
        (document(containerEdits={"netDevices": [{"hostInterfaceName": "", "name": "x"}]}), "HostInterfaceName"),
        (document(containerEdits={"additionalGids": [-1]}), "invalid additional group"),
        (document() | {"devices": []}, "no devices"),
        (document() | {"devices": [document()["devices"][0]] * 2}, 'multiple device "one"'),
        (document() | {"unknown": 1}, "failed to parse: Object contains unknown field `unknown`"),
        ([], "failed to parse"),
        (None, "failed to parse"),
    ],
)  # fmt: skip
def test_what_is_no_spec(asked: Any, text: str) -> None:
    with pytest.raises(ValueError) as refused:
        parse(json.dumps(asked).encode(), is_json=True)
    assert text in str(refused.value)
    with pytest.raises(ValueError) as refused:
        parse(json.dumps(asked).encode(), is_json=False)
    assert text in str(refused.value)


@pytest.mark.parametrize(
    "content",
    [b"{", b"a: [", b"\xff\xfe\x00", b"a: &x [1]\nb: *x", b"[" * 100_000, b"!!python/name:os.system"],
)
def test_what_is_no_yaml(content: bytes) -> None:
    for is_json in (True, False):
        with pytest.raises(ValueError):
            parse(content, is_json=is_json)


def test_directories(tmp_path: Path) -> None:
    """A later directory goes before; what one says twice is nobody's; what is no spec is told and passed over."""
    first, second = tmp_path / "a", tmp_path / "b"
    for folder in (first, second):
        folder.mkdir()
    (first / "x.yaml").write_text(json.dumps(document(containerEdits={"env": ["FROM=first"]})))
    (second / "x.json").write_text(json.dumps(document(containerEdits={"env": ["FROM=second"]})))
    for name in ("p.yaml", "q.json"):
        (first / name).write_text(json.dumps(document(kind="both.com/x")))
    (first / "bad.yaml").write_text("a: [")
    (first / "large.json").write_bytes(b" " * (MAX_BYTES + 1))
    (first / "notes.txt").write_text("no spec")
    (first / "folder.json").mkdir()
    (first / "gone.json").symlink_to(tmp_path / "nowhere")
    registry = scan([str(tmp_path / "absent"), str(first), str(second)])
    assert list(registry.devices) == ["vendor.com/gpu=one"]
    assert registry.devices["vendor.com/gpu=one"].device.container_edits.env == ["FROM=second"]
    assert registry.vendors == {"vendor.com"}
    told = dict(registry.errors)
    assert sorted(told) == [str(first / name) for name in ("bad.yaml", "large.json", "p.yaml", "q.json")]
    assert "conflicting device" in told[str(first / "p.yaml")]
    assert scan([str(second), str(first)]).devices["vendor.com/gpu=one"].device.container_edits.env == [
        "FROM=first"
    ]


def test_three_that_conflict_leave_none(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.json").write_text(json.dumps(document()))
    assert scan([str(tmp_path)]).devices == {}


WORDS = st.sampled_from(
    ["cdiVersion", "kind", "devices", "name", ": ", "- ", "\n", "  ", "{", "}", "[", "]", ",", '"', "'", "|", ">",
     "&a", "*a", "!!int", "!!timestamp", "!!binary", "!!python/object:os.system", "2024-13-45",
     "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59",
     "1e999", "0x", "0b1", "9" * 5000, "~", "? ", "%YAML 9.9", "---", "...", "<<: ", "\t"]
)  # fmt: skip


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(
    st.one_of(st.binary(max_size=60), st.lists(WORDS, max_size=12).map(lambda words: "".join(words).encode()))
)
def test_any_content_is_read_or_refused(content: bytes) -> None:
    for is_json in (True, False):
        with contextlib.suppress(ValueError):
            parse(content, is_json=is_json)
