"""Subnets and addresses by an IPAM plugin of Docker's protocol."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from ipaddress import ip_interface, ip_network
from typing import Any, Final

import msgspec

import errdefs
from network.drivers.driver import NetworkInfo, Pool
from network.held import RELEASE_ADDRESS, RELEASE_POOL, Call, Held, key_of, was_heard
from network.ipam import asked
from plugins.client import PluginFailure
from plugins.registry import IPAM, Plugin

_log = logging.getLogger(__name__)

MAC: Final = "com.docker.network.endpoint.macaddress"
_GATEWAY: Final = "com.docker.network.gateway"
_OF_GATEWAY: Final = {"RequestAddressType": _GATEWAY}

Options = Mapping[str, str] | None


class RemoteIpam:
    """One plugin."""

    def __init__(self, held: Held, name: str) -> None:
        self._held = held
        self._name = name

    async def plugin(self) -> Plugin:
        """It, activated. Raises what Plugins.get does."""
        return await self._held.plugins.get(self._name, IPAM)

    async def request_pools(self, info: NetworkInfo) -> tuple[Pool, ...]:
        """The subnets of a new network with their gateways; all or none.

        Raises InvalidArgument, Forbidden, NotFound, PluginFailure, with Docker's texts.
        """
        asked.read(info.pools)
        space = await self._space(info.scope)
        wanted = [each for each in info.pools if ":" not in each.subnet] if info.enable_ipv4 else []
        if info.enable_ipv4 and not wanted:
            wanted = [Pool()]
        sixes = [each for each in info.pools if ":" in each.subnet]
        made: list[Pool] = []
        try:
            for pool in wanted:
                await self._request_pool(msgspec.structs.replace(pool, space=space), info, made, ipv6=False)
            if info.enable_ipv6:
                for pool in sixes or [Pool()]:
                    await self._request_pool(
                        msgspec.structs.replace(pool, space=space), info, made, ipv6=True
                    )
        except BaseException:
            await self.release_pools(made)
            raise
        return tuple(made)

    async def release_pools(self, pools: Sequence[Pool]) -> None:
        """Give subnets back, and their gateways and auxiliary addresses before. Failures are logged."""
        for pool in pools:
            for address in (pool.gateway, *pool.aux_addresses.values()):
                if address:
                    await self.release(pool, address)
            if await self._tell("ReleasePool", {"PoolID": pool.id}):
                await self._held.forget(self._pool_key(pool))

    def keep_pools(self, pools: Sequence[Pool]) -> None:
        """At boot: a network has these, and their gateways and auxiliary addresses."""
        for pool in pools:
            self._held.keep(self._pool_key(pool))
            for address in (pool.gateway, *pool.aux_addresses.values()):
                self.keep(pool, address)

    def keep(self, pool: Pool, address: str) -> None:
        """At boot: an endpoint has this one."""
        self._held.keep(self._address_key(pool, address))

    async def replay(self, info: NetworkInfo, held: Sequence[tuple[Pool, str]]) -> None:
        """Ask again for what is had already, of a plugin that remembers nothing. Failures are logged."""
        for pool in info.pools:
            await self._tell("RequestPool", _pool(pool, info.ipam_options))
            if pool.gateway:
                await self._tell("RequestAddress", _address(pool, pool.gateway, _OF_GATEWAY))
        for pool, address in held:
            await self._tell("RequestAddress", _address(pool, address, None))

    async def request(self, pool: Pool, wanted: str, options: Options) -> str:
        """An address of the pool, the wanted one unless that is "". Raises PluginFailure."""
        answer = await self._call("RequestAddress", _address(pool, wanted, options))
        if not answer.get("Address"):
            raise PluginFailure("no address returned")
        address = str(ip_interface(_cidr(answer["Address"])).ip)
        release = Call(self._name, RELEASE_ADDRESS, {"PoolID": pool.id, "Address": address})
        await self._held.note(self._address_key(pool, address), release)
        return address

    async def release(self, pool: Pool, address: str) -> None:
        """Give an address back. A failure is logged."""
        if await self._tell("ReleaseAddress", {"PoolID": pool.id, "Address": address}):
            await self._held.forget(self._address_key(pool, address))

    async def _space(self, scope: str) -> str:
        try:
            answer = await self._call("GetDefaultAddressSpaces", None)
        except PluginFailure as error:
            raise errdefs.NotFound(f"failed to get default address space: {error.message}") from error
        key = "GlobalDefaultAddressSpace" if scope == "global" else "LocalDefaultAddressSpace"
        return str(answer.get(key) or "")

    async def _request_pool(self, pool: Pool, info: NetworkInfo, made: list[Pool], *, ipv6: bool) -> None:
        answer = await self._call("RequestPool", {**_pool(pool, info.ipam_options), "V6": ipv6})
        subnet = str(ip_interface(_cidr(answer.get("Pool"))).network)
        data = answer.get("Data")
        aux, gateway = pool.aux_addresses, pool.gateway
        pool = msgspec.structs.replace(
            pool, id=str(answer.get("PoolID") or ""), subnet=subnet, gateway="", aux_addresses={}
        )
        made.append(pool)
        release = Call(self._name, RELEASE_POOL, {"PoolID": pool.id})
        await self._held.note(self._pool_key(pool), release)
        told = data.get(_GATEWAY) if isinstance(data, dict) else None
        if told:
            made[-1] = pool = msgspec.structs.replace(pool, gateway=_told_gateway(told))
        if gateway or not pool.gateway:
            made[-1] = pool = msgspec.structs.replace(pool, gateway=await self._gateway(pool, gateway))
        for name, address in aux.items():
            if ip_interface(address).ip not in ip_network(subnet):
                raise errdefs.Forbidden(
                    f"auxiliary address: ({name}:{address}) must belong to the master pool: {subnet}"
                )
            failure = f"failed to allocate secondary ip address ({name}:{address})"
            got = await self._explained(failure, pool, address, None)
            made[-1] = pool = msgspec.structs.replace(pool, aux_addresses={**pool.aux_addresses, name: got})

    async def _gateway(self, pool: Pool, wanted: str) -> str:
        return await self._explained(f"failed to allocate gateway ({wanted})", pool, wanted, _OF_GATEWAY)

    async def _explained(self, failure: str, pool: Pool, wanted: str, options: Options) -> str:
        try:
            return await self.request(pool, wanted, options)
        except PluginFailure as error:
            raise PluginFailure(f"{failure}: {error.message}") from error

    async def _call(self, method: str, arguments: Mapping[str, Any] | None) -> dict[str, Any]:
        plugin = await self.plugin()
        answer = await plugin.client.call(f"{IPAM}.{method}", arguments)
        if answer.get("Error"):
            raise PluginFailure(f"remote: {answer['Error']}")
        return answer

    async def _tell(self, method: str, arguments: Mapping[str, Any]) -> bool:
        """Whether it was heard: what one that is away holds is taken back at the next boot."""
        try:
            await self._call(method, arguments)
        except errdefs.WherryError as error:
            _log.warning("ipam plugin %s: %s", self._name, error.message)
            return was_heard(error)
        return True

    def _pool_key(self, pool: Pool) -> str:
        return key_of(self._name, pool.id)

    def _address_key(self, pool: Pool, address: str) -> str:
        return key_of(self._name, pool.id, address)


def _pool(pool: Pool, options: Mapping[str, str] | None) -> dict[str, Any]:
    return {
        "AddressSpace": pool.space,
        "Pool": pool.subnet,
        "SubPool": pool.ip_range,
        "Options": options,
        "V6": ":" in pool.subnet,
    }


def _address(pool: Pool, wanted: str, options: Options) -> dict[str, Any]:
    return {"PoolID": pool.id, "Address": wanted, "Options": options}


def _told_gateway(text: Any) -> str:
    try:
        return str(ip_interface(_cidr(text)).ip)
    except PluginFailure as error:
        raise errdefs.InvalidArgument(
            f"failed to parse gateway address ({text}) returned by ipam driver: {error.message}"
        ) from error


def _cidr(text: Any) -> str:
    try:
        if isinstance(text, str) and "/" in text:
            return str(ip_interface(text))
    except ValueError:
        pass
    raise PluginFailure(f"invalid CIDR address: {text}")
