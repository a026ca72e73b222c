"""Registries of Debian's on loopback, and the client under test, here without a daemon around it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import uvloop

from engine.images.reference import parse
from engine.registry.client import Registry
from engine.registry.credentials import Credentials
from engine.registry.hosts import Settings
from engine.registry.repository import Repository
from tests.integration.registry.servers import Proxy, serve
from tests.registries import Certificates, DebianRegistry, make_certificates, missing

LAYER = b"".join(bytes([number % 251]) * 1000 for number in range(500))
"""A blob of 500 kB in which every place differs from its neighbours."""


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The daemon's loop: failures of connections look different on others."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session", autouse=True)
def registry_program() -> None:
    """Skip where there is no registry to test with."""
    if reason := missing():
        pytest.skip(reason)


@pytest.fixture(scope="session")
def certificates(session_root: Path) -> Certificates:
    """An authority of the tests."""
    return make_certificates(session_root / "registry-certificates")


@pytest.fixture(scope="session")
def plain(session_root: Path) -> Iterator[DebianRegistry]:
    """A registry without TLS that lets everybody in, with the image a/b:1."""
    registry = DebianRegistry(session_root / "registry-plain")
    registry.start()
    registry.put_image("a/b", "1", [LAYER])
    yield registry
    registry.stop()


@pytest.fixture
def make_registry(tmp_path: Path) -> Iterator[Callable[..., DebianRegistry]]:
    """Start further registries, by the options of `DebianRegistry`."""
    made: list[DebianRegistry] = []

    def start(**options: Any) -> DebianRegistry:
        registry = DebianRegistry(tmp_path / f"registry-{len(made)}", **options)
        made.append(registry)
        registry.start()
        return registry

    yield start
    for registry in made:
        registry.stop()


@pytest.fixture
async def clients(tmp_path: Path) -> AsyncIterator[Callable[..., Registry]]:
    """Make clients, by settings; their certs.d is `certs.d` in the test's directory unless told otherwise."""
    async with AsyncExitStack() as stack:

        def make(**settings: Any) -> Registry:
            registry = Registry(Settings(certs_directories=(tmp_path / "certs.d",), **settings))
            stack.push_async_callback(registry.close)
            return registry

        yield make


@pytest.fixture
async def open_repository(clients: Callable[..., Registry]) -> Callable[..., Repository]:
    """A repository by its name, of a client of its own."""

    def make(name: str, credentials: Credentials | None = None, **settings: Any) -> Repository:
        return clients(**settings).repository(parse(name), credentials)

    return make


@pytest.fixture
async def proxy(plain: DebianRegistry) -> AsyncIterator[tuple[Proxy, str]]:
    """What does harm before the plain registry, and its host and port."""
    harmful = Proxy(f"http://{plain.netloc}")
    async with serve(harmful) as netloc:
        yield harmful, netloc


async def read(repository: Repository, digest: str, size: int, offset: int = 0) -> tuple[int, bytes]:
    """Where a blob began, and its bytes from there."""
    async with repository.blob(digest, offset=offset, size=size) as blob:
        return blob.offset, b"".join([chunk async for chunk in blob])
