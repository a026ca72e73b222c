"""Blobs on their way into registries: in one, in parts, gone on with where it broke off."""

import asyncio
import random

import pytest
from aiohttp import web

import errdefs
from engine.images import uploading
from engine.registry import errors, upload
from tests.integration.registry.servers import Harm, Proxy, serve
from tests.integration.registry.taking import Taking
from tests.integration.registry.uploads.parcel import BLOB, DIGEST, Send
from tests.registries import DebianRegistry


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
    """After the first one it is sent in parts: what each further one costs is at most a part."""
    monkeypatch.setattr(upload, "PART", 200_000)
    taking, first = Taking(cut=100_000, cuts=10, keeps=False), list[int]()

    async def noting(request: web.BaseRequest) -> web.StreamResponse:
        if request.method == "PATCH":
            first.append(taking.received)
        return await taking(request)

    async with serve(noting) as netloc:
        monkeypatch.setattr(uploading, "ATTEMPTS", 12)
        await send(f"{netloc}/a/b")
    assert taking.blobs == {DIGEST: BLOB}
    assert taking.received - first[0] <= len(BLOB) + 9 * 200_000


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
    monkeypatch.setattr(upload, "PART", 1 << 20)
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
    monkeypatch.setattr(upload, "PART", 1 << 20)
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
