"""Several hosts for one name: mirrors by hosts.toml and by the daemon's settings."""

import base64
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from aiohttp import web

import errdefs
from engine.registry.credentials import Credentials
from engine.registry.repository import Repository
from tests.integration.registry.conftest import LAYER, read
from tests.integration.registry.servers import Harm, Proxy, serve
from tests.ports import free_port
from tests.registries import PASSWORD, USER, DebianRegistry, digest_of

KNOWN = Credentials(USER, PASSWORD, registry_token="registry-token")
Open = Callable[..., Repository]


@pytest.fixture
async def mirror(plain: DebianRegistry) -> AsyncIterator[tuple[Proxy, str]]:
    """A mirror of the plain registry, and its host and port."""
    harmless = Proxy(f"http://{plain.netloc}")
    async with serve(harmless) as netloc:
        yield harmless, netloc


def _hosts(tmp_path: Path, *hosts: str, server: str, domain: str = "r.example") -> None:
    directory = tmp_path / "certs.d" / domain
    directory.mkdir(parents=True, exist_ok=True)
    tables = [host if host.startswith("[") else f'[host."http://{host}"]' for host in hosts]
    (directory / "hosts.toml").write_text("\n".join([f'server = "http://{server}"', *tables]))


async def _image(repository: Repository) -> None:
    assert await repository.manifest("1")
    assert await read(repository, digest_of(LAYER), len(LAYER)) == (0, LAYER)


async def test_a_mirror_is_asked_first_and_told_for_whom(
    mirror: tuple[Proxy, str], open_repository: Open, tmp_path: Path
) -> None:
    proxy, netloc = mirror
    _hosts(tmp_path, netloc, server=f"127.0.0.1:{free_port()}")
    await _image(open_repository("r.example/a/b:1"))
    assert [seen.path for seen in proxy.seen] == [
        "/v2/",
        "/v2/a/b/manifests/1",
        f"/v2/a/b/blobs/{digest_of(LAYER)}",
    ]
    assert [seen.query for seen in proxy.seen] == [[], [("ns", "r.example")], [("ns", "r.example")]]


async def test_credentials_are_for_the_registry_alone(
    mirror: tuple[Proxy, str], plain: DebianRegistry, open_repository: Open, tmp_path: Path
) -> None:
    """A mirror that asks for them gets none, and the next is asked."""
    asking, netloc = mirror
    challenge = {"WWW-Authenticate": f'Bearer realm="http://{netloc}/token"'}
    asking.harms = [Harm("/v2/", head=lambda _: web.Response(status=401, headers=challenge))]
    origin = Proxy(f"http://{plain.netloc}")
    async with serve(origin) as own:
        basic = {"WWW-Authenticate": 'Basic realm="x"'}
        origin.harms = [Harm("/v2/", times=1, head=lambda _: web.Response(status=401, headers=basic))]
        _hosts(tmp_path, netloc, server=own, domain=own)
        await _image(open_repository(f"{own}/a/b:1", Credentials(USER, PASSWORD)))
    expected = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    assert not [seen for seen in asking.seen if "authorization" in seen.headers]
    assert any(seen.path == "/token" for seen in asking.seen)
    assert origin.seen[-1].headers["authorization"] == f"Basic {expected}"


async def test_headers_of_a_mirror(mirror: tuple[Proxy, str], open_repository: Open, tmp_path: Path) -> None:
    proxy, netloc = mirror
    table = f'[host."http://{netloc}"]\n[host."http://{netloc}".header]\nAuthorization = "Basic of-mirror"\nX-a = "b"'
    _hosts(tmp_path, table, server=f"127.0.0.1:{free_port()}")
    await _image(open_repository("r.example/a/b:1", KNOWN))
    assert {(seen.headers["authorization"], seen.headers["x-a"]) for seen in proxy.seen} == {
        ("Basic of-mirror", "b")
    }


@pytest.mark.parametrize(
    "harm",
    [
        Harm("/manifests/", head=lambda _: web.Response(status=404)),
        Harm("/manifests/", head=lambda _: web.Response(status=503)),
        Harm("/manifests/", head=lambda _: web.Response(status=429)),
        Harm("/manifests/", head=lambda _: web.Response(text="<html>welcome</html>")),
        Harm("/v2/", reset=True),
        Harm("/manifests/", reset=True),
        Harm("/manifests/", cut=10),
    ],
)
async def test_a_mirror_that_fails_is_passed_by(
    mirror: tuple[Proxy, str], plain: DebianRegistry, open_repository: Open, tmp_path: Path, harm: Harm
) -> None:
    proxy, netloc = mirror
    proxy.harms = [harm]
    _hosts(tmp_path, f"127.0.0.1:{free_port()}", netloc, server=plain.netloc)
    repository = open_repository("r.example/a/b:1")
    digest = (await open_repository(f"{plain.netloc}/a/b").head("1")).digest
    assert (await repository.manifest(digest)).digest == digest
    assert await read(repository, digest_of(LAYER), len(LAYER)) == (0, LAYER)


async def test_a_mirror_for_blobs_alone(
    mirror: tuple[Proxy, str], plain: DebianRegistry, open_repository: Open, tmp_path: Path
) -> None:
    proxy, netloc = mirror
    _hosts(tmp_path, f'[host."http://{netloc}"]\ncapabilities = ["pull"]', server=plain.netloc)
    repository = open_repository("r.example/a/b:1")
    await repository.head("1")
    assert proxy.seen == []
    await _image(repository)
    assert proxy.seen


async def test_the_last_failure_is_told(
    mirror: tuple[Proxy, str], plain: DebianRegistry, open_repository: Open, tmp_path: Path
) -> None:
    proxy, netloc = mirror
    proxy.harms = [Harm("/manifests/", head=lambda _: web.Response(status=503))]
    _hosts(tmp_path, netloc, server=plain.netloc)
    with pytest.raises(errdefs.NotFound, match=r"^manifest for r\.example/a/b:9 not found: "):
        await open_repository("r.example/a/b:9").manifest("9")


async def test_mirrors_of_docker_hub(
    mirror: tuple[Proxy, str], plain: DebianRegistry, open_repository: Open
) -> None:
    proxy, netloc = mirror
    plain.put_image("library/hello", "1", [LAYER])
    repository = open_repository("hello:1", KNOWN, mirrors=(f"http://{netloc}/",))
    await _image(repository)
    assert not [seen for seen in proxy.seen if "authorization" in seen.headers]


async def test_a_hosts_file_that_is_wrong(open_repository: Open, tmp_path: Path) -> None:
    _hosts(tmp_path, "[host", server="x")
    with pytest.raises(errdefs.SystemFailure, match=r"failed to decode .*/r\.example/hosts\.toml: "):
        await open_repository("r.example/a").manifest("1")
