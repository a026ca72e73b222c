"""Makes bridge networks: the default one, and those of users."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import IPv4Interface, IPv4Network
from typing import Final

import errdefs
from network.drivers import bridge_device
from network.drivers.bridge import BridgeDriver
from network.drivers.driver import NetworkInfo, Pool
from network.drivers.veth import Veths
from network.nftables.bridge import Bridge
from network.rules import Rules
from network.worker import Worker

NAME_OPTION: Final = "com.docker.network.bridge.name"


class BridgeKind:
    """Bridges are named `br-<first 12 digits of the id>`, and marked by their alias as the instance's."""

    def __init__(self, worker: Worker, rules: Rules, instance: str) -> None:
        self._worker = worker
        self._rules = rules
        self._owner = f"wherry:{instance}"
        self._veths = Veths(worker.rtnl, instance)

    def default(self, device: bridge_device.Device, network_id: str) -> BridgeDriver:
        """The predefined network on a bridge that is there and that the rules know."""
        return BridgeDriver(self._worker, self._veths, self._rules, device, _default_info(device, network_id))

    async def create(self, asked: NetworkInfo) -> BridgeDriver:
        """A bridge with the gateway's address, known to the rules."""
        return await self._worker.run(lambda: self._create(asked))

    async def restore(self, made: NetworkInfo) -> BridgeDriver:
        """A bridge that is there is taken with what is on it; one that is not is made again."""
        return await self._worker.run(lambda: self._create(made))

    async def sweep(self) -> None:
        """Remove host ends of disconnected endpoints that the kernel has not removed yet."""
        await self._worker.run(self._veths.sweep)

    async def remove_strays(self) -> list[str]:
        """Remove interfaces that belong to no endpoint known."""
        return await self._worker.run(self._veths.remove_strays)

    async def remove_all(self) -> None:
        """Remove all endpoints' interfaces of this instance."""
        await self._worker.run(self._veths.remove_all)

    # What follows runs in the worker's thread.

    def _create(self, asked: NetworkInfo) -> BridgeDriver:
        pool = asked.pools[0] if asked.pools else Pool()
        bip = _gateway(pool) if pool.subnet else None
        name = asked.options.get(NAME_OPTION, "") or f"br-{asked.id[:12]}"
        try:
            device = bridge_device.ensure(self._worker.rtnl, name, bip, self._owner)
        except OSError as error:
            raise errdefs.SystemFailure(f"cannot set up bridge {name}: {error.strerror}") from error
        made = replace(pool, subnet=str(device.address.network), gateway=str(device.address.ip))
        info = replace(asked, pools=(made,), bridge=name)
        driver = BridgeDriver(self._worker, self._veths, self._rules, device, info)
        try:
            self._rules.add_bridge(Bridge(name=name, network_id=info.id, subnets=(device.address.network,)))
        except BaseException:
            bridge_device.remove(self._worker.rtnl, device)
            raise
        return driver


def _gateway(pool: Pool) -> str:
    subnet = IPv4Network(pool.subnet, strict=False)
    return str(IPv4Interface(f"{pool.gateway or subnet.network_address + 1}/{subnet.prefixlen}"))


def _default_info(device: bridge_device.Device, network_id: str) -> NetworkInfo:
    return NetworkInfo(
        name="bridge",
        id=network_id,
        driver="bridge",
        created=datetime.now(UTC),
        pools=(Pool(subnet=str(device.address.network), gateway=str(device.address.ip)),),
        bridge=device.name,
        options={
            "com.docker.network.bridge.default_bridge": "true",
            "com.docker.network.bridge.enable_icc": "true",
            "com.docker.network.bridge.enable_ip_masquerade": "true",
            "com.docker.network.bridge.host_binding_ipv4": "0.0.0.0",
            NAME_OPTION: device.name,
            "com.docker.network.driver.mtu": "1500",
        },
    )
