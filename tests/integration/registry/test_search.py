"""Searching indexes: which is asked, with what credentials, and what is made of its answers."""

import asyncio
import base64
import shutil
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from docker import DockerClient

import errdefs
from engine.filters import Filters
from engine.registry.client import Registry
from engine.registry.credentials import Credentials
from engine.registry.search import Found
from tests.daemon import Wherryd
from tests.integration.registry.servers import IDENTITY, Seen, serve
from tests.registries import PASSWORD, USER, Certificates

KNOWN = Credentials(USER, PASSWORD)
BASIC = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
RESULTS = {
    "num_results": 3,
    "query": "x",
    "results": [
        {"name": "x", "description": "The <X>", "star_count": 900, "is_official": True, "is_automated": True},
        {"name": "a/x", "description": None, "star_count": 5},
        {"Name": "b/x", "star_count": 0, "is_official": False, "more": {}},
    ],
}
FOUND = [
    Found(name="x", description="The <X>", star_count=900, is_official=True),
    Found(name="a/x", star_count=5),
    Found(name="b/x"),
]
Make = Callable[..., Registry]
pytestmark = pytest.mark.root


@dataclass
class Index:
    """An index, which may send for a token; `answer` is what a search gives."""

    answer: Callable[[], web.Response] = lambda: web.json_response(RESULTS)
    challenge: str = ""
    seen: list[Seen] = field(default_factory=list)

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        seen = await Seen.of(request)
        self.seen.append(seen)
        if seen.path in ("/v1/_ping", "/v2/"):
            demands = {"WWW-Authenticate": self.challenge} if self.challenge and seen.path == "/v2/" else {}
            return web.Response(status=401 if demands else 200, headers=demands)
        if seen.path == "/token":
            return web.json_response({"access_token": "the-token", "refresh_token": IDENTITY})
        return self.answer()

    @property
    def asked(self) -> Seen:
        """The last search."""
        return [each for each in self.seen if each.path == "/v1/search"][-1]


@pytest.fixture
async def index() -> AsyncIterator[tuple[Index, str]]:
    """An index on loopback without TLS, and its host and port."""
    made = Index()
    async with serve(made) as netloc:
        yield made, netloc


async def test_what_is_found(index: tuple[Index, str], clients: Make) -> None:
    made, netloc = index
    assert await clients().search(f"{netloc}/a b&c", 7, Filters(), None) == FOUND
    assert made.asked.query == [("q", "a b&c"), ("n", "7")]
    assert "authorization" not in made.asked.headers
    await clients().search(f"{netloc}/library/x", 0, Filters(), None)
    assert made.asked.query == [("q", "library/x"), ("n", "25")]


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ({"stars": ["3", "100"]}, ["x"]),
        ({"stars": ["-1"]}, ["x", "a/x", "b/x"]),
        ({"is-official": ["true"]}, ["x"]),
        ({"is-official": ["false"], "stars": ["1"]}, ["a/x"]),
        ({"is-automated": ["false"]}, ["x", "a/x", "b/x"]),
        ({"is-automated": ["true"]}, []),
    ],
)
async def test_filters(
    index: tuple[Index, str], clients: Make, wanted: dict[str, list[str]], names: list[str]
) -> None:
    found = await clients().search(f"{index[1]}/x", 0, Filters.of(**wanted), None)
    assert [each.name for each in found] == names


async def test_a_password_goes_to_the_index_alone(index: tuple[Index, str], clients: Make) -> None:
    made, netloc = index
    elsewhere = Index()
    async with serve(elsewhere) as other:
        made.answer = lambda: web.Response(status=302, headers={"Location": f"http://{other}/v1/search?q=y"})
        assert await clients().search(f"{netloc}/x", 0, Filters(), KNOWN) == FOUND
    assert made.asked.headers["authorization"] == BASIC
    assert "authorization" not in elsewhere.asked.headers


async def test_an_identity_token(index: tuple[Index, str], clients: Make) -> None:
    made, netloc = index
    made.challenge = f'Bearer realm="http://{netloc}/token",service="s"'
    given = Credentials(USER, "", identity_token=IDENTITY)
    assert await clients().search(f"{netloc}/x", 0, Filters(), given) == FOUND
    assert made.asked.headers["authorization"] == "Bearer the-token"
    (asked,) = [each for each in made.seen if each.path == "/token"]
    assert "scope=registry%3Acatalog%3Asearch" in asked.body


async def _refused(clients: Make, term: str, limit: int = 0) -> errdefs.WherryError:
    with pytest.raises(errdefs.WherryError) as failed:
        await clients().search(term, limit, Filters(), KNOWN)
    assert PASSWORD not in failed.value.message
    return failed.value


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (web.Response(status=401, text="no"), "Unexpected status code 401"),
        (web.Response(status=500), "Unexpected status code 500"),
        (web.Response(status=204), "Unexpected status code 204"),
        (web.Response(text="<html>"), "error decoding registry search results: "),
        (web.Response(text='{"results": [5]}'), "error decoding registry search results: "),
        (web.Response(body=b" " * (1 << 20) + b"{}"), "the answer is larger than"),
    ],
)
async def test_bad_answers(index: tuple[Index, str], clients: Make, answer: web.Response, text: str) -> None:
    made, netloc = index
    made.answer = lambda: answer
    failure = await _refused(clients, f"{netloc}/x")
    assert isinstance(failure, errdefs.SystemFailure)
    assert text in failure.message


async def test_terms_that_cannot_be(clients: Make) -> None:
    for term, text in (
        ("https://h/x", "should not have a scheme"),
        ("-a.b/x", "invalid index name (-a.b). Cannot begin or end with a hyphen"),
        ("a@b:1/x", "invalid index name (a@b:1)"),
        ("127.0.0.1:1/x", 'invalid registry endpoint "http://127.0.0.1:1/v1/". HTTPS attempt: Get '),
    ):
        failure = await _refused(clients, term)
        assert isinstance(failure, errdefs.InvalidArgument)
        assert text in failure.message
    assert "limit 101 is outside the range of [1, 100]" in (await _refused(clients, "x", 101)).message


async def test_a_host_without_tls_is_not_asked_unless_it_may(clients: Make) -> None:
    failure = await _refused(clients, "localhost.invalid:1/x")
    assert isinstance(failure, errdefs.InvalidArgument)
    assert "please add `--insecure-registry localhost.invalid:1` to the daemon's arguments" in failure.message


@asynccontextmanager
async def _tunnel(target: str, asked: list[str]) -> AsyncIterator[str]:
    """A proxy that leads wherever it is asked to the same place; its URL."""

    async def lead(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n\r\n")).decode().split()[1])
        host, port = target.split(":")
        there, back = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await asyncio.gather(_pass(reader, back), _pass(there, writer))

    server = await asyncio.start_server(lead, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def _pass(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while data := await source.read(65536):
        sink.write(data)
    sink.close()


def _secured(certificates: Certificates) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificates.pair("server"))
    return context


async def test_docker_hub(clients: Make, certificates: Certificates, tmp_path: Path) -> None:
    """A term without a host is looked for at Docker Hub's index, which is believed by its certificate alone."""
    made, led = Index(), list[str]()
    (tmp_path / "certs.d/docker.io").mkdir(parents=True)
    async with serve(made, _secured(certificates)) as netloc, _tunnel(netloc, led) as proxy:
        failure = await _refused(lambda: clients(https_proxy=proxy), "x")
        assert "certificate signed by unknown authority" in failure.message
        shutil.copy(certificates.authority, tmp_path / "certs.d/docker.io")
        for term, name in (("x", "x"), ("library/x", "x"), ("docker.io/a/x", "a/x"), ("a/x", "a/x")):
            found = await clients(https_proxy=proxy).search(term, 0, Filters(), KNOWN)
            assert found == FOUND
            assert made.asked.query[0] == ("q", name)
    assert set(led) == {"index.docker.io:443"}
    assert made.asked.headers["authorization"] == BASIC
    assert {each.path for each in made.seen} == {"/v1/search"}


async def _docker(wherryd: Wherryd, *args: str) -> Any:
    return await asyncio.to_thread(wherryd.docker, *args, check=False)


async def test_docker_search(index: tuple[Index, str], wherryd: Wherryd) -> None:
    _, netloc = index
    done = await _docker(
        wherryd,
        "search",
        "--format",
        "{{.Name}}|{{.StarCount}}|{{.IsOfficial}}|{{.Description}}",
        f"{netloc}/x",
    )
    assert done.stdout.splitlines() == ["x|900|[OK]|The <X>", "a/x|5||", "b/x|0||"]
    done = await _docker(wherryd, "search", "--filter", "stars=10", "--limit", "3", f"{netloc}/x")
    assert done.stdout.count("\n") == 2
    done = await _docker(wherryd, "search", "--limit", "1000", f"{netloc}/x")
    assert "limit 1000 is outside the range of [1, 100]" in done.stderr


async def test_docker_py_searches(index: tuple[Index, str], docker_py: DockerClient) -> None:
    made, netloc = index
    found = await asyncio.to_thread(docker_py.images.search, f"{netloc}/x", limit=2)
    assert [(each["name"], each["star_count"], each["is_automated"]) for each in found] == [
        ("x", 900, False),
        ("a/x", 5, False),
        ("b/x", 0, False),
    ]
    assert made.asked.query == [("q", "x"), ("n", "2")]
