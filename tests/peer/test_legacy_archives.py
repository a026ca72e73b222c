"""Archives of docker before 1.10: images of the same ids, with the same parents, as a real dockerd makes of them."""

import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.images.archives import Old, legacy_files, tar
from tests.peer.comparison import differences, require
from tests.peer.peer import Both
from tests.unix_http import call

pytestmark = pytest.mark.root

EMPTY = bytes(1024)
BASE = tar({"etc/hello": b"hello\n", "large": b"x" * 200_000})
TOP = tar({"etc/more": b"more\n"})
A, B, C, D = ("a" * 64, "b" * 64, "c" * 64, "d" * 64)

RUN: dict[str, Any] = {
    "Hostname": "h<&>\u2028é\x7f\x08\x0c\x01",
    "Domainname": "",
    "User": "u",
    "Memory": 0,
    "PortSpecs": None,
    "ExposedPorts": {"80/tcp": {}, "53/udp": {}},
    "Tty": True,
    "Env": ["PATH=/bin", "B=\"q\" 'r' \\", "C=<>"],
    "Cmd": ["sh", "-c", "echo <&> \u2029"],
    "Image": B,
    "Volumes": {"/b": {}, "/a": None},
    "WorkingDir": "/",
    "Entrypoint": None,
    "NetworkDisabled": False,
    "OnBuild": [],
    "Labels": {"z": "1", "a": "<2>", "é": ""},
}
NEW: dict[str, Any] = {
    "Healthcheck": {"Test": ["NONE"], "Interval": 0, "Retries": 3},
    "StopSignal": "SIGINT",
    "StopTimeout": 0,
    "Shell": [],
    "ArgsEscaped": True,
    "MacAddress": "00:11:22:33:44:55",
}
ODD: dict[str, Any] = {
    "Size": 5,
    "throwaway": True,
    "layer_id": "x",
    "parent_id": "y",
    "other <>": {"a b": [1.50]},
}
SAIDS: dict[str, dict[str, Any]] = {
    "bare": {},
    "nothing": {"created": None, "architecture": "", "os": ""},
    "run": {
        "config": RUN,
        "container_config": RUN,
        "docker_version": "1.6.2",
        "author": "<a>",
        "comment": "c&",
    },
    "new-run": {"config": {**RUN, **NEW}, "container_config": {**RUN, **NEW}},
    "empty-run": {"config": {}, "container_config": {"Cmd": None, "Healthcheck": {}}},
    "null-run": {"config": None, "container_config": None, "author": None},
    "text-run": {"config": {"Cmd": "one two", "Entrypoint": "x"}, "container_config": {"Cmd": "one two"}},
    "1.8.2": {"docker_version": "1.8.2", **ODD, "config": RUN},
    "1.8.3": {"docker_version": "1.8.3", **ODD, "config": RUN, "container_config": RUN},
    "1.9.1": {
        "docker_version": "1.9.1",
        "config": {**RUN, **NEW},
        "created": "2015-11-20T01:02:03.120000+02:00",
    },
    "1.10-dev": {"docker_version": "1.10.0-dev", "variant": "v2"},
    "1.8.3-rc1": {"docker_version": "1.8.3-rc1", "config": RUN},
    "1.9": {"docker_version": "1.9"},
    "dev": {"docker_version": "dev", **ODD},
    "zone": {"created": "2015-11-20T01:02:03.120000+02:00"},
    "utc": {"created": "2015-11-20T01:02:03.000000000+00:00"},
    "nanoseconds": {"created": "2015-11-20T01:02:03.123456789Z"},
    "arm": {"architecture": "arm", "variant": "v7"},
}
NAMED = {"peer-old": {"1": C}}


def chain(said: dict[str, Any]) -> list[Old]:
    """Three images, one on the other, of which all say that."""
    return [Old(A, BASE, said=said), Old(B, EMPTY, A, said), Old(C, TOP, B, said)]


PLAIN = chain({})
ARCHIVES: dict[str, bytes] = {
    "several-names": tar(
        legacy_files(PLAIN, {"peer-old": {"1": C, "2": B, "3": C}, "127.0.0.1:5/peer/old": {"x": C}})
    ),
    "two-tops": tar(
        legacy_files([*PLAIN, Old(D, TOP, A, {"author": "other"})], {"peer-old": {"1": C, "2": D}})
    ),
    "one-unnamed": tar(legacy_files([*PLAIN, Old(D, TOP, A, {"author": "other"})], NAMED)),
    "no-names": tar(legacy_files(PLAIN, {})),
    "null-names": tar({**legacy_files(PLAIN, {}), "repositories": b"null"}),
    "nothing": tar({"repositories": b"{}"}),
    "packed-layers": tar(legacy_files([Old(A, gzip.compress(BASE)), Old(C, gzip.compress(TOP), A)], NAMED)),
    "children-first": tar(legacy_files([Old(D, BASE), Old(C, TOP, D)], NAMED)),
    "short-ids": tar(legacy_files([Old("b", BASE), Old("a", TOP, "b")], {"peer-old": {"1": "a"}})),
    "same-twice": tar(legacy_files([Old(A, BASE), Old(B, BASE)], {"peer-old": {"1": A, "2": B}})),
    "no-version": tar({k: v for k, v in legacy_files(PLAIN, NAMED).items() if not k.endswith("VERSION")}),
    **{f"said-{name}": tar(legacy_files(chain(said), NAMED)) for name, said in SAIDS.items()},
}
BROKEN: dict[str, bytes] = {
    "windows": tar(legacy_files([Old(A, BASE, said={"os": "windows"})], {})),
    "target": tar(legacy_files([], {"peer-old": {"1": C}})),
    "no-parent": tar(legacy_files([Old(B, TOP, A)], {})),
    "no-json": tar({f"{A}/layer.tar": BASE, "repositories": b"{}"}),
    "no-layer": tar({f"{A}/json": Old(A, BASE).json, "repositories": b"{}"}),
    "bad-json": tar({**legacy_files([Old(A, BASE)], {}), f"{A}/json": b"x"}),
    "list-of-names": tar({"repositories": b"[]"}),
    "bad-layer": tar(legacy_files([Old(A, b"x" * 2000)], {})),
    "bad-created": tar(legacy_files([Old(A, BASE, said={"created": "yesterday"})], {})),
}


def listed(socket: Any) -> set[str]:
    """The images of a daemon, intermediate ones, too."""
    return {each["Id"] for each in call(socket, "GET", "/v1.45/images/json?all=1").json}


@pytest.fixture
def before(both: Both) -> Iterator[set[str]]:
    """What both daemons had; whatever came besides is gone after the test."""
    kept = [listed(side.socket) for side in (both.wherryd, both.peer)]
    yield kept[0] | kept[1]
    for socket, former in zip((both.wherryd.socket, both.peer.socket), kept, strict=True):
        while came := listed(socket) - former:
            for image in came:
                call(socket, "DELETE", f"/v1.45/images/{image}?force=1")
            assert listed(socket) - former != came


@pytest.mark.parametrize("kind", ARCHIVES)
def test_load(both: Both, before: set[str], kind: str) -> None:
    told = differences(both, "POST", f"/images/load?quiet=1&old={kind}.", ARCHIVES[kind])
    ours, theirs = (listed(side.socket) - before for side in (both.wherryd, both.peer))
    assert ours == theirs
    assert ours or kind == "nothing"
    for image in sorted(ours):
        told += differences(both, "GET", f"/images/{image}/json?old={kind}.")
        told += differences(both, "GET", f"/images/{image}/history?old={kind}.")
    require(told)


@pytest.mark.usefixtures("before")
@pytest.mark.parametrize("kind", BROKEN)
def test_broken(both: Both, kind: str) -> None:
    require(differences(both, "POST", f"/images/load?quiet=1&old={kind}.", BROKEN[kind]))


@pytest.mark.usefixtures("before")
def test_a_name_that_another_image_had(both: Both) -> None:
    """And removal by the name takes the whole chain."""
    both("POST", "/images/load?quiet=1", ARCHIVES["said-run"])
    told = differences(both, "POST", "/images/load?quiet=1&old=renamed.", ARCHIVES["packed-layers"])
    told += differences(both, "DELETE", "/images/peer-old:1")
    require(told)


@pytest.mark.usefixtures("before")
def test_progress(both: Both) -> None:
    """The same layers by the same ids."""
    told = []
    for side in (both.wherryd, both.peer):
        body = call(side.socket, "POST", "/v1.45/images/load?quiet=0", ARCHIVES["said-bare"]).body
        lines = [json.loads(line) for line in body.splitlines()]
        told.append(list(dict.fromkeys((each["id"], each["status"]) for each in lines if "id" in each)))
    assert told[0] == told[1] == [(old[:12], "Loading layer") for old in (A, B, C)]
