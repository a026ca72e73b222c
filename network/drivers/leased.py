"""Networks of any kind whose subnets and addresses come from an IPAM plugin."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from ipaddress import ip_address, ip_network

import msgspec

import errdefs
from network.drivers.driver import Driver, Kind, NetworkInfo, Pool
from network.drivers.leading import LeadsOut
from network.drivers.remote_kind import RemoteKind
from network.endpoint import Endpoint, EndpointRequest
from network.interface import Finish
from network.ipam.remote import MAC, RemoteIpam
from network.sandbox import Sandbox
from plugins.registry import Plugin


class LeasedKind:
    """Makes the networks of another kind, with subnets of the plugin."""

    def __init__(self, kind: Kind, ipam: RemoteIpam) -> None:
        self._kind = kind
        self._ipam = ipam

    async def create(self, asked: NetworkInfo, /) -> Driver:
        """The plugin's subnets go back when the network cannot be made."""
        if isinstance(self._kind, RemoteKind):
            asked = await self._kind.prepare(asked)
        pools = await self._ipam.request_pools(asked)
        try:
            driver = await self._kind.create(msgspec.structs.replace(asked, pools=pools))
        except BaseException:
            await self._ipam.release_pools(pools)
            raise
        return LeasedDriver(driver, self._ipam)

    async def restore(self, made: NetworkInfo, /) -> Driver:
        """The plugin is not asked."""
        self._ipam.keep_pools(made.pools)
        return LeasedDriver(await self._kind.restore(made), self._ipam, restored=True)

    async def sweep(self) -> None:
        """As the other kind."""
        await self._kind.sweep()

    async def remove_strays(self) -> list[str]:
        """As the other kind."""
        return await self._kind.remove_strays()


class LeasedDriver:
    """A network of another kind: addresses are taken before it connects, and given back after it disconnected."""

    def __init__(self, driver: Driver, ipam: RemoteIpam, *, restored: bool = False) -> None:
        self._driver = driver
        self._ipam = ipam
        self._held: dict[str, list[tuple[Pool, str]]] = {}  # endpoint id -> its addresses
        self._forgotten = restored
        self._removed = False
        self.info = driver.info

    async def connect(
        self, sandbox: Sandbox, request: EndpointRequest, interface: str, finish: Finish, /
    ) -> Endpoint:
        """Raises what the plugin says, InvalidArgument for an address of no subnet, and what the network does."""
        if (await self._ready()).requires_mac:
            request = msgspec.structs.replace(request, mac=request.mac or _random_mac())
            options = {MAC: request.mac or ""}
        else:
            options = None
        held: list[tuple[Pool, str]] = []
        try:
            for version in (4, 6):
                wanted = (request.ipv4 if version == 4 else request.ipv6) or ""
                pool = self._pool(version, wanted)
                if pool is not None:
                    held.append((pool, await self._ipam.request(pool, wanted, options)))
            own = {ip_address(address).version: address for _, address in held}
            request = msgspec.structs.replace(request, ipv4=own.get(4), ipv6=own.get(6))
            endpoint = await self._driver.connect(sandbox, request, interface, finish)
        except BaseException:
            await self._release(held)
            raise
        self._held[endpoint.id] = held
        return endpoint

    async def adopt(self, sandbox: Sandbox, endpoint: Endpoint, /) -> None:
        """The plugin is not asked: it knows the addresses."""
        self._held[endpoint.id] = list(self._of(endpoint))
        for pool, address in self._held[endpoint.id]:
            self._ipam.keep(pool, address)
        await self._driver.adopt(sandbox, endpoint)

    async def disconnect(self, sandbox: Sandbox, endpoint: Endpoint, /, *, hot: bool) -> None:
        """That the plugin fails is logged."""
        await self._driver.disconnect(sandbox, endpoint, hot=hot)
        held = self._held.pop(endpoint.id, [])
        if held:
            await self._release(held)

    async def remove(self) -> None:
        """Subnets first, as in Docker; once, however often the rest is tried."""
        if not self._removed:
            self._removed = True
            await self._ipam.release_pools(self.info.pools)
        await self._driver.remove()

    async def lead_out(self, endpoint: Endpoint) -> None:
        """As the network."""
        if isinstance(self._driver, LeadsOut):
            await self._driver.lead_out(endpoint)

    async def lead_out_no_more(self, endpoint: Endpoint) -> None:
        """As the network."""
        if isinstance(self._driver, LeadsOut):
            await self._driver.lead_out_no_more(endpoint)

    async def look(self, endpoint: Endpoint) -> None:
        """As the network."""
        if isinstance(self._driver, LeadsOut):
            await self._driver.look(endpoint)

    async def _ready(self) -> Plugin:
        """The plugin, told of what it may have forgotten while no daemon ran, should it be one that forgets."""
        plugin = await self._ipam.plugin()
        if self._forgotten:
            self._forgotten = False
            if plugin.requires_replay:
                held = [each for addresses in self._held.values() for each in addresses]
                await self._ipam.replay(self.info, held)
        return plugin

    def _pool(self, version: int, wanted: str) -> Pool | None:
        """The pool to ask for an address: the first one of the family, or the one that the wanted address is of."""
        pools = [pool for pool in self.info.pools if ip_network(pool.subnet).version == version]
        if not wanted:
            return pools[0] if pools else None
        for pool in pools:
            if ip_address(wanted) in ip_network(pool.subnet):
                return pool
        raise errdefs.InvalidArgument(
            f"invalid address {wanted}: It does not belong to any of this network's subnets"
        )

    def _of(self, endpoint: Endpoint) -> Iterator[tuple[Pool, str]]:
        for address in (endpoint.ipv4, endpoint.ipv6):
            for pool in self.info.pools:
                if address and ip_address(address) in ip_network(pool.subnet):
                    yield pool, address
                    break

    async def _release(self, held: Sequence[tuple[Pool, str]]) -> None:
        for pool, address in held:
            await self._ipam.release(pool, address)


def _random_mac() -> str:
    return "02:42:" + secrets.token_bytes(4).hex(":")
