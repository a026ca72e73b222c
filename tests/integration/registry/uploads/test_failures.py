"""What is tried again, and what is told of a blob that a registry does not take."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

import errdefs
from engine.images import uploading
from engine.registry import errors, messages
from tests.integration.registry.servers import serve
from tests.integration.registry.taking import Taking
from tests.integration.registry.uploads.parcel import BLOB, DIGEST, Send


@pytest.mark.parametrize(
    ("answer", "requests"),
    [
        (web.Response(status=500), 2),
        (web.Response(status=503, headers={"Retry-After": "1"}), 2),
        (web.Response(status=429, headers={"Retry-After": "1"}), 2),
        (web.json_response({"errors": [{"code": "BLOB_UPLOAD_UNKNOWN"}]}, status=404), 2),
    ],
    ids=["500", "503", "429", "forgotten"],
)
async def test_what_may_pass(send: Send, answer: web.Response, requests: int) -> None:
    taking = Taking(answers=[answer])
    async with serve(taking) as netloc:
        await send(f"{netloc}/a/b")
    assert taking.blobs == {DIGEST: BLOB}
    assert taking.methods.count("PUT") == requests


@pytest.mark.parametrize(
    ("status", "code", "text"),
    [
        (401, "UNAUTHORIZED", "unauthorized: authentication required"),
        (403, "DENIED", "denied: requested access to the resource is denied"),
        (400, "NAME_INVALID", "name invalid: the name is bad"),
    ],
)
async def test_a_refusal_is_told_at_once(send: Send, status: int, code: str, text: str) -> None:
    message = text.partition(": ")[2]
    body = {"errors": [{"code": code, "message": message, "detail": {}}]}
    taking = Taking(answers=[web.json_response(body, status=status)])
    async with serve(taking) as netloc:
        with pytest.raises(errdefs.SystemFailure) as failed:
            await send(f"{netloc}/a/b")
    assert failed.value.message == text
    assert taking.methods == ["POST", "PUT"]


async def test_a_host_that_takes_nothing(send: Send, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that nobody reads is given up."""
    monkeypatch.setattr(messages, "SILENCE", 0.5)
    monkeypatch.setattr(uploading, "ATTEMPTS", 1)

    async def silent(request: web.BaseRequest) -> web.StreamResponse:
        if request.method == "POST":
            return web.Response(status=202, headers={"Location": request.path + "x"})
        if request.method == "PUT":
            request.transport.pause_reading()  # type: ignore[union-attr]
            await asyncio.sleep(3600)
        return web.Response(status=200 if request.path == "/v2/" else 404)

    async with serve(silent) as netloc, asyncio.timeout(30):
        with pytest.raises(errors.Transient, match="timeout"):
            await send(f"{netloc}/a/b")


async def test_an_answer_before_the_end_is_heard(send: Send) -> None:
    """It is known why, although nobody reads the rest."""

    async def hasty(request: web.BaseRequest) -> web.StreamResponse:
        if request.method == "POST":
            return web.Response(status=202, headers={"Location": request.path + "x"})
        if request.method == "PUT":
            body = {"errors": [{"code": "DENIED", "message": "the quota is used up", "detail": {}}]}
            return web.json_response(body, status=403)
        return web.Response(status=200 if request.path == "/v2/" else 404)

    async with serve(hasty) as netloc:
        with pytest.raises(errdefs.SystemFailure) as failed:
            await send(f"{netloc}/a/b")
    assert failed.value.message == "denied: the quota is used up"


async def test_a_look_that_fails_says_nothing(send: Send) -> None:
    """What cannot be told of a blob by HEAD is told when it is sent."""
    taking = Taking()

    async def blind(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=500) if request.method == "HEAD" else await taking(request)

    async with serve(blind) as netloc:
        assert await send(f"{netloc}/a/b") == ["Pushing", "Pushed"]


async def test_nobody_answers(send: Send) -> None:
    with pytest.raises(errdefs.SystemFailure) as failed:
        await send("127.0.0.1:1/a/b")
    assert failed.value.message == (
        'Get "http://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused'
    )


@pytest.mark.parametrize(
    ("status", "body", "text"),
    [
        (  # ECR: nobody has made the repository
            404,
            {"errors": [{"code": "NAME_UNKNOWN", "message": "The repository with name 'a' does not exist"}]},
            "name unknown: The repository with name 'a' does not exist",
        ),
        (  # Harbor: a quota
            403,
            {
                "errors": [
                    {"code": "DENIED", "message": "adding 8.0 MiB of storage resource will exceed the limit"}
                ]
            },
            "denied: adding 8.0 MiB of storage resource will exceed the limit",
        ),
        (  # GHCR: a token that may not
            403,
            {"errors": [{"code": "DENIED", "message": "permission_denied: create_package"}]},
            "denied: permission_denied: create_package",
        ),
        (405, {"errors": [{"code": "UNSUPPORTED"}]}, "unsupported"),
    ],
    ids=["ecr", "harbor", "ghcr", "read-only"],
)
async def test_what_registries_say(send: Send, status: int, body: dict[str, Any], text: str) -> None:
    """It is told at once, and once."""
    asked: list[str] = []

    async def refusing(request: web.BaseRequest) -> web.StreamResponse:
        asked.append(request.method)
        if request.method == "POST":
            return web.json_response(body, status=status)
        return web.Response(status=200 if request.path == "/v2/" else 404)

    async with serve(refusing) as netloc:
        with pytest.raises(errdefs.SystemFailure) as failed:
            await send(f"{netloc}/a/b")
    assert failed.value.message == text
    assert asked == ["GET", "HEAD", "POST"]


async def test_docker_hubs_words(send: Send) -> None:
    """Challenge and body both say something."""
    challenge = (
        'Bearer realm="{}/token",service="hub",scope="repository:a/b:pull,push",error="insufficient_scope"'
    )

    async def hub(request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/token":
            return web.json_response({"token": "of-anybody"})
        known = request.headers.get("Authorization") == "Bearer of-anybody"
        if request.method == "HEAD" and known:
            return web.Response(status=404)
        body = {"errors": [{"code": "UNAUTHORIZED", "message": "authentication required", "detail": []}]}
        headers = {"WWW-Authenticate": challenge.format(f"http://{request.host}")}
        return web.json_response(body, status=401, headers=headers)

    async with serve(hub) as netloc:
        with pytest.raises(errdefs.SystemFailure) as failed:
            await send(f"{netloc}/a/b")
    assert failed.value.message == (
        "errors:\ndenied: requested access to the resource is denied\nunauthorized: authentication required\n"
    )


async def test_a_file_that_is_not_what_it_was(send: Send, tmp_path: Path) -> None:
    """Nothing is wrong with the registry: it is not tried again."""
    (blob,) = (tmp_path / "content/blobs/sha256").iterdir()
    taking = Taking()
    async with serve(taking) as netloc:
        blob.write_bytes(BLOB[:1000])
        with pytest.raises(errdefs.SystemFailure, match="is shorter than it was"):
            await send(f"{netloc}/a/b")
        blob.unlink()
        with pytest.raises(errdefs.SystemFailure, match="cannot read the blob"):
            await send(f"{netloc}/a/b")
    assert taking.blobs == {}
    assert taking.methods.count("POST") == 2
