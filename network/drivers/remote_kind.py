"""Makes the networks of plugins."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

import errdefs
from network.drivers.driver import NetworkInfo, Pool
from network.drivers.remote import RemoteDriver
from network.held import Held
from network.subnets import DEFAULT_IPAM
from network.worker import Worker
from plugins.registry import NETWORK

Complete = Callable[[NetworkInfo], Awaitable[tuple[Pool, ...]]]


class RemoteKind:
    """The networks of plugins. `complete` gives one the subnets that it did not ask for."""

    def __init__(self, held: Held, worker: Worker, complete: Complete) -> None:
        self._held = held
        self._worker = worker
        self._complete = complete

    async def create(self, asked: NetworkInfo, /) -> RemoteDriver:
        """Raises what `prepare` does, and PluginFailure."""
        asked = await self.prepare(asked)
        made = msgspec.structs.replace(asked, pools=await self._pools(asked))
        driver = RemoteDriver(self._held, self._worker, made)
        await driver.create()
        return driver

    async def prepare(self, asked: NetworkInfo) -> NetworkInfo:
        """With the scope that the plugin has, activated if need be. Raises what Plugins.get does, Forbidden."""
        plugin = await self._held.plugins.get(asked.driver, NETWORK)
        if asked.ingress and plugin.scope != "global":
            raise errdefs.Forbidden("Ingress network can only be global scope network")
        return msgspec.structs.replace(asked, scope=plugin.scope)

    async def restore(self, made: NetworkInfo, /) -> RemoteDriver:
        """The plugin is not asked: it knows the network."""
        self._held.keep(made.id)
        return RemoteDriver(self._held, self._worker, made)

    async def sweep(self) -> None:
        """Nothing is left to be removed later."""

    async def remove_strays(self) -> list[str]:
        """Interfaces are the plugin's."""
        return []

    async def _pools(self, asked: NetworkInfo) -> tuple[Pool, ...]:
        """Those of an IPAM plugin are complete; without IPAM the plugin itself knows addresses, should it give any."""
        if asked.ipam_driver in DEFAULT_IPAM:
            return await self._complete(asked)
        if asked.ipam_driver == "null":
            return (Pool(subnet="0.0.0.0/0"), *([Pool(subnet="::/0")] if asked.enable_ipv6 else []))
        return asked.pools
