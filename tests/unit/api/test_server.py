import asyncio
import json

import pytest

import errdefs
from tests.unit.api.conftest import VERSION, Served
from tests.unit.api.samples import ID


async def test_ping_tells_what_it_speaks(served: Served) -> None:
    async with served.session.get("http://d/_ping") as answer:
        assert await answer.text() == "OK"
        assert answer.headers["Api-Version"] == "1.55"
        assert answer.headers["Docker-Experimental"] == "false"
        assert answer.headers["Ostype"] == "linux"
        assert answer.headers["Server"] == f"Docker/{VERSION} (linux)"
        assert answer.headers["Cache-Control"] == "no-cache, no-store, must-revalidate"
        assert answer.headers["Pragma"] == "no-cache"
        assert answer.headers["Swarm"] == "inactive"
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"


async def test_head_ping_has_no_body(served: Served) -> None:
    answer = await served.raw(b"HEAD /_ping HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Content-Length: 0" in head
    assert body == b""


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/v1.24/_ping", 200, "OK"),
        ("/v1.55/_ping", 200, "OK"),
        ("/v1.44.0/_ping", 200, "OK"),
        (
            "/v1.23/_ping",
            400,
            (
                "client version 1.23 is too old. Minimum supported API version is 1.24, "
                "please upgrade your client to a newer version"
            ),
        ),
        ("/v1.56/_ping", 400, "client version 1.56 is too new. Maximum supported API version is 1.55"),
        ("/v1.999/_ping", 400, "client version 1.999 is too new. Maximum supported API version is 1.55"),
        ("/v" + "9" * 5000 + "/_ping", 400, "client version 99999"),
        ("/v1.55/nope", 404, "page not found"),
        ("/v9.99/nope", 404, "page not found"),
        ("/vx/_ping", 404, "page not found"),
        ("/_ping/", 404, "page not found"),
        ("/", 404, "page not found"),
    ],
)
async def test_versions(served: Served, path: str, status: int, text: str) -> None:
    found, body = await served.ask("GET", path)
    assert found == status
    message = body["message"] if isinstance(body, dict) else body
    assert message.startswith(text)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "TRACE", "HEAD", "POST"])
async def test_other_methods_are_not_found(served: Served, method: str) -> None:
    status, _ = await served.ask(method, "/version")
    assert status == 404


async def test_options_is_answered_everywhere(served: Served) -> None:
    assert await served.ask("OPTIONS", "/anything") == (200, "")


@pytest.mark.parametrize(
    ("path", "location"),
    [
        (b"//v1.44/_ping", b"/v1.44/_ping"),
        (b"/v1.45/../v1.24/_ping", b"/v1.24/_ping"),
        (b"/v1.45/%2e%2e/info?a=b", b"/info?a=b"),
        (b"/containers//json", b"/containers/json"),
    ],
)
async def test_unclean_paths_are_redirected(served: Served, path: bytes, location: bytes) -> None:
    answer = await served.raw(b"GET " + path + b" HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 301 ")
    assert b"Location: " + location + b"\r\n" in answer


async def test_absolute_targets(served: Served) -> None:
    answer = await served.raw(b"GET http://d/v1.44/_ping HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ")


async def test_names_may_hold_slashes_and_escapes(served: Served) -> None:
    served.engine.images.records[0].references.append("reg.io:5000/a/b:c")
    for path in ("reg.io:5000/a/b:c", "reg.io:5000%2Fa%2Fb%3Ac"):
        status, body = await served.ask("GET", f"/images/{path}/json")
        assert (status, body["RepoTags"][-1]) == (200, "reg.io:5000/a/b:c")


async def test_leading_slash_of_a_container_name(served: Served) -> None:
    status, body = await served.ask("GET", "/containers/%2Fbox/json")
    assert status in (200, 301)
    assert body is not None


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (errdefs.InvalidArgument("m"), 400),
        (errdefs.Unauthorized("m"), 401),
        (errdefs.Forbidden("m"), 403),
        (errdefs.NotFound("m"), 404),
        (errdefs.Conflict("m"), 409),
        (errdefs.SystemFailure("m"), 500),
        (errdefs.Unsupported("m"), 501),
        (errdefs.Unavailable("m"), 503),
    ],
)
async def test_classes_of_failure(served: Served, failure: Exception, status: int) -> None:
    served.engine.containers.failure = failure
    assert await served.ask("POST", f"/containers/{ID}/start") == (status, {"message": "m"})


async def test_not_modified_has_no_body(served: Served) -> None:
    served.engine.containers.failure = errdefs.NotModified("already started")
    assert await served.ask("POST", f"/containers/{ID}/start") == (304, "")


async def test_subclasses_of_failures_have_the_status_of_their_class(served: Served) -> None:
    class Special(errdefs.Conflict):
        pass

    served.engine.containers.failure = Special("m")
    assert await served.ask("POST", f"/containers/{ID}/start") == (409, {"message": "m"})


@pytest.mark.parametrize(
    "failure", [RuntimeError("secret"), ConnectionRefusedError("secret"), KeyError("secret")]
)
async def test_the_unexpected_is_told_without_detail(
    served: Served, failure: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    served.engine.containers.failure = failure
    status, body = await served.ask("POST", f"/containers/{ID}/start")
    assert status == 500
    assert "secret" not in body["message"]
    assert "POST /containers/{name}/start" in caplog.text
    assert "secret" in caplog.text


@pytest.mark.parametrize(
    "request_",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /_ping HTTP/9.9\r\nHost: d\r\n\r\n",
        b"GET /_ping HTTP/1.1\r\nHost: d\r\nContent-Length: x\r\n\r\n",
        b"POST /_ping HTTP/1.1\r\nHost: d\r\nContent-Length: 3, 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET /_ping HTTP/1.1\r\nHost: d\r\nX: " + b"y" * 300_000 + b"\r\n\r\n",
        b"GET /" + b"y" * 300_000 + b" HTTP/1.1\r\nHost: d\r\n\r\n",
        b"GET /_ping HTTP/1.1\r\nHost: d\r\n" + b"".join(b"X%d: y\r\n" % n for n in range(1000)) + b"\r\n",
    ],
)
async def test_what_is_no_http_is_refused_in_dockers_form(served: Served, request_: bytes) -> None:
    answer = await served.raw(request_)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1."), answer[:200]
    assert head.split()[1] == b"400"
    assert json.loads(body)["message"].startswith("malformed request: ")


async def test_long_filters_fit_in_the_request_line(served: Served) -> None:
    filters = json.dumps({"label": ["x" * 200_000]})
    status, body = await served.ask("GET", "/containers/json", params={"filters": filters})
    assert (status, body) == (200, [])


async def test_unbuilt_endpoints_say_so_by_name(served: Served) -> None:
    status, body = await served.ask("POST", "/v1.44/containers/box/checkpoints")
    assert status == 501
    text = "checkpoints: not supported by this version of wherry (POST /containers/{name}/checkpoints)"
    assert body["message"] == text


async def test_swarm_is_answered_as_outside_a_swarm(served: Served) -> None:
    status, body = await served.ask("GET", "/nodes")
    assert status == 503
    assert body["message"].startswith("This node is not a swarm manager.")
    assert (await served.ask("POST", "/swarm/leave"))[0] == 503
    assert await served.ask("GET", "/plugins") == (200, [])


async def test_keep_alive(served: Served) -> None:
    reader, writer = await served.connect()
    for _ in range(3):
        writer.write(b"GET /v1.44/_ping HTTP/1.1\r\nHost: d\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        assert await reader.readexactly(2) == b"OK"
    writer.close()


async def test_a_head_that_does_not_end_ends_the_connection(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.connection.HEAD_TIMEOUT", 0.05)
    assert await served.raw(b"GET /_ping HTTP/1.1\r\nHost: d\r\nX-Slow: ") == b""


async def test_an_idle_connection_is_kept_longer_than_a_head_may_take(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer = await served.connect()
    for _ in range(3):
        writer.write(b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n")
        await reader.readuntil(b"\r\n\r\nOK")
        monkeypatch.setattr("api.connection.HEAD_TIMEOUT", 0.02)
        await asyncio.sleep(0.06)
    assert not reader.at_eof()
    writer.close()
