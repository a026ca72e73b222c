"""Which way a blob takes: mounted, by redirects, together with others; and where credentials do not go."""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import web

from engine.images.reference import parse
from engine.images.uploading import Destination, Parcel, Sendings
from engine.registry.client import Registry
from tests.integration.registry.servers import Proxy, Seen, serve
from tests.integration.registry.taking import Taking
from tests.integration.registry.uploads.parcel import BLOB, DIGEST, KNOWN, Send
from tests.registries import DebianRegistry


@pytest.mark.parametrize("away", [False, True])
async def test_where_the_upload_goes_on(send: Send, away: bool) -> None:
    """At another host nobody learns the password; neither do redirects tell it."""
    other = Taking(cut=300_000, cuts=2)
    async with serve(other) as elsewhere:
        there = f"http://{elsewhere}" if away else ""
        taking = Taking(location=lambda path: f"{there}{path}?X-Signature=a%2Bb%3D")
        asking = _Asking(taking, other)
        async with serve(asking) as netloc:
            await send(f"{netloc}/a/b", KNOWN)
    assert asking.let_in
    assert all("authorization" not in one.headers for one in other.seen)
    if away:
        assert other.blobs == {DIGEST: BLOB}
        assert other.seen[0].query[0] == ("X-Signature", "a+b=")


class _Asking:
    """Asks for a password before it lets anybody to a registry; what that opens is open at the other one, too."""

    def __init__(self, taking: Taking, other: Taking) -> None:
        self.let_in = 0
        self._taking = taking
        self._other = other

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.headers.get("Authorization") != KNOWN.basic:
            return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="x"'})
        self.let_in += 1
        answer = await self._taking(request)
        self._other.uploads.update(
            {name: bytearray() for name in self._taking.uploads.keys() - self._other.uploads.keys()}
        )
        return answer


@pytest.mark.parametrize("status", [307, 308])
async def test_a_redirected_body(send: Send, status: int) -> None:
    seen: list[Seen] = []

    async def redirecting(request: web.BaseRequest) -> web.StreamResponse:
        if request.headers.get("Authorization") != KNOWN.basic:
            return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="x"'})
        if request.method == "POST":
            return web.Response(status=202, headers={"Location": request.path + "x"})
        if request.method == "PUT":
            await request.content.read()
            return web.Response(status=status, headers={"Location": f"http://{other}{request.path_qs}"})
        return web.Response(status=200 if request.path == "/v2/" else 404)

    async def there(request: web.BaseRequest) -> web.StreamResponse:
        seen.append(
            Seen(request.method, request.path, [], {k.lower(): v for k, v in request.headers.items()})
        )
        assert await request.content.read() == BLOB
        return web.Response(status=201)

    async with serve(there) as other, serve(redirecting) as netloc:
        await send(f"{netloc}/a/b", KNOWN)
    assert [one.method for one in seen] == ["PUT"]
    assert "authorization" not in seen[0].headers


async def test_mounted(send: Send, plain: DebianRegistry) -> None:
    """Debian's registry has the blob elsewhere: no byte of it is sent."""
    await asyncio.to_thread(plain.put_blob, "push/source", BLOB)
    proxy = Proxy(f"http://{plain.netloc}")
    async with serve(proxy) as netloc:
        name = f"{netloc}/push/target{random.getrandbits(32)}"
        assert await send(name, sources=("push/none", "push/source")) == ["Mounted from push/source"]
        assert proxy.sent == 0
        assert await send(name) == ["Layer already exists"]
    mounts = [one.query for one in proxy.seen if one.method == "POST"]
    assert mounts == [[("mount", DIGEST), ("from", source)] for source in ("push/none", "push/source")]
    assert [one.method for one in proxy.seen].count("DELETE") == 1, "the first one's upload is not left open"


@pytest.mark.parametrize("status", [401, 403, 404, 405])
async def test_a_registry_that_mounts_nothing(send: Send, status: int) -> None:
    """As registries that have no mounts, or forbid them between these two: it is sent."""
    taking = Taking()

    async def mountless(request: web.BaseRequest) -> web.StreamResponse:
        if "mount" in request.query:
            return web.json_response({"errors": [{"code": "UNSUPPORTED"}]}, status=status)
        return await taking(request)

    async with serve(mountless) as netloc:
        assert await send(f"{netloc}/a/b", sources=("a/c", "a/d")) == ["Pushing", "Pushed"]
    assert taking.blobs == {DIGEST: BLOB}


async def test_one_upload_for_all_who_want_it(send: Send) -> None:
    """With the same credentials; who has others is not let in by them."""
    taking = Taking()
    others = asyncio.Barrier(2)

    async def meeting(request: web.BaseRequest) -> web.StreamResponse:
        if request.method == "POST":
            await others.wait()
        return await taking(request)

    async with serve(meeting) as netloc, asyncio.timeout(30):
        name = f"{netloc}/a/b"
        await asyncio.gather(*(send(name, who) for who in (None, KNOWN, None, KNOWN)))
        assert taking.methods.count("PUT") == 2


async def test_who_goes_away_ends_nobody_elses_upload(
    sendings: Sendings, clients: Callable[..., Registry]
) -> None:
    taking = Taking()
    begun, going_on = asyncio.Event(), asyncio.Event()

    async def waiting(request: web.BaseRequest) -> web.StreamResponse:
        if request.method == "PUT":
            begun.set()
            await going_on.wait()
        return await taking(request)

    async with serve(waiting) as netloc, asyncio.TaskGroup() as group:
        name = parse(f"{netloc}/a/b")
        writing = await clients().repository(name, None, ("push", "pull")).uploads()
        destination = Destination(name=name, credentials=None, uploads=writing)
        parcel = Parcel(shown="layer", digest=DIGEST, size=len(BLOB))

        async def one() -> None:
            async with sendings.send(destination, parcel, lambda _: None):
                pass

        first, second = group.create_task(one()), group.create_task(one())
        await begun.wait()
        first.cancel()
        await asyncio.wait([first])
        going_on.set()
        await second
    assert taking.blobs == {DIGEST: BLOB}
    assert taking.methods == ["POST", "PUT"]


async def test_mirrors_are_not_pushed_to(send: Send, tmp_path: Path) -> None:
    directory = tmp_path / "certs.d/r.example"
    directory.mkdir(parents=True)
    mirror, own = Taking(), Taking()
    async with serve(mirror) as at_mirror, serve(own) as at_own:
        (directory / "hosts.toml").write_text(
            f'server = "http://{at_own}"\n[host."http://{at_mirror}"]\ncapabilities = ["pull", "resolve"]\n'
        )
        await send("r.example/a/b")
        assert own.blobs == {DIGEST: BLOB}
        assert mirror.seen == []


async def test_a_token_that_ends_on_the_way(send: Send) -> None:
    """The body is sent once more, with a new one."""
    taking, given = Taking(), ["third", "second", "first"]
    good = ["first"]

    async def by_token(request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/token":
            return web.json_response({"token": given.pop()})
        if request.method == "PUT" and good == ["first"]:
            await request.content.read()
            good[0] = "second"
        if request.headers.get("Authorization") != f"Bearer {good[0]}":
            realm = f'Bearer realm="http://{request.host}/token",service="x"'
            return web.Response(status=401, headers={"WWW-Authenticate": realm})
        return await taking(request)

    async with serve(by_token) as netloc:
        assert await send(f"{netloc}/a/b") == ["Pushing", "Pushed"]
    assert taking.blobs == {DIGEST: BLOB}
    assert given == ["third"]
