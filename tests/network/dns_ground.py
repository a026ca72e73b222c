"""Containers in networks of users, for the tests of the embedded DNS."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec.structs import replace

from network import netns, resolvconf
from network.controller import Controller
from network.dns import upstreams
from network.dns.redirect import Ports, read
from network.drivers.driver import NetworkInfo
from network.endpoint import Endpoint, EndpointRequest, new_id
from network.nftables.transaction import open_socket
from network.sandbox import Sandbox
from tests.network.dns_client import Reply, ask


def ports_in_namespace() -> Ports:
    """Where the table in the calling thread's namespace leads port 53."""
    with open_socket() as netfilter:
        return read(netfilter)


MakeNetwork = Callable[..., Awaitable[NetworkInfo]]


class Joined:
    """A container in networks of users."""

    def __init__(self, controller: Controller, sandbox: Sandbox) -> None:
        self.controller = controller
        self.sandbox = sandbox
        self.endpoints: dict[str, Endpoint] = {}

    @property
    def address(self) -> str:
        return next(iter(self.endpoints.values())).ipv4

    async def connect(self, network: str, *names: str, **more: object) -> Endpoint:
        request = EndpointRequest(
            network=network,
            container_id=self.sandbox.container_id,
            endpoint_name=self.sandbox.container_id,
            names=names,
        )
        endpoint = await self.controller.connect(self.sandbox, replace(request, **more))
        self.endpoints[network] = endpoint
        return endpoint

    async def ask(self, name: str, kind: str = "A", *, tcp: bool = False, edns: int = 0) -> Reply:
        reply = await asyncio.to_thread(ask, self.sandbox.fd, name, kind, tcp=tcp, edns=edns)
        assert reply is not None, f"nothing about {name}"
        return reply

    async def addresses(self, name: str, kind: str = "A") -> list[str]:
        reply = await self.ask(name, kind)
        assert reply.rcode == "NOERROR", reply
        return sorted(reply.values)

    async def ports(self) -> Ports:
        return await asyncio.to_thread(netns.inside, self.sandbox.fd, ports_in_namespace)


Join = Callable[..., Awaitable[Joined]]


def serve_by(resolv_conf: Path, *nameservers: str) -> None:
    """Name these in the host's file."""
    resolv_conf.write_text("".join(f"nameserver {each}\n" for each in nameservers))


@pytest.fixture
def resolv_conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The host's file, which names a server that is not there."""
    path = tmp_path / "resolv.conf"
    path.write_text("nameserver 127.0.0.1\n")
    monkeypatch.setattr(upstreams, "_CHECK_SECONDS", 0.0)
    monkeypatch.setattr(resolvconf, "PATH", str(path))
    monkeypatch.setattr(resolvconf, "SYSTEMD_PATH", str(tmp_path / "none"))
    return path


@pytest.fixture
def make(controller: Controller) -> MakeNetwork:
    async def make(name: str, **more: object) -> NetworkInfo:
        info = NetworkInfo(name=name, id=new_id(), driver="bridge", created=datetime.now(UTC))
        return await controller.create_network(replace(info, **more))

    return make


@pytest.fixture
def join(controller: Controller) -> Callable[..., Awaitable[Joined]]:
    async def join(name: str, network: str, *names: str, **more: object) -> Joined:
        joined = Joined(controller, await controller.create_sandbox(name))
        await joined.connect(network, *(names or (name,)), **more)
        return joined

    return join
