"""The configs of images that docker before 1.10 saved, byte for byte: their digests are the images' ids."""

import json
from typing import Any

import pytest

import errdefs
from engine.images import legacy_archive

DIFF_ID = "sha256:" + "1" * 64


def made(below: bytes | None = None, **said: Any) -> bytes:
    raw = json.dumps({"id": "a", "created": "2015-01-02T03:04:05.100Z", **said}, ensure_ascii=False).encode()
    return legacy_archive.image_config(raw, [DIFF_ID], below)


def test_the_json_of_an_early_one_is_written_anew() -> None:
    said: dict[str, Any] = {
        "os": "linux",
        "unknown": 1,
        "Size": 7,
        "config": {"Cmd": "a <b>", "Unknown": 1, "Volumes": {"/x": None}},
    }
    off = ("AttachStdin", "AttachStdout", "AttachStderr", "Tty", "OpenStdin", "StdinOnce")
    empty = ",".join(f'"{each}":false' for each in off)
    names = '"Hostname":"","Domainname":"","User":""'
    rest = '"WorkingDir":"","Entrypoint":null,"OnBuild":null,"Labels":null'
    assert made(**said).decode() == (
        f'{{"config":{{{names},{empty},"Env":null,"Cmd":["a \\u003cb\\u003e"],"Image":"",'
        f'"Volumes":{{"/x":{{}}}},{rest}}},'
        f'"container_config":{{{names},{empty},"Env":null,"Cmd":null,"Image":"","Volumes":null,{rest}}},'
        '"created":"2015-01-02T03:04:05.1Z",'
        '"history":[{"created":"2015-01-02T03:04:05.1Z"}],"os":"linux",'
        f'"rootfs":{{"type":"layers","diff_ids":["{DIFF_ID}"]}}}}'
    )


def test_the_json_of_a_late_one_is_kept_but_for_what_was_of_layers() -> None:
    said: dict[str, Any] = {
        "docker_version": "1.8.3",
        "parent": "x",
        "Size": 7,
        "other &": {"b": [1.50, " \u2028 "]},
        "a": None,
    }
    assert made(**said).decode() == (
        '{"a":null,"created":"2015-01-02T03:04:05.100Z","docker_version":"1.8.3",'
        '"history":[{"created":"2015-01-02T03:04:05.1Z"}],"other \\u0026":{"b":[1.5," \\u2028 "]},'
        f'"rootfs":{{"type":"layers","diff_ids":["{DIFF_ID}"]}}}}'
    )


def test_the_history_goes_on_from_the_parents() -> None:
    below = made(author="é", comment="c")
    step = {"container_config": {"Cmd": ["sh", "-c", "x"]}}
    history = json.loads(made(below, **step))["history"]
    created = "2015-01-02T03:04:05.1Z"
    assert history[0] == {"created": created, "author": "é", "comment": "c"}
    assert history[1] == {"created": created, "created_by": "sh -c x"}


@pytest.mark.parametrize(
    ("version", "verbatim"),
    [
        ("", False),
        ("1.8.2", False),
        ("1.8", False),
        ("1.8.3", True),
        ("1.8.3.0", True),
        ("1.8.3-rc1", False),
        ("1.10.0-dev", True),
        ("2", True),
        ("dev", False),
        ("0.9.9.9", False),
        ("9" * 5000, False),
    ],
)
def test_which_are_kept(version: str, verbatim: bool) -> None:
    assert (b"unknown" in made(docker_version=version, unknown=1)) is verbatim


def test_parents_come_first_and_once() -> None:
    parents = {"a": "c", "b": "a", "c": "", "d": "c", "e": ""}
    assert legacy_archive.parents_first(parents, sorted(parents)) == ["c", "a", "b", "d", "e"]
    assert legacy_archive.parents_first(parents, ["d"]) == ["c", "d"]
    assert legacy_archive.parents_first(parents, []) == []


@pytest.mark.parametrize(
    ("parents", "reason"),
    [
        ({"a": "a"}, "circle"),
        ({"a": "b", "b": "a"}, "circle"),
        ({"a": "b"}, "missing"),
        ({f"{n}": f"{n + 1}" for n in range(1000)} | {"1000": ""}, "max depth"),
        ({f"{n:04}": f"{n - 1:04}" if n else "" for n in range(126)}, "max depth"),
        ({f"{n}": f"{(n + 1) % 1000}" for n in range(1000)}, "max depth"),
    ],
)
def test_parents_that_do_not_hold_together(parents: dict[str, str], reason: str) -> None:
    with pytest.raises(errdefs.InvalidArgument, match=reason):
        legacy_archive.parents_first(parents, parents)


def test_names() -> None:
    found = legacy_archive.names(b'{"b":{"2":"x","1":"x"},"127.0.0.1:5/a":{"1":"y"}}')
    assert {old: [name.familiar for name in names] for old, names in found.items()} == {
        "x": ["b:1", "b:2"],
        "y": ["127.0.0.1:5/a:1"],
    }
    assert legacy_archive.names(b"null") == {}
