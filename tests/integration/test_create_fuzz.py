"""Create requests by chance, of the right shape and nearly so: an answer soon, never a failure, nothing half-made left.

The shape is that of the engine's own nouns, which are all that the API says (`test_every_field.py`).
"""

import os
import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from api.schema.create import CreateRequest
from tests.daemon import Wherryd

pytestmark = pytest.mark.root

SOON = 20.0  # seconds: the machine may be busy, the request is never
ANSWERS = frozenset({201, 400, 404, 409})
VERSIONS = ("1.24", "1.40", "1.43", "1.44", "1.48", "1.52", "1.55")
TEXTS = (
    *("", " ", "a", "/a", "a/b", "/a/../..", "../..", "/", "/proc", "/dev/null", "host", "none", "private", "default"),
    *("container:", "container:x", "shareable", "0", "1-3", "3-1", "-1", "9" * 20, "1.2.3.4", "::1", "1.2.3.0/24"),
    *("80/tcp", "80-90/udp", "99999/tcp", "a=b", "=", "a:b", "a:/b:ro", "/usr:/u:rshared", "x:y:z:q", "rw", "rprivate"),
    *("volume", "bind", "tmpfs", "image", "npipe", "cluster", "json-file", "local", "always", "on-failure", "runc"),
    *("nofile", "NET_ADMIN", "ALL", "no-new-privileges", "seccomp=unconfined", "seccomp={}", "apparmor=x", "size=1m"),
    *("c 1:3 rwm", "a *:* rwm", "cdi", "gpu", "SIGKILL", "CMD", "busybox", "é\u2028", "a\0b", "a\nb", "a" * 300),
)  # fmt: skip
NUMBERS = (
    *(0, 1, -1, 2, 5, 9, 10, 1000, 4096, 100_000, 6 << 20, 64 << 20, 10**9, 10**15),
    *((1 << 16) - 1, 1 << 16, (1 << 31) - 1, 1 << 31, 1 << 32, (1 << 63) - 1, -(1 << 63), 1 << 63, 1 << 64),
)
texts = st.one_of(st.sampled_from(TEXTS), st.text(max_size=6))
numbers = st.one_of(st.sampled_from(NUMBERS), st.integers(-5, 5000))
wrong = st.one_of(
    st.none(), texts, numbers, st.booleans(), st.floats(allow_nan=False), st.just([]), st.just({})
)


def values(kind: Any, some: st.DataObject) -> Any:
    """A value of a type of msgspec's, or in one case of thirty of any other."""
    draw = some.draw
    if draw(st.integers(0, 29)) == 29:
        return draw(wrong)
    match kind:
        case msgspec.inspect.UnionType():
            return values(draw(st.sampled_from(kind.types)), some)
        case msgspec.inspect.NoneType():
            return None
        case msgspec.inspect.BoolType():
            return draw(st.booleans())
        case msgspec.inspect.IntType():
            return draw(numbers)
        case msgspec.inspect.ListType():
            return [values(kind.item_type, some) for _ in range(draw(st.integers(0, 3)))]
        case msgspec.inspect.DictType():
            return {draw(texts): values(kind.value_type, some) for _ in range(draw(st.integers(0, 2)))}
        case msgspec.inspect.StructType():
            return fields(kind, some, 4)
    return draw(texts)


def fields(kind: msgspec.inspect.StructType, some: st.DataObject, most: int) -> dict[str, Any]:
    """Some fields of a noun."""
    chosen = some.draw(
        st.lists(st.sampled_from(kind.fields), max_size=most, unique_by=lambda each: each.name)
    )
    return {field.encode_name: values(field.type, some) for field in chosen}


def body(some: st.DataObject) -> dict[str, Any]:
    """A request for a container of an image that is there, in three cases of four."""
    kind = msgspec.inspect.type_info(CreateRequest)
    assert isinstance(kind, msgspec.inspect.StructType)
    host = next(field.type for field in kind.fields if field.encode_name == "HostConfig")
    assert isinstance(host, msgspec.inspect.UnionType)
    noun = next(each for each in host.types if isinstance(each, msgspec.inspect.StructType))
    asked = {"Image": "busybox", "HostConfig": fields(noun, some, 8)}
    return asked | (fields(kind, some, 3) if some.draw(st.integers(0, 3)) == 3 else {})


@pytest.fixture(scope="module")
def left(wherryd: Wherryd) -> Callable[[], dict[str, list[str]]]:
    """What the daemon keeps of containers."""

    def left() -> dict[str, list[str]]:
        told = {"containers": sorted(each["Id"] for each in wherryd.get("/containers/json?all=1").json)}
        root = wherryd.data_root
        return told | {place: sorted(os.listdir(root / place)) for place in ("containers", "snapshots")}

    return left


@settings(
    max_examples=120, deadline=None, derandomize=True, database=None, suppress_health_check=[*HealthCheck]
)
@given(some=st.data(), version=st.sampled_from(VERSIONS))
def test_any_body_is_answered(
    wherryd: Wherryd, left: Callable[[], dict[str, list[str]]], some: st.DataObject, version: str
) -> None:
    asked, before, began = body(some), left(), time.monotonic()
    answer = wherryd.call("POST", f"/v{version}/containers/create", asked)
    assert time.monotonic() - began < SOON, asked
    assert answer.status in ANSWERS, (asked, answer.status, answer.body)
    event(f"answered with {answer.status}")
    if answer.status == 201:
        identifier = answer.json["Id"]
        assert wherryd.get(f"/v{version}/containers/{identifier}/json").status == 200, asked
        assert wherryd.get(f"/v{version}/containers/json?all=1").status == 200, asked
        assert wherryd.call("DELETE", f"/containers/{identifier}?force=1&v=1").status == 204, asked
    else:
        assert answer.json["message"], asked
    assert left() == before, asked


def test_updates_by_chance(wherryd: Wherryd) -> None:
    """The same of updates of a container that does not run."""
    identifier = wherryd.call("POST", "/containers/create", {"Image": "busybox"}).json["Id"]

    @settings(
        max_examples=40, deadline=None, derandomize=True, database=None, suppress_health_check=[*HealthCheck]
    )
    @given(some=st.data(), version=st.sampled_from(VERSIONS))
    def updated(some: st.DataObject, version: str) -> None:
        asked = body(some)["HostConfig"]
        answer = wherryd.call("POST", f"/v{version}/containers/{identifier}/update", asked)
        assert answer.status in {200, 400, 409}, (asked, answer.status, answer.body)
        assert wherryd.get(f"/containers/{identifier}/json").status == 200

    try:
        updated()
    finally:
        wherryd.call("DELETE", f"/containers/{identifier}?force=1")
