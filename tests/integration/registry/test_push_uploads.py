"""Blobs on their way into registries: in one, in parts, gone on with, mounted; and where credentials do not go."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

import errdefs
from engine.images import uploading
from engine.images.attempts import Attempts
from engine.images.reference import parse
from engine.images.uploading import Destination, Parcel, Sendings
from engine.progress import Message
from engine.registry import errors, exchange, uploads
from engine.registry.client import Registry
from engine.registry.credentials import Credentials
from runtime.content.local import LocalContentStore
from tests.integration.registry.servers import Harm, Proxy, Seen, serve
from tests.integration.registry.taking import Taking
from tests.registries import PASSWORD, USER, DebianRegistry, digest_of

KNOWN = Credentials(USER, PASSWORD)
BLOB = random.Random(7).randbytes(8 << 20)
DIGEST = digest_of(BLOB)
Send = Callable[..., Coroutine[Any, Any, list[str]]]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test waits for another attempt."""

    async def at_once(self: object, seconds: float) -> None:
        del self, seconds

    monkeypatch.setattr(Attempts, "_wait", at_once)


@pytest.fixture
async def sendings(tmp_path: Path) -> Sendings:
    """Over a store with the blob."""
    content = await LocalContentStore.open(tmp_path / "content")
    await content.put(BLOB)
    return Sendings(content, at_once=3)


@pytest.fixture
async def send(sendings: Sendings, clients: Callable[..., Registry]) -> Send:
    """Send the blob into a repository; what its line of progress said, each once."""

    async def run(
        name: str, credentials: Credentials | None = None, sources: tuple[str, ...] = (), **settings: object
    ) -> list[str]:
        repository = clients(**settings).repository(parse(name), credentials, ("push", "pull"))
        destination = Destination(
            name=parse(name), credentials=credentials, uploads=await repository.uploads()
        )
        said: list[str] = []

        def note(message: Message) -> None:
            if message.status not in said:
                said.append(message.status)

        parcel = Parcel(shown="layer", digest=DIGEST, size=len(BLOB), sources=sources)
        async with sendings.send(destination, parcel, note):
            return said

    return run


async def test_in_one(send: Send) -> None:
    taking = Taking()
    async with serve(taking) as netloc:
        assert await send(f"{netloc}/a/b") == ["Pushing", "Pushed"]
        assert await send(f"{netloc}/a/b") == ["Layer already exists"]
    assert taking.methods == ["POST", "PUT"]
    assert taking.blobs == {DIGEST: BLOB}
    (put,) = [one for one in taking.seen if one.method == "PUT"]
    assert put.headers["content-length"] == str(len(BLOB))


async def test_ten_breaks_cost_next_to_nothing(send: Send) -> None:
    """A registry that keeps what came is asked for it, and sent the rest."""
    taking = Taking(cut=1, cuts=10)
    async with serve(taking) as netloc:
        await send(f"{netloc}/a/b")
    assert taking.blobs == {DIGEST: BLOB}
    assert taking.cuts == 0
    assert taking.received <= 1.05 * len(BLOB)
    assert taking.methods.count("GET") == 10


async def test_ten_breaks_where_what_came_is_lost(send: Send, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the first one it is sent in parts: what each further one costs is less than a part."""
    monkeypatch.setattr(uploads, "PART", 200_000)
    taking = Taking(cut=100_000, cuts=10, keeps=False)
    async with serve(taking) as netloc:
        monkeypatch.setattr(uploading, "ATTEMPTS", 12)
        await send(f"{netloc}/a/b")
    assert taking.blobs == {DIGEST: BLOB}
    assert taking.received <= len(BLOB) + 10 * 200_000


async def test_breaks_before_debians_registry(
    send: Send, plain: DebianRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It forgets an upload of which a request broke off: then the blob is begun anew, and comes."""
    name = f"push/broken{random.getrandbits(32)}"
    cut = _Cutting(plain.port, cut=1 << 20, cuts=3)
    async with cut as netloc:
        await send(f"{netloc}/{name}")
        assert cut.cuts == 0
        assert await send(f"{netloc}/{name}") == ["Layer already exists"]


class _Cutting:
    """Passes bytes on, and resets connections after so many of a client's."""

    def __init__(self, port: int, *, cut: int, cuts: int) -> None:
        self.cuts = cuts
        self._port = port
        self._cut = cut

    async def __aenter__(self) -> str:
        self._server = await asyncio.start_server(self._pass, "127.0.0.1", 0)
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aexit__(self, *error: object) -> None:
        self._server.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upper_reader, upper_writer = await asyncio.open_connection("127.0.0.1", self._port)

        async def down() -> None:
            while data := await upper_reader.read(1 << 16):
                writer.write(data)
                await writer.drain()

        answering = asyncio.get_running_loop().create_task(down())
        came = 0
        try:
            while data := await reader.read(1 << 16):
                came += len(data)
                upper_writer.write(data)
                await upper_writer.drain()
                if came > self._cut and self.cuts:
                    self.cuts -= 1
                    return
        except ConnectionError:
            pass
        finally:
            answering.cancel()
            writer.transport.abort()
            upper_writer.transport.abort()


async def test_too_large_for_one(send: Send, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "PART", 1 << 20)
    taking = Taking(largest=1 << 20)
    async with serve(taking) as netloc:
        await send(f"{netloc}/a/b")
    assert taking.methods == ["POST", "PUT", "POST", *["PATCH"] * 8, "PUT"]
    ranges = [one.headers["content-range"] for one in taking.seen if one.method == "PATCH"]
    assert ranges[0] == "0-1048575"
    assert ranges[-1] == f"{7 << 20}-{len(BLOB) - 1}"


async def test_a_registry_says_how_large_parts_have_to_be(
    send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "PART", 1 << 20)
    taking = Taking(largest=3 << 20, least=3 << 20)
    async with serve(taking) as netloc:
        await send(f"{netloc}/a/b")
    assert taking.methods.count("PATCH") == 3


@pytest.mark.parametrize("status", [404, 405, 416])
async def test_a_registry_without_parts(send: Send, status: int) -> None:
    """After a break it is tried in parts, and then in one again."""
    taking = Taking(cut=300_000, cuts=1, parts=False, refusal=status)
    async with serve(taking) as netloc:
        await send(f"{netloc}/a/b")
    assert taking.blobs == {DIGEST: BLOB}
    assert taking.methods == ["POST", "PUT", "GET", "PATCH", "POST", "PUT"]


async def test_nothing_helps_against_too_little_room(send: Send) -> None:
    taking = Taking(largest=1000)
    async with serve(taking) as netloc:
        with pytest.raises(errdefs.SystemFailure, match="size_invalid"):
            await send(f"{netloc}/a/b")


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


async def test_bytes_that_change_on_the_way(
    send: Send, plain: DebianRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The registry refuses them each time; what it has is whole or absent."""
    monkeypatch.setattr(uploading, "ATTEMPTS", 2)

    spoiling = Harm("/blobs/uploads/", spoil=lambda body: body and b"x" + body[1:])
    proxy = Proxy(f"http://{plain.netloc}", [spoiling])
    async with serve(proxy) as netloc:
        with pytest.raises(errors.Transient, match="digest invalid: provided digest did not match"):
            await send(f"{netloc}/push/spoiled")
        spoiling.times = 0
        assert await send(f"{netloc}/push/spoiled") == ["Pushing", "Pushed"]


async def test_a_host_that_takes_nothing(send: Send, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that nobody reads is given up."""
    monkeypatch.setattr(exchange, "SILENCE", 0.5)
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


async def test_a_look_that_fails_says_nothing(send: Send) -> None:
    """What cannot be told of a blob by HEAD is told when it is sent."""
    taking = Taking()

    async def blind(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=500) if request.method == "HEAD" else await taking(request)

    async with serve(blind) as netloc:
        assert await send(f"{netloc}/a/b") == ["Pushing", "Pushed"]


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


async def test_a_connection_that_went_meanwhile(send: Send) -> None:
    """A server that closes idle connections as it likes costs an attempt, and no hanging."""
    taking = Taking()

    async def fickle(request: web.BaseRequest) -> web.StreamResponse:
        answer = await taking(request)
        if taking.methods in (["POST"], ["POST", "GET", "POST"]):
            asyncio.get_running_loop().call_later(0, request.transport.abort)  # type: ignore[union-attr]
        return answer

    async with serve(fickle) as netloc, asyncio.timeout(30):
        await send(f"{netloc}/a/b")
    assert taking.blobs == {DIGEST: BLOB}
