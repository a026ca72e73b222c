"""`docker import http://…`: fetched by the daemon, told as it comes, given up with the client."""

import asyncio
import gzip
import json
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import pytest
from aiohttp import web

import errdefs
from engine.registry.client import Registry
from engine.registry.download import Source
from tests.daemon import Wherryd
from tests.integration.images.archives import tar
from tests.integration.registry.servers import Seen, serve
from tests.registries import Certificates

pytestmark = pytest.mark.root

ROOTFS = tar({"etc/hello": b"hello\n"})
LARGE = tar({"large": b"x" * (3 << 20)})
BASIC = "Basic dXNlcjpzZWNyZXQtd29yZA=="  # user:secret-word


@dataclass
class Files:
    """Files, redirects to them, refusals, and one that comes a byte at a time."""

    seen: list[Seen] = field(default_factory=list)
    elsewhere: str = ""
    left: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        self.seen.append(await Seen.of(request))
        if request.path in ("/rootfs.tar", "/guarded"):
            return web.Response(body=ROOTFS)
        if request.path == "/rootfs.tar.gz":
            return web.Response(body=gzip.compress(ROOTFS))
        if request.path == "/large":
            return web.Response(body=LARGE)
        if request.path == "/moved":
            return web.Response(status=302, headers={"Location": self.elsewhere})
        if request.path == "/text":
            return web.Response(text="this is no archive")
        if request.path in ("/slow", "/cut"):
            return await self._slow(request, cut=request.path == "/cut")
        return web.Response(status=int(request.path[1:]), text=" the reason\n")

    async def _slow(self, request: web.BaseRequest, *, cut: bool) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(len(LARGE))})
        await response.prepare(request)
        try:
            for at in range(0, len(LARGE), 16384):
                await response.write(LARGE[at : at + 16384])
                await asyncio.sleep(0 if cut else 0.1)
                if cut and at > 1 << 20:
                    assert request.transport is not None
                    request.transport.abort()
        except ConnectionError:
            self.left.set()
        return response


@pytest.fixture
async def files() -> AsyncIterator[tuple[Files, str]]:
    """The files, and the host and port that has them."""
    made = Files()
    async with serve(made) as netloc:
        yield made, netloc


async def _create(wherryd: Wherryd, source: str, more: str = "") -> tuple[int, list[dict[str, Any]]]:
    target = f"/v1.45/images/create?fromSrc={quote(source)}{more}"
    answer = await asyncio.to_thread(wherryd.call, "POST", target)
    return answer.status, [json.loads(line) for line in answer.body.splitlines()]


async def _gone(wherryd: Wherryd, image_id: str) -> None:
    await asyncio.to_thread(wherryd.call, "DELETE", f"/v1.45/images/{image_id}")


async def _inspected(wherryd: Wherryd, name: str) -> Any:
    return (await asyncio.to_thread(wherryd.get, f"/v1.45/images/{name}/json")).json


async def test_docker_import(files: tuple[Files, str], wherryd: Wherryd) -> None:
    _, netloc = files
    args = ("import", "--change", 'CMD ["x"]', f"http://{netloc}/rootfs.tar", "by-url:1")
    done = await asyncio.to_thread(wherryd.docker, *args)
    assert done.stdout.splitlines()[0] == f"Downloading from http://{netloc}/rootfs.tar"
    image = await _inspected(wherryd, "by-url:1")
    assert done.stdout.splitlines()[-1] == image["Id"]
    assert image["Config"]["Cmd"] == ["x"]
    assert image["Comment"] == f"Imported from http://{netloc}/rootfs.tar"
    await _gone(wherryd, "by-url:1")


async def test_what_is_told(files: tuple[Files, str], wherryd: Wherryd) -> None:
    _, netloc = files
    status, told = await _create(wherryd, f"http://{netloc}/large")
    assert status == 200
    assert told[0] == {"status": f"Downloading from http://{netloc}/large"}
    assert {line["status"] for line in told[1:-1]} == {"Importing"}
    assert told[-2]["progressDetail"] == {"current": len(LARGE), "total": len(LARGE)}
    await _gone(wherryd, told[-1]["status"])


async def test_without_a_scheme_and_redirected(files: tuple[Files, str], wherryd: Wherryd) -> None:
    made, netloc = files
    async with serve(made) as other:
        made.elsewhere = f"http://{other}/rootfs.tar.gz"
        status, told = await _create(wherryd, f"{netloc}/moved")
    assert (status, told[0]["status"]) == (200, f"Downloading from http://{netloc}/moved")
    await _gone(wherryd, told[-1]["status"])


async def test_a_password_goes_to_its_host_alone(files: tuple[Files, str], wherryd: Wherryd) -> None:
    made, netloc = files
    async with serve(made) as other:
        made.elsewhere = f"http://{other}/rootfs.tar"
        status, told = await _create(wherryd, f"http://user:secret-word@{netloc}/moved")
    assert status == 200
    assert [each.headers.get("authorization") for each in made.seen] == [BASIC, None]
    image = await _inspected(wherryd, told[-1]["status"])
    assert image["Comment"] == f"Imported from http://{netloc}/moved"
    assert "secret-word" not in json.dumps([told, image])
    assert "secret-word" not in wherryd.log.read_text()
    await _gone(wherryd, image["Id"])


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("http://{}/404", 404, "failed to GET http://{}/404 with status 404 Not Found: the reason"),
        ("http://{}/400", 400, "failed to GET http://{}/400 with status 400 Bad Request: the reason"),
        ("{}/401", 401, "failed to GET http://{}/401 with status 401 Unauthorized: the reason"),
        ("{}/403", 403, "failed to GET http://{}/403 with status 403 Forbidden: the reason"),
        ("{}/503", 500, "failed to GET http://{}/503 with status 503 Service Unavailable: the reason"),
        ("http://127.0.0.1:1/x", 500, 'Get "http://127.0.0.1:1/x": dial tcp 127.0.0.1:1: connect: connection refused'),
        ("file:///etc/passwd", 400, 'Get "file:///etc/passwd": unsupported protocol scheme "file"'),
        ("", 400, 'Get "http:": http: no Host in request URL'),
        ("/etc/passwd", 400, 'Get "http:///etc/passwd": http: no Host in request URL'),
        ("http://a b/", 400, 'parse "http://a b/": invalid character " " in host name'),
        ("http://user:secret@a:b/", 400, 'parse "http://a:b/": invalid URL'),
    ],
)  # fmt: skip
async def test_failures(
    files: tuple[Files, str], wherryd: Wherryd, path: str, status: int, text: str
) -> None:
    _, netloc = files
    assert await _create(wherryd, path.format(netloc)) == (status, [{"message": text.format(netloc)}])


async def test_nothing_is_fetched_for_what_cannot_be(files: tuple[Files, str], wherryd: Wherryd) -> None:
    made, netloc = files
    for more in ("&repo=UPPER", "&repo=x&tag=a%20b", "&platform=a/b/c/d"):
        status, _ = await _create(wherryd, f"http://{netloc}/rootfs.tar", more)
        assert status == 400
    assert made.seen == []


@pytest.mark.parametrize(("path", "text"), [("cut", "unexpected EOF"), ("text", "the archive is truncated")])
async def test_what_is_no_archive(files: tuple[Files, str], wherryd: Wherryd, path: str, text: str) -> None:
    """It fails in the stream; that nothing is left of it is seen around each test."""
    status, told = await _create(wherryd, f"http://{files[1]}/{path}")
    assert (status, text in told[-1]["error"]) == (200, True)


async def test_a_client_that_goes_away(files: tuple[Files, str], wherryd: Wherryd) -> None:
    made, netloc = files
    reader, writer = await asyncio.open_unix_connection(str(wherryd.socket))
    target = f"/v1.45/images/create?fromSrc=http://{netloc}/slow"
    writer.write(f"POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode())
    await reader.readuntil(b"Importing")
    writer.close()
    await asyncio.wait_for(made.left.wait(), 10)


async def test_tls_is_believed_by_the_systems_authorities(
    clients: Callable[..., Registry], certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificates.pair("server"))
    async with serve(Files(), context) as netloc:
        source = Source(f"https://{netloc}/rootfs.tar")
        with pytest.raises(errdefs.SystemFailure, match="certificate signed by unknown authority"):
            async with clients().download(source):
                pass
        monkeypatch.setenv("SSL_CERT_FILE", str(certificates.authority))
        async with clients().download(source) as found:
            assert b"".join([chunk async for chunk in found.chunks()]) == ROOTFS
