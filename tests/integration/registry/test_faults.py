"""Registries and ways to them that do harm: every wait ends, every body is bounded, no secret goes astray."""

import asyncio
import base64
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

import errdefs
from engine.images.reference import parse
from engine.registry import errors, messages
from engine.registry.client import Registry
from engine.registry.credentials import Credentials
from engine.registry.repository import Repository
from tests.integration.registry.conftest import LAYER, read
from tests.integration.registry.servers import Handler, Harm, Proxy, Seen, serve
from tests.registries import PASSWORD, USER, Certificates, digest_of

KNOWN = Credentials(USER, PASSWORD)
BLOB = digest_of(LAYER)
Harmful = tuple[Proxy, str]
Open = Callable[..., Repository]


def _answer(**options: object) -> Callable[[web.BaseRequest], web.Response]:
    return lambda _: web.Response(**options)  # type: ignore[arg-type]


async def _fails(repository: Repository, *, offset: int = 0) -> errdefs.WherryError:
    with pytest.raises(errdefs.WherryError) as failed:
        await read(repository, BLOB, len(LAYER), offset)
    return failed.value


@pytest.mark.parametrize(
    "harm",
    [
        Harm("/blobs/", times=2, reset=True),  # an idle connection may have gone: that is tried twice at once
        Harm("/blobs/", times=1, reset=True, cut=100_000),
        Harm("/blobs/", times=1, cut=100_000),
        Harm("/blobs/", times=1, cut=0),
        Harm("/blobs/", times=1, head=_answer(status=500)),
        Harm("/blobs/", times=1, head=_answer(status=429)),
        Harm("/blobs/", times=1, head=_answer(status=408)),
    ],
    ids=["reset", "reset-within", "truncated", "nothing", "500", "429", "408"],
)
async def test_what_may_pass_is_transient(proxy: Harmful, open_repository: Open, harm: Harm) -> None:
    harmful, netloc = proxy
    harmful.harms = [harm]
    repository = open_repository(f"{netloc}/a/b")
    assert await repository.manifest("1")
    assert isinstance(await _fails(repository), errors.Transient)
    assert await read(repository, BLOB, len(LAYER)) == (0, LAYER)


async def test_what_came_before_the_end_is_kept(proxy: Harmful, open_repository: Open) -> None:
    harmful, netloc = proxy
    harmful.harms = [Harm("/blobs/", times=1, cut=100_000)]
    repository = open_repository(f"{netloc}/a/b")
    got = b""
    with contextlib.suppress(errors.Transient):
        async with repository.blob(BLOB, size=len(LAYER)) as blob:
            async for chunk in blob:
                got += chunk
    assert got == LAYER[: len(got)]
    assert len(got) == 100_000
    start, rest = await read(repository, BLOB, len(LAYER), len(got))
    assert (start, got + rest) == (100_000, LAYER)
    assert harmful.seen[-1].headers["range"] == "bytes=100000-"


@pytest.mark.parametrize(("header", "passing"), [("7", True), ("60", True), ("61", False), ("", True)])
async def test_too_many_requests(proxy: Harmful, open_repository: Open, header: str, passing: bool) -> None:
    harmful, netloc = proxy
    headers = {"Retry-After": header} if header else {}
    harmful.harms = [Harm("/manifests/", head=_answer(status=429, headers=headers, text="slow down"))]
    with pytest.raises(errdefs.SystemFailure) as failed:
        await open_repository(f"{netloc}/a/b").manifest("1")
    assert failed.value.message == "toomanyrequests: slow down"
    assert isinstance(failed.value, errors.Transient) == passing
    if isinstance(failed.value, errors.Transient):
        assert failed.value.retry_after == (float(header) if header else None)


async def test_too_many_looks(proxy: Harmful, clients: Callable[..., Registry]) -> None:
    harmful, netloc = proxy
    harmful.harms = [Harm("/manifests/", head=_answer(status=429, text="slow down"))]
    with pytest.raises(errdefs.TooManyRequests, match=r"^toomanyrequests: slow down$"):
        await clients().inspect(parse(f"{netloc}/a/b:1"), None)


async def test_a_range_that_is_ignored_begins_anew(proxy: Harmful, open_repository: Open) -> None:
    harmful, netloc = proxy
    harmful.harms = [Harm("/blobs/", without=("range",))]
    assert await read(open_repository(f"{netloc}/a/b"), BLOB, len(LAYER), 1000) == (0, LAYER)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("bytes 0-499999/500000", "does not begin at byte 1000"),
        ("bytes 1001-499999/500000", "does not begin at byte 1000"),
        ("", "does not begin at byte 1000"),
        ("bytes 1000-499999/600000", "has 600000 bytes instead of the 500000 announced"),
    ],
)
async def test_another_range_than_asked(
    proxy: Harmful, open_repository: Open, given: str, expected: str
) -> None:
    harmful, netloc = proxy
    harmful.harms = [
        Harm("/blobs/", head=_answer(status=206, headers={"Content-Range": given}, body=LAYER[1000:]))
    ]
    failure = await _fails(open_repository(f"{netloc}/a/b"), offset=1000)
    assert expected in failure.message
    assert not isinstance(failure, errors.Transient)


async def _endless(request: web.BaseRequest) -> web.StreamResponse:
    """Whatever is asked, no end of bytes."""
    if request.path == "/v2/" or request.method == "HEAD":
        return web.Response()
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.enable_chunked_encoding()
    await response.prepare(request)
    while True:
        await response.write(b"x" * 65536)


async def test_a_body_without_an_end(open_repository: Open) -> None:
    async with serve(_endless) as netloc:
        repository = open_repository(f"{netloc}/a/b")
        assert "is longer than the 500000 bytes announced" in (await _fails(repository)).message
        for ask in (repository.manifest("1"), repository.head("1"), anext(repository.tags())):
            with pytest.raises(errdefs.SystemFailure, match="the answer is larger than 4194304 bytes"):
                await ask


async def test_a_body_of_no_announced_length_that_ends_early(open_repository: Open) -> None:
    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        await response.write(LAYER[:1000])
        return response

    async with serve(handle) as netloc:
        failure = await _fails(open_repository(f"{netloc}/a/b"))
    assert isinstance(failure, errors.Transient)
    assert failure.message == f"blob {BLOB}: unexpected EOF, 499000 of 500000 bytes are missing"


@pytest.mark.parametrize("name", ["tag", "digest"])
async def test_a_manifest_that_is_another(proxy: Harmful, open_repository: Open, name: str) -> None:
    harmful, netloc = proxy
    repository = open_repository(f"{netloc}/a/b")
    digest = (await repository.manifest("1")).digest
    harmful.harms = [Harm("/manifests/", change=lambda body: body + b" ")]
    with pytest.raises(errdefs.SystemFailure) as failed:
        await repository.manifest("1" if name == "tag" else digest)
    assert failed.value.message == f"manifest verification failed for digest {digest}"


async def test_a_head_that_says_too_little(proxy: Harmful, open_repository: Open) -> None:
    harmful, netloc = proxy
    repository = open_repository(f"{netloc}/a/b")
    expected = await repository.head("1")
    for headers in ({}, {"Docker-Content-Digest": "sha256:xyz"}, {"Docker-Content-Digest": expected.digest}):
        harmful.harms = [
            Harm("/manifests/", times=1, head=_answer(status=200, headers=headers, content_type=None))
        ]
        assert await repository.head("1") == expected


async def test_bytes_that_drip(
    proxy: Harmful, open_repository: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    harmful, netloc = proxy
    harmful.harms = [Harm("/blobs/", pause=0.01)]
    monkeypatch.setattr(messages, "SILENCE", 3.0)
    async with asyncio.timeout(60):
        failure = await _fails(open_repository(f"{netloc}/a/b"))
    assert isinstance(failure, errors.Transient)
    assert "are too few" in failure.message


async def _silent(request: web.BaseRequest) -> web.StreamResponse:
    await asyncio.sleep(3600)
    return web.Response()


async def test_silence(open_repository: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "SILENCE", 0.5)
    async with serve(_silent) as netloc, asyncio.timeout(20):
        with pytest.raises(errors.Transient, match="timeout awaiting response headers"):
            await open_repository(f"{netloc}/a/b").manifest("1")


async def test_huge_headers(open_repository: Open) -> None:
    header = 'Bearer realm="' + "x" * 100_000 + '"'
    async with serve(_always(status=401, headers={"WWW-Authenticate": header})) as netloc:
        with pytest.raises(errdefs.SystemFailure) as failed:
            await open_repository(f"{netloc}/a/b").manifest("1")
    assert "malformed HTTP response" in failed.value.message
    assert len(failed.value.message) < 500


def _always(**options: object) -> Handler:
    async def answer(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(**options)  # type: ignore[arg-type]

    return answer


class Place:
    """Another place, which notes who comes, and gives the blob."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        self.seen.append(await Seen.of(request))
        begin = int(request.headers.get("Range", "bytes=0-")[6:-1])
        if not begin:
            return web.Response(body=LAYER)
        headers = {"Content-Range": f"bytes {begin}-{len(LAYER) - 1}/{len(LAYER)}"}
        return web.Response(status=206, headers=headers, body=LAYER[begin:])


@asynccontextmanager
async def _elsewhere(context: ssl.SSLContext | None = None) -> AsyncIterator[tuple[Place, str]]:
    place = Place()
    async with serve(place, context) as netloc:
        yield place, netloc


def _asking(harmful: Proxy, *harms: Harm) -> None:
    """Have the proxy ask for a password at the first request, and do harm after that."""
    basic = {"WWW-Authenticate": 'Basic realm="x"'}
    harmful.harms = [Harm("/v2/", times=1, head=_answer(status=401, headers=basic)), *harms]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_carries_the_range_and_no_credentials(
    proxy: Harmful, open_repository: Open, status: int
) -> None:
    harmful, netloc = proxy
    async with _elsewhere() as (place, other):
        location = f"http://{other}/there%2Fis/it?X-Signature=a%2Bb%2F%3D&c=d+e"
        _asking(harmful, Harm("/blobs/", head=_answer(status=status, headers={"Location": location})))
        repository = open_repository(f"{netloc}/a/b", KNOWN)
        assert await read(repository, BLOB, len(LAYER), 1000) == (1000, LAYER[1000:])
    assert harmful.seen[-1].headers["authorization"] == KNOWN.basic
    (seen,) = place.seen
    assert "authorization" not in seen.headers
    assert seen.headers["range"] == "bytes=1000-"
    assert seen.query == [("X-Signature", "a+b/="), ("c", "d e")]


async def test_a_redirect_within_keeps_credentials(proxy: Harmful, open_repository: Open) -> None:
    harmful, netloc = proxy
    location = {"Location": f"/v2/a/b/../b/blobs/{BLOB}?x"}
    _asking(harmful, Harm("/blobs/", times=1, head=_answer(status=307, headers=location)))
    assert await read(open_repository(f"{netloc}/a/b", KNOWN), BLOB, len(LAYER)) == (0, LAYER)
    assert harmful.seen[-1].headers["authorization"] == KNOWN.basic


async def test_a_redirect_away_and_back_brings_credentials_home_only(
    proxy: Harmful, open_repository: Open
) -> None:
    """Another port of the same host is another origin."""
    harmful, netloc = proxy
    seen: list[Seen] = []

    async def back(request: web.BaseRequest) -> web.StreamResponse:
        seen.append(await Seen.of(request))
        return web.Response(status=307, headers={"Location": f"http://{netloc}/v2/a/b/blobs/{BLOB}"})

    async with serve(back) as other:
        away = _answer(status=307, headers={"Location": f"http://user:word@{other}/"})
        _asking(harmful, Harm("/blobs/", times=1, head=away))
        assert await read(open_repository(f"{netloc}/a/b", KNOWN), BLOB, len(LAYER)) == (0, LAYER)
    assert ["authorization" in one.headers for one in seen] == [False]


async def test_redirects_without_an_end(proxy: Harmful, open_repository: Open) -> None:
    harmful, netloc = proxy
    loop = {"Location": f"http://{netloc}/v2/blobs/?X-Signature=secret"}
    harmful.harms = [Harm("/blobs/", head=_answer(status=307, headers=loop))]
    failure = await _fails(open_repository(f"{netloc}/a/b"))
    assert failure.message == f'Get "http://{netloc}/v2/blobs/": stopped after 10 redirects'
    assert len([one for one in harmful.seen if "/blobs/" in one.path]) == 11


@pytest.mark.parametrize("location", ["ftp://x/y", "file:///etc/passwd", "http://[::1", "http://", "//:5/x"])
async def test_redirects_to_nowhere(proxy: Harmful, open_repository: Open, location: str) -> None:
    harmful, netloc = proxy
    harmful.harms = [Harm("/blobs/", head=_answer(status=302, headers={"Location": location}))]
    failure = await _fails(open_repository(f"{netloc}/a/b"))
    assert not isinstance(failure, errors.Transient)
    assert failure.message.startswith(f'Get "http://{netloc}/v2/a/b/blobs/{BLOB}": ')


async def test_a_signature_is_not_told(proxy: Harmful, open_repository: Open) -> None:
    harmful, netloc = proxy
    async with serve(_always()) as gone:
        pass
    away = {"Location": f"http://{gone}/x?X-Signature=secret"}
    harmful.harms = [Harm("/blobs/", head=_answer(status=307, headers=away))]
    failure = await _fails(open_repository(f"{netloc}/a/b"))
    assert failure.message == f'Get "http://{gone}/x": dial tcp {gone}: connect: connection refused'


async def test_no_redirect_from_tls_to_none(
    certificates: Certificates, proxy: Harmful, open_repository: Open
) -> None:
    harmful, plain = proxy
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificates.pair("server"))
    away = {"Location": f"http://{plain}/v2/a/b/blobs/{BLOB}"}
    secured = Proxy(harmful.upstream, [Harm("/blobs/", head=_answer(status=307, headers=away))])
    async with serve(secured, context) as netloc:
        failure = await _fails(open_repository(f"{netloc}/a/b"))
    assert "refused to be redirected from HTTPS to HTTP" in failure.message
    assert harmful.seen == []


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ('</v2/a/b/tags/list?last=z>; rel="next"', None),
        ("</v2/a/b/tags/list?last=z>; rel=next", None),
        ('<http://127.0.0.1:1/v2/x>; rel="next"', "the next page is at another place"),
    ],
)
async def test_pages_of_tags(proxy: Harmful, open_repository: Open, link: str, expected: str | None) -> None:
    harmful, netloc = proxy
    page = _answer(status=200, body=b'{"tags":["x","y"]}', headers={"Link": link})
    harmful.harms = [Harm("/tags/", times=2, head=page)]
    repository = open_repository(f"{netloc}/a/b")
    if expected is None:
        assert [tag async for tag in repository.tags()] == ["x", "y", "x", "y"]
        assert harmful.seen[-1].query == [("last", "z")]  # which links to itself: that is the end
    else:
        with pytest.raises(errdefs.SystemFailure, match=expected):
            [tag async for tag in repository.tags()]


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"tags":5}', b'{"tags":[5]}', b"\xff"])
async def test_tags_that_are_nonsense(proxy: Harmful, open_repository: Open, body: bytes) -> None:
    harmful, netloc = proxy
    harmful.harms = [Harm("/tags/", head=_answer(status=200, body=body))]
    with pytest.raises(errdefs.SystemFailure, match="unable to decode the registry's list of tags"):
        [tag async for tag in open_repository(f"{netloc}/a/b").tags()]


async def test_a_proxy_on_the_way(open_repository: Open) -> None:
    """Without TLS it is asked for the whole URL, with TLS for a tunnel, which this one refuses."""
    seen: list[tuple[str, str]] = []
    known = "Basic " + base64.b64encode(b"user:word").decode()

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        seen.append((request.method, request.raw_path))
        assert request.headers["Proxy-Authorization"] == known
        if request.method == "CONNECT":
            return web.Response(status=403)
        return web.Response(text="{}" if "/v2/" in request.raw_path else "")

    async with serve(handle) as netloc:
        url = f"http://user:word@{netloc}"
        name = "r.invalid:5000"
        repository = open_repository(f"{name}/x", insecure=(name,), http_proxy=url, https_proxy=url)
        assert (await repository.manifest("1")).raw == b"{}"
        with pytest.raises(errdefs.SystemFailure) as failed:
            await open_repository("s.invalid/x", https_proxy=url).manifest("1")
    assert ("CONNECT", "r.invalid:5000") in seen
    assert ("GET", "http://r.invalid:5000/v2/x/manifests/1") in seen
    assert failed.value.message == 'Get "https://s.invalid/v2/": proxyconnect tcp: 403 Forbidden'
