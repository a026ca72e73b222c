"""Networks of plugins and the containers in them, as tests ask for them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from network import netns
from network.controller import Controller, NetworkConfig
from network.drivers.driver import NetworkInfo
from network.endpoint import Endpoint, EndpointRequest, new_id
from network.sandbox import Sandbox
from tests.network.ground import run
from tests.network.plugins import plugins_of


@asynccontextmanager
async def opened(config: NetworkConfig) -> AsyncIterator[Controller]:
    """Another controller on the same host, after the first one has ended."""
    plugins = plugins_of(config.exec_root.parent)
    controller = await Controller.open(config, plugins)
    try:
        yield controller
    finally:
        await controller.dismantle()
        await plugins.close()
        await controller.close()


def asked(name: str = "n", driver: str = "plug", ipam: str = "ipam", **options: Any) -> NetworkInfo:
    return NetworkInfo(
        name=name, id=new_id(), driver=driver, created=datetime.now(UTC), ipam_driver=ipam, **options
    )


def request(name: str = "one", network: str = "n", **options: Any) -> EndpointRequest:
    return EndpointRequest(network=network, container_id=name, endpoint_name=name, **options)


def shown(sandbox: Sandbox, *command: str) -> str:
    return netns.inside(sandbox.fd, lambda: run(*command, check=False))


async def attached(controller: Controller, asking: EndpointRequest) -> tuple[Sandbox, Endpoint]:
    sandbox = await controller.create_sandbox(asking.container_id)
    return sandbox, await controller.connect(sandbox, asking)


def links() -> set[str]:
    return {line.split(": ")[1].split("@")[0] for line in run("ip", "-o", "link").splitlines()}


ACTIVATION = ("Plugin.Activate", "NetworkDriver.GetCapabilities", "IpamDriver.GetCapabilities")
