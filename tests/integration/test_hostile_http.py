"""Bytes that no decent client sends: answered by a 4xx or a closed connection, never a 500, and nothing changes."""

import http.client
import inspect
import json
import socket
import tarfile
import time
import types
import typing
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import msgspec
import pytest

from engine.containers.config import ContainerConfig, EndpointConfig, HostConfig
from engine.containers.exec_process import ExecConfig
from tests.daemon import Wherryd

pytestmark = pytest.mark.root

REFUSED = (400, 404, 405, 409, 411, 413, 414, 431, 501)


@pytest.fixture(autouse=True)
def unharmed(no_leftovers: None, wherryd: Wherryd) -> Iterator[None]:
    """No call here makes a container, kills the daemon, or makes it log a traceback."""
    pid, logged = wherryd.pid, wherryd.log.stat().st_size
    yield
    assert wherryd.pid == pid
    assert wherryd.docker("ps", "-aq").stdout == ""
    assert wherryd.docker("images", "-q").stdout.count("\n") == 1
    with wherryd.log.open("rb") as log:
        log.seek(logged)
        new = log.read().decode(errors="replace")
    assert "Traceback" not in new, new


def talk(wherryd: Wherryd, *parts: bytes, patience: float = 1, limit: int = 1 << 20) -> bytes:
    """Send parts, and return what comes back until the daemon closes, or says nothing for some seconds."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(5)
        client.connect(str(wherryd.socket))
        answer = b""
        try:
            for part in parts:
                client.sendall(part)
            client.settimeout(patience)
            while len(answer) < limit and (data := client.recv(1 << 16)):
                answer += data
        except (TimeoutError, BrokenPipeError, ConnectionResetError):
            pass
        return answer


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else 0


def refused(answer: bytes) -> bool:
    """A clear no, or a closed connection."""
    return status(answer) in (0, *REFUSED)


POST = b"POST /containers/create?name=smuggled HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\n"
GOOD = json.dumps({"Image": "busybox"}).encode()


@pytest.mark.parametrize(
    "request_",
    [
        POST + b"Content-Length: -5\r\n\r\n" + GOOD,
        POST + b"Content-Length: 5, 20\r\n\r\n" + GOOD,
        POST + b"Content-Length: 20\r\nContent-Length: 5\r\n\r\n" + GOOD,
        POST + b"Content-Length: 0x14\r\n\r\n" + GOOD,
        POST + b"Content-Length: +20\r\n\r\n" + GOOD,
        POST + b"Content-Length: 99999999999999999999999\r\n\r\n" + GOOD,
        POST
        + b"Transfer-Encoding: chunked\r\nContent-Length: 20, 20\r\n\r\n14\r\n"
        + GOOD
        + b"\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: xchunked\r\nContent-Length: 20\r\n\r\n" + GOOD,
        POST + b"Transfer-Encoding: chunked\r\nContent-Length : 20\r\n\r\n14\r\n" + GOOD + b"\r\n0\r\n\r\n",
        POST
        + b"Transfer-Encoding: chunked\r\nContent-Length:\r\n 20\r\n\r\n14\r\n"
        + GOOD
        + b"\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n" + GOOD + b"\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n" + GOOD,
        POST + b"Transfer-Encoding: gzip, chunked, chunked\r\n\r\n14\r\n" + GOOD + b"\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding : chunked\r\n\r\n14\r\n" + GOOD + b"\r\n0\r\n\r\n",
        POST + b" Folded: x\r\n\r\n",
        POST + b"No-Colon\r\n\r\n",
        POST + b"N\0ul: x\r\n\r\n",
        POST + b"X: a\rb\r\n\r\n",
        b"GET /_ping HTTP/9.9\r\n\r\n",
        b"GET /_ping\r\n\r\n",
        b"GET  /_ping  HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\xff" * 300,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\r\n" * 5000,
        b"\xff" * 5000 + b"\r\n\r\n",
        b"GET " + b"/" * 400_000 + b" HTTP/1.1\r\n\r\n",
        b"GET /_ping HTTP/1.1\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(100_000)) + b"\r\n",
        b"GET /_ping HTTP/1.1\r\nX: " + b"y" * (8 << 20) + b"\r\n\r\n",
        b"G" * (4 << 20),
    ],
    ids=lambda value: value[-60:-40].decode("latin-1") if isinstance(value, bytes) else None,
)
def test_what_is_no_http(wherryd: Wherryd, request_: bytes) -> None:
    assert refused(talk(wherryd, request_))


def test_a_request_behind_a_body_is_its_own(wherryd: Wherryd) -> None:
    """Content-Length alone says where the body ends: what follows is a second request, not part of it."""
    inner = b"GET /version HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n"
    body = b"{" + b" " * 20 + b"x"
    answer = talk(wherryd, POST + b"Content-Length: %d\r\n\r\n" % len(body) + body + inner, patience=20)
    assert status(answer) == 400
    assert answer.count(b"HTTP/1.1 ") == 2


INNER = b"GET /version HTTP/1.1\r\nHost: d\r\n\r\n"
BAD_JSON = b"{ x" + b" " * 40


@pytest.mark.parametrize(
    "first", [b"", INNER, POST + b"Content-Length: 3\r\n\r\n{ x"], ids=["new", "get", "post"]
)
@pytest.mark.parametrize("length", [0, 5, len(BAD_JSON), 1000])
def test_of_a_length_and_chunks_the_chunks_count(wherryd: Wherryd, first: bytes, length: int) -> None:
    """And nothing behind them is a request: the connection ends with the answer."""
    head = POST + b"Transfer-Encoding: chunked\r\nContent-Length: %d\r\n\r\n" % length
    chunks = b"%x\r\n" % len(BAD_JSON) + BAD_JSON + b"\r\n0\r\n\r\n"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(20)
        client.connect(str(wherryd.socket))
        if first:
            client.sendall(first)
            answered = http.client.HTTPResponse(client)
            answered.begin()
            answered.read()
        client.sendall(head)
        time.sleep(0.1)
        client.sendall(chunks + INNER)
        answer = b""
        while data := client.recv(1 << 16):
            answer += data
    assert status(answer) == 400
    assert b"invalid" in answer
    assert b"malformed request" not in answer
    assert answer.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("target", ["/containers/create", "/images/create?fromSrc=-", "/images/load"])
def test_a_body_that_breaks_off_its_framing_is_no_end_to_wait_for(wherryd: Wherryd, target: str) -> None:
    """The handler has the head by then, and reads: the connection holds less than is sent before."""
    entry = tarfile.TarInfo("large")
    entry.size = 1 << 30
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(10)
        client.connect(str(wherryd.socket))
        head = f"POST {target} HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\n"
        client.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        client.sendall(b"100000\r\n" + entry.tobuf().ljust(1 << 20, b"x") + b"\r\n")
        client.sendall(b"zz\r\nno chunk")
        answer = b""
        while data := client.recv(1 << 16):
            answer += data
    assert status(answer) == (200 if target == "/images/load" else 400)  # a load has begun to tell by then
    assert b"malformed request body" in answer
    assert answer.count(b"HTTP/1.1 ") == 1


def test_a_head_in_a_body_is_no_head(wherryd: Wherryd) -> None:
    """What a body holds reaches the handler as it was sent, wherever the packets begin."""
    inner = POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"
    head = b"POST /images/create?fromSrc=-&repo=smuggled HTTP/1.1\r\nHost: d\r\nContent-Length: %d\r\n\r\n"
    behind = b"GET /version HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n"
    answer = talk(wherryd, head % len(inner), inner, behind, patience=20)
    assert status(answer) == 400
    assert answer.count(b"HTTP/1.1 ") == 2


def test_slow_heads_do_not_hold_up_others(wherryd: Wherryd) -> None:
    slow = []
    for _ in range(200):
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        client.connect(str(wherryd.socket))
        client.sendall(b"GET /_ping HTTP/1.1\r\nX-")
        slow.append(client)
    assert wherryd.get("/_ping", timeout=5).status == 200
    for client in slow:
        client.close()


def test_a_huge_body_is_cut_off(wherryd: Wherryd) -> None:
    head = POST + b"Content-Length: %d\r\n\r\n" % (1 << 30)
    assert refused(talk(wherryd, head, b'{"Image": "', *[b"a" * (1 << 20)] * 40))
    chunk = b"100000\r\n" + b"a" * (1 << 20) + b"\r\n"
    assert refused(talk(wherryd, POST + b"Transfer-Encoding: chunked\r\n\r\n", *[chunk] * 40))


@pytest.mark.parametrize(
    "path",
    [
        "/v1.999/containers/json", "/v1.23/containers/json", "/v0/containers/json", "/v1/containers/json",
        "/v1.44.0/containers/json", "/v1..44/containers/json", "/v.1/containers/json",
        "/v99999999999999999999.1/containers/json",
        "/v1.44/v1.44/containers/json", "/containers/%00/json", "/containers/a%00b/json", "/containers/a%2Fb/json",
        "/containers/%2e%2e/json", "/containers/%2e%2e%2f%2e%2e%2fetc/json", "/containers/%/json",
        "/containers/%zz/json", "/containers/%ff%fe/json", "/containers/\u00e9/json", "/containers/%F0%9F%90%B3/json",
        "/containers//json", "/images/%00/json", "/images/%ff/json", "/images/..%2f..%2fetc/json",
        "/images/a%20b/json", "/exec/%00/json", "/networks/%00", "/containers/" + "a" * 100_000 + "/json",
    ],
)  # fmt: skip
def test_odd_paths(wherryd: Wherryd, path: str) -> None:
    request = f"GET {path} HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n".encode()
    found = status(talk(wherryd, request, patience=20))
    expected = (
        (200,) if path.startswith("/v1.44.0/") else (0, 301, *REFUSED)
    )  # three numbers are Docker's, too
    assert found in expected, found


@pytest.mark.parametrize(
    "target", ["http://elsewhere/_ping", "*", "//v1.44/../_ping", "/./_ping", "/v1.44/../_ping"]
)
def test_forms_of_targets(wherryd: Wherryd, target: str) -> None:
    request = f"GET {target} HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n".encode()
    assert status(talk(wherryd, request)) in (0, 200, 301, *REFUSED)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000, b'{"a":' * 100_000, b'{"HostConfig":' * 5000 + b"1" + b"}" * 5000, b"{}{}", b"nul", b"\xff\xfe",
        b'"\\ud800"', b'{"Image": "\\ud800"}', b'{"Image": "busy\\u0000box"}', b"[]", b'"x"', b"1", b"true",
        b'{"Image": 1e999}', b'{"HostConfig": {"Memory": 1e30}}', b'{"HostConfig": {"Memory": NaN}}',
        b'{"HostConfig": {"Memory": 9223372036854775808}}', b'{"HostConfig": {"Memory": 1.5}}',
        b'{"HostConfig": {"Memory": -99999999999999999999999999999}}', b'{"Image": "busybox", }', b"\xef\xbb\xbf{}",
        b"", b"null", b"{}", b'{"Image": ""}', b'{"image": null, "IMAGE": "nothing"}',
    ],
)  # fmt: skip
def test_bodies_that_are_no_containers(wherryd: Wherryd, body: bytes) -> None:
    answer = wherryd.call("POST", "/containers/create", body, headers={"Content-Type": "application/json"})
    assert answer.status in (400, 404), answer.body
    assert answer.json["message"]


WRONG: tuple[Any, ...] = (
    1,
    -1,
    2**63,
    1.5,
    True,
    "x",
    "",
    "\0",
    [],
    {},
    [1],
    [[]],
    ["x"],
    [None],
    {"x": 1},
    {"x": "y"},
    {"x": [1]},
    {"": {}},
)
"""One of each kind: whatever a field's type is, most of them are wrong for it."""
Path = tuple[str, ...]


def fields(kind: type[msgspec.Struct], path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every field of a Struct and of those in it, with its type."""
    for field in msgspec.structs.fields(kind):
        here = (*path, field.encode_name)
        yield here, field.type
        for inner in structs(field.type):
            yield from fields(inner, here)


def structs(kind: Any) -> Iterator[type[msgspec.Struct]]:
    if inspect.isclass(kind) and issubclass(kind, msgspec.Struct):
        yield kind
    elif isinstance(kind, types.UnionType):
        for argument in typing.get_args(kind):
            yield from structs(argument)


def body_with(path: Path, value: object) -> dict[str, Any]:
    """A body that is good but for one field."""
    body: dict[str, Any] = {"Image": "busybox", "Cmd": ["true"], "HostConfig": {}}
    place = body
    for name in path[:-1]:
        place = place.setdefault(name, {})
    place[path[-1]] = value
    return body


CREATE = [
    *(path for path, _ in fields(ContainerConfig)),
    *(path for path, _ in fields(HostConfig, ("HostConfig",))),
    *(path for path, _ in fields(EndpointConfig, ("NetworkingConfig", "EndpointsConfig", "bridge"))),
]


# As with dockerd, only the runtime, or the kernel, tells whether these can be; its no is a 500.
KERNELS = [("HostConfig", name) for name in ("OomScoreAdj", "Sysctls", "CpuShares", "CpuRealtimeRuntime")]


@pytest.mark.timeout(600)  # two thousand requests, of which some start a container
def test_every_field_of_a_create_with_every_kind_of_value(wherryd: Wherryd) -> None:
    """A value may be right by chance: then the container is there, is made to start, and goes again."""
    bad: list[str] = []
    for path in CREATE:
        for value in WRONG:
            answer = wherryd.call("POST", "/containers/create", body_with(path, value))
            if answer.status == 201:
                identifier = answer.json["Id"]
                seen = wherryd.get(f"/containers/{identifier}/json").status
                listed = wherryd.get("/containers/json?all=1").status
                started = wherryd.call("POST", f"/containers/{identifier}/start").status if seen == 200 else 0
                removed = wherryd.call("DELETE", f"/containers/{identifier}?force=1").status
                if (seen, listed, removed) != (200, 200, 204) or (started >= 500 and path not in KERNELS):
                    bad.append(f"{path} {value!r}: {seen} {listed} {started} {removed}")
            elif answer.status not in (400, 404, 409, 501):
                bad.append(f"{path} {value!r}: {answer.status} {answer.body!r}")
    assert not bad, "\n".join(bad)


FILTERED = ["/containers/json", "/images/json", "/events?until=1", "/networks"]
FILTERS = [
    "{", "[]", "1", "null", '"x"', '{"label": 1}', '{"label": "x"}', '{"label": [1]}', '{"label": {"x": 1}}',
    '{"label": [null]}', '{"label": [[]]}', '{"label": null}', '{"no-such-filter": ["x"]}', '{"label": ["\\u0000"]}',
    '{"label": ["\\ud800"]}', '{"name": ["("]}', '{"name": ["' + "(a*)*" * 50 + 'b"]}', '{"before": ["nobody"]}',
    '{"status": ["nowhere"]}', '{"exited": ["x"]}', '{"exited": ["99999999999999999999999"]}', '{"dangling": ["x"]}',
    '{"ancestor": ["\\u0000"]}', '{"health": ["x"]}', '{"is-task": ["x"]}', '{"publish": ["x"]}', '{"expose": ["-"]}',
    '{"type": ["x"]}', '{"id": ["*"]}', '{"volume": [""]}', '{"label": ' + "[" * 5000 + "]" * 5000 + "}",
]  # fmt: skip


@pytest.mark.parametrize("path", FILTERED)
def test_filters_of_every_kind(wherryd: Wherryd, path: str) -> None:
    for filters in FILTERS:
        answer = wherryd.get(f"{path}{'&' if '?' in path else '?'}filters={quote(filters)}", timeout=10)
        assert answer.status in (200, 400, 404), (filters, answer.status, answer.body)


QUERIES = [
    ("GET", "/containers/json?limit=x"), ("GET", "/containers/json?limit=99999999999999999999"),
    ("GET", "/containers/json?limit=-1"), ("GET", "/containers/json?size=maybe&all=%00"),
    ("GET", "/events?since=NaN"), ("GET", "/events?since=1e400&until=1"), ("GET", "/events?since=-5&until=1"),
    ("GET", "/events?until=x"), ("GET", "/containers/xx/logs?stdout=1&tail=99999999999999999999999"),
    ("GET", "/containers/xx/logs?stdout=1&since=NaN"), ("POST", "/containers/xx/resize?h=0&w=65536"),
    ("POST", "/containers/xx/resize?h=-1&w=x"), ("POST", "/containers/xx/kill?signal=%00"),
    ("POST", "/containers/xx/kill?signal=999999999999999999999999"), ("POST", "/containers/xx/stop?t=x"),
    ("POST", "/containers/xx/stop?t=99999999999999999999"), ("POST", "/containers/xx/wait?condition=%ff"),
    ("POST", "/containers/xx/rename?name=%00"), ("POST", "/containers/xx/rename?name=" + "a" * 100_000),
    ("POST", "/containers/create?name=" + "a" * 5000), ("POST", "/containers/create?name=%2F..%2Fx"),
    ("POST", "/containers/create?platform=%00%ff"), ("POST", "/images/x/tag?repo=%00&tag=%00"),
    ("POST", "/images/create?fromSrc=%00&repo=A"), ("DELETE", "/images/%00?force=maybe"),
    ("GET", "/containers/xx/top?ps_args=%00"),
    ("GET", "/containers/xx/top?ps_args=" + "a" * 200_000), ("GET", "/containers/xx/top?ps_args=%22"),
    ("POST", "/containers/xx/attach?detachKeys=ctrl-"),
    ("POST", "/exec/x/resize?h=1e9&w=1"), ("GET", "/containers/json?;=;&&&==&%=%"),
]  # fmt: skip


def test_queries_of_every_kind(wherryd: Wherryd) -> None:
    sleeper = {"Image": "busybox", "Cmd": ["sleep", "1000"]}
    identifier = wherryd.call("POST", "/containers/create", sleeper).json["Id"]
    for running in (False, True):
        if running:
            wherryd.docker("start", identifier)
        for method, target in QUERIES:
            answer = wherryd.call(
                method, target.replace("/containers/xx/", f"/containers/{identifier}/"), timeout=20
            )
            assert answer.status < 500 or answer.status == 501, (target, answer.status, answer.body)
    ids = wherryd.docker("ps", "-aq").stdout.split()
    wherryd.docker("rm", "-f", *ids)


def test_execs_of_every_kind(wherryd: Wherryd) -> None:
    identifier = wherryd.docker("run", "-d", "busybox", "sleep", "1000").stdout.strip()
    good: dict[str, Any] = {"Cmd": ["true"], "AttachStdout": True}
    nul: list[dict[str, Any]] = [
        {"Cmd": ["a\0b"]}, {"Cmd": [""]}, {"Cmd": []}, {"Env": ["A=\0"]}, {"Env": [""]}, {"Env": ["=x"]},
        {"User": "\0"}, {"User": "4294967296"}, {"User": "-1"}, {"WorkingDir": "/\0"}, {"WorkingDir": "x"},
        {"DetachKeys": "\0"}, {"ConsoleSize": [-1, 1]}, {"ConsoleSize": [1]}, {"Cmd": ["x" * (1 << 20)]},
        {"Env": ["A=" + "x" * (1 << 20)]},
    ]  # fmt: skip
    bad: list[str] = []
    for field in msgspec.structs.fields(ExecConfig):
        nul += [{field.encode_name: value} for value in WRONG]
    for wrong in nul:
        answer = wherryd.call("POST", f"/containers/{identifier}/exec", {**good, **wrong})
        if answer.status == 201:
            started = wherryd.call("POST", f"/exec/{answer.json['Id']}/start", {"Detach": True})
            seen = wherryd.get(f"/exec/{answer.json['Id']}/json")
            if started.status >= 500 or seen.status != 200:
                bad.append(f"{str(wrong)[:60]}: {started.status} {started.body!r} {seen.status}")
        elif answer.status != 400:
            bad.append(f"{str(wrong)[:60]}: {answer.status} {answer.body!r}")
    wherryd.docker("rm", "-f", identifier)
    assert not bad, "\n".join(bad)
