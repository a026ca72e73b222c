import hashlib
import json
from typing import Any

import pytest

import errdefs
from engine.images import config, timestamps

LAYER = "sha256:" + "1" * 64


def document(**more: Any) -> bytes:
    base = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [LAYER]}}
    return json.dumps({**base, **more}).encode()


def test_reads_what_go_reads() -> None:
    raw = document(
        created="2024-02-03T04:05:06.120000000Z",
        config={
            "Env": None,
            "cmd": "sh",
            "Labels": None,
            "ExposedPorts": {"80/tcp": None},
            "User": None,
            "unknown": 1,
        },
        history=[{"created_by": "x", "empty_layer": True}, {"created": None}],
        unknown={"a": [1]},
    )
    found = config.parse(raw)
    assert found.run.cmd == ["sh"]
    assert found.run.exposed_ports == {"80/tcp": {}}
    assert found.run.user == ""
    assert found.diff_ids == [LAYER]


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"{", "invalid image config"),
        (b"[]", "invalid image config"),
        (b"{}", "no RootFS key"),
        (document(config={"Env": "x", "env": []}), "given twice"),
        (document() + b"x", "invalid image config"),
        (document().replace(b'"os"', b'"architecture"'), "'architecture' is given twice"),
        (document(created="yesterday"), "invalid time"),
        (document(config={"Env": [1]}), "Expected `str`"),
        (document(config={"Healthcheck": {"Interval": 1e30}}), "invalid image config"),
        (document(config={"Healthcheck": {"Interval": 10**400}}), "invalid image config"),
        (document().replace(b'"amd64"', b"NaN"), "invalid image config"),
        (document().replace(b'"amd64"', b'"\\ud800"'), "invalid image config"),
        (document(history=[{}, {}]), "too many non-empty layers in History section"),
        (document(rootfs={"type": "layers", "diff_ids": ["sha256:../../x"]}), "not a sha256 diff ID"),
        (document(rootfs={"type": "layers", "diff_ids": [LAYER] * 10_000}), "max depth exceeded"),
        (document(config={"Labels": {"a": "x" * (4 << 20)}}), "larger than"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "invalid image config"),
    ],
)
def test_refuses_hostile_documents(raw: bytes, reason: str) -> None:
    with pytest.raises(errdefs.InvalidArgument, match=reason):
        config.parse(raw)


def test_chain_ids() -> None:
    layers = ["sha256:" + digit * 64 for digit in "123"]
    second = "sha256:" + hashlib.sha256(f"{layers[0]} {layers[1]}".encode()).hexdigest()
    third = "sha256:" + hashlib.sha256(f"{second} {layers[2]}".encode()).hexdigest()
    assert config.chain_ids(layers) == [layers[0], second, third]
    assert config.chain_ids([]) == []


def test_a_made_config_reads_back() -> None:
    parsed = config.parse(document(config={"Cmd": ["sh"], "Labels": {"a": "b"}}))
    again = config.encode(parsed)
    assert config.parse(again) == parsed
    assert json.loads(again)["config"] == {"Cmd": ["sh"], "Labels": {"a": "b"}}


@pytest.mark.parametrize(
    ("text", "nanoseconds", "tidy"),
    [
        ("1970-01-01T00:00:01Z", 10**9, "1970-01-01T00:00:01Z"),
        ("1970-01-01T01:00:00+01:00", 0, "1970-01-01T01:00:00+01:00"),
        ("1969-12-31T23:59:59.5Z", -500_000_000, "1969-12-31T23:59:59.5Z"),
        ("1970-01-01T00:00:00.000000010Z", 10, "1970-01-01T00:00:00.00000001Z"),
        ("1970-01-01T00:00:00.100000000Z", 10**8, "1970-01-01T00:00:00.1Z"),
        ("0001-01-01T00:00:00Z", -62135596800 * 10**9, "0001-01-01T00:00:00Z"),
    ],
)
def test_times(text: str, nanoseconds: int, tidy: str) -> None:
    assert timestamps.parse(text) == nanoseconds
    assert timestamps.tidy(text) == tidy
    if text.endswith("Z"):
        assert timestamps.render(nanoseconds) == tidy


@pytest.mark.parametrize(
    "text", ["x", "2024-13-01T00:00:00Z", "2024-01-01T00:00:00", "2024-01-01T00:00:00+99:00"]
)
def test_bad_times(text: str) -> None:
    with pytest.raises(errdefs.InvalidArgument):
        timestamps.parse(text)
