"""Each test has a host of its own, with a controller on it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvloop

from network.controller import Controller, NetworkConfig
from network.endpoint import Endpoint, EndpointRequest
from network.ports import PortBinding, PortRequest
from network.sandbox import Sandbox
from plugins.registry import Plugins
from tests.network.ground import Ground, entered
from tests.network.plugins import Plugin, plugins_of

INSTANCE = "0badcafe"


@dataclass
class Container:
    """A stand-in: a sandbox on the default bridge, with a server on port 80."""

    id: str
    sandbox: Sandbox
    endpoint: Endpoint
    bindings: list[PortBinding]


Start = Callable[..., Awaitable[Container]]


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Readers and writers of descriptors are where loops differ: these tests run on the daemon's own."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
def ground() -> Iterator[Ground]:
    with entered() as ground:
        yield ground


@pytest.fixture
def config(tmp_path: Path) -> NetworkConfig:
    return NetworkConfig(instance=INSTANCE, exec_root=tmp_path / "exec")


@pytest.fixture
def plugin(ground: Ground, tmp_path: Path) -> Iterator[Plugin]:
    """For networks (`plug`) and addresses (`ipam`)."""
    plugin = Plugin(tmp_path / "plugins", ("plug", "ipam"))
    yield plugin
    plugin.stop()


@pytest.fixture
async def plugins(tmp_path: Path) -> AsyncIterator[Plugins]:
    """Those in folders of the test."""
    made = plugins_of(tmp_path)
    yield made
    await made.close()


@pytest.fixture
async def controller(ground: Ground, config: NetworkConfig, plugins: Plugins) -> AsyncIterator[Controller]:
    controller = await Controller.open(config, plugins)
    await controller.reconcile(set())
    yield controller
    await controller.dismantle()
    await controller.close()


@pytest.fixture
def start(ground: Ground, controller: Controller) -> Start:
    """Starts a container by name, with ports to publish."""
    return starter(ground, controller)


def starter(ground: Ground, controller: Controller) -> Start:
    async def start(name: str, wanted: Sequence[PortRequest] = (), *, serve: bool = True) -> Container:
        sandbox = await controller.create_sandbox(name)
        request = EndpointRequest(network="bridge", container_id=name, endpoint_name=name)
        endpoint = await controller.connect(sandbox, request)
        if serve:
            ground.serve(sandbox, name)
        return Container(name, sandbox, endpoint, await controller.publish(name, wanted))

    return start


def tcp(host_port: int, *, host_ip: str = "", container_port: int = 80) -> PortRequest:
    return _request("tcp", host_port, host_ip, container_port)


def udp(host_port: int, *, host_ip: str = "", container_port: int = 80) -> PortRequest:
    return _request("udp", host_port, host_ip, container_port)


def _request(proto: str, host_port: int, host_ip: str, container_port: int) -> PortRequest:
    return PortRequest(
        proto="tcp" if proto == "tcp" else "udp",
        container_port=container_port,
        host_ip=host_ip,
        host_port_start=host_port,
        host_port_end=host_port,
    )
