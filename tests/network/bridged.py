"""Bridge networks of users and the containers in them, as tests ask for them."""

import secrets
from datetime import UTC, datetime

from msgspec.structs import replace

from network.controller import Controller
from network.drivers.driver import NetworkInfo, Pool
from network.endpoint import Endpoint, EndpointRequest
from network.sandbox import Sandbox
from tests.network.conftest import INSTANCE
from tests.network.ground import run

ICC = "com.docker.network.bridge.enable_icc"
MTU = "com.docker.network.driver.mtu"
NAME = "com.docker.network.bridge.name"
MODE4 = "com.docker.network.bridge.gateway_mode_ipv4"
MODE6 = "com.docker.network.bridge.gateway_mode_ipv6"
INHIBIT = "com.docker.network.bridge.inhibit_ipv4"
BINDING = "com.docker.network.bridge.host_binding_ipv4"
PREFIX = "com.docker.network.container_iface_prefix"
V6 = Pool(subnet="fd00:5::/64")


def network(
    name: str = "web",
    *pools: Pool,
    ipv4: bool = True,
    ipv6: bool = False,
    internal: bool = False,
    **options: str,
) -> NetworkInfo:
    return NetworkInfo(
        name=name,
        id=secrets.token_hex(32),
        driver="bridge",
        created=datetime.now(UTC),
        pools=pools,
        enable_ipv4=ipv4,
        enable_ipv6=ipv6,
        internal=internal,
        options=options,
    )


def with_options(asked: NetworkInfo, **options: str) -> NetworkInfo:
    return replace(asked, options=options)


async def join(
    controller: Controller, name: str, network_name: str = "web", **wishes: object
) -> tuple[Sandbox, Endpoint]:
    sandbox = await controller.create_sandbox(name)
    request = EndpointRequest(network=network_name, container_id=name, endpoint_name=name)
    return sandbox, await controller.connect(sandbox, replace(request, **wishes))


def inside(sandbox: Sandbox, *argv: str) -> str:
    return run("nsenter", f"--net={sandbox.path}", *argv)


def setting(sandbox: Sandbox, name: str) -> str:
    return inside(sandbox, "cat", f"/proc/sys/net/{name}").strip()


def host_setting(name: str) -> str:
    return run("cat", f"/proc/sys/net/{name}").strip()


def kernel() -> list[str]:
    """All that a network can leave."""
    names = (line.split() for line in run("ip", "-br", "link").splitlines())
    return [
        " ".join(sorted(name for name, *_ in names)),
        run("ip", "-o", "address", "show", "scope", "global"),
        " ".join(
            sorted(run("nft", "-s", "list", "table", "inet", f"wherry_{INSTANCE}").replace(",", " ").split())
        ),
    ]
