"""Nothing that a client sends gives a 500, and whole requests are answered however they come."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import errdefs
from api import gojson
from api.endpoints import all_routes
from api.query import Query
from api.schema import create
from api.versions import Version
from engine.containers.config import ContainerConfig, HostConfig
from tests.unit.api.conftest import Served

_NAMES = st.sampled_from(
    [
        *ContainerConfig.__struct_encode_fields__,
        *HostConfig.__struct_encode_fields__,
        "HostConfig",
        "NetworkingConfig",
    ]
)
_SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20)
_JSON = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(_NAMES | st.text(max_size=8), inner, max_size=6)
    ),
    max_leaves=30,
)
_VERSIONS = st.sampled_from(["1.24", "1.39", "1.41", "1.43", "1.47", "1.51", "1.55"])

NONSENSE = [
    "all=%00&limit=-1&size=%ff&filters={}",
    "limit=99999999999999999999&t=1e9&h=-1&w=65536&signal=%F0%9F%92%A9",
    "filters=%5B%5B%5B%5B&since=NaN&until=-1&condition=&tail=-99999999999999999999",
    "filters={%22status%22:{%22x%22:1}}&detachKeys=ctrl-&name=../../x&repo=%00&tag=@",
    "&&&===;;;?%zz%",
]


def refusal(act: Callable[[], object]) -> str:
    """What is refused, "" if nothing is; every other failure is one."""
    try:
        act()
    except errdefs.InvalidArgument as error:
        return error.message or "without a message"
    return ""


@given(body=_JSON, version=_VERSIONS)
@settings(max_examples=300, deadline=None)
def test_any_create_body_is_read_or_refused(body: Any, version: str) -> None:
    text = refusal(lambda: create.parse(json.dumps(body).encode(), Version(version)))
    assert text != "without a message"


@given(body=st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    assert refusal(lambda: gojson.decode(body, create.CreateRequest)) != "without a message"


@given(raw=st.text(max_size=80))
@settings(max_examples=200, deadline=None)
def test_any_query_is_read_or_refused(raw: str) -> None:
    query = Query(f"a={raw}")
    query.flag("a")
    assert len(refusal(lambda: query.integer("a"))) < 1000
    assert len(refusal(lambda: query.timestamp("a"))) < 1000
    assert len(refusal(lambda: query.size("a", "size"))) < 1000


@pytest.mark.parametrize("query", NONSENSE)
async def test_nonsense_in_every_query(served: Served, query: str) -> None:
    for route in all_routes():
        path = route.path.replace("{name}", "n%00%ffosuch").replace("{checkpoint}", "x")
        if path == "/events":
            query += "&until=1"
        request = f"{route.method} /v1.55{path}?{query} HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n"
        answer = await asyncio.wait_for(served.raw(request.encode()), 5)
        assert answer.split(b" ")[1] != b"500", (route.method, path, answer)


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b'"x"', b"1e999", b"{" * 5000, b'{"a":' * 5000, b"\xff\x00"]
)
async def test_nonsense_as_every_body(served: Served, body: bytes) -> None:
    for route in all_routes():
        if route.method not in ("POST", "PUT") or route.path == "/containers/{name}/wait":
            continue
        path = route.path.replace("{name}", "nosuch")
        head = (
            f"{route.method} {path} HTTP/1.1\r\nHost: d\r\nConnection: close\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        answer = await asyncio.wait_for(served.raw(head.encode() + body), 5)
        assert answer.split(b" ")[1] != b"500", (route.method, path, answer)


async def test_a_whole_request_of_a_client_that_half_closes_is_answered(served: Served) -> None:
    reader, writer = await served.connect()
    writer.write(b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n")
    writer.write_eof()
    assert (await reader.read()).endswith(b"\r\n\r\nOK")


async def test_half_a_request_of_a_client_that_half_closes_ends_the_connection(served: Served) -> None:
    reader, writer = await served.connect()
    writer.write(
        b"POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\n"
        b"Content-Length: 50\r\n\r\n{"
    )
    writer.write_eof()
    await asyncio.wait_for(reader.read(), 5)
    assert served.engine.containers.created == []
