"""The networks of a controller, and the kinds that make them."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import errdefs
from network import opening
from network.drivers.bridge_kind import BridgeKind
from network.drivers.driver import Driver, Kind, NetworkInfo
from network.drivers.ipvlan import Ipvlan
from network.drivers.macvlan import Macvlan
from network.drivers.paper import PaperDriver, PaperKind
from network.drivers.parents import Parents
from network.drivers.sublink_kind import SublinkKind
from network.held import Held
from network.kinds import Kinds
from network.opening import NetworkConfig
from network.rules import Rules
from network.steps import Steps
from network.subnets import Subnets
from network.worker import Worker

_log = logging.getLogger(__name__)


class Catalog:
    """`drivers` are the networks that are there, by id, in the order in which they were made."""

    def __init__(self, config: NetworkConfig, worker: Worker, rules: Rules, held: Held, steps: Steps) -> None:
        self._config = config
        self._steps = steps
        self._drivers: dict[str, Driver] = {}
        self._subnets = Subnets(worker, self.infos, opening.address_pools(config))
        self._bridges = BridgeKind(
            *(worker, rules, config.instance, self._subnets.complete, steps),
            direct=config.allow_direct_routing,
        )
        parents = Parents(worker.rtnl, opening.owner(config))
        ours: dict[str, Kind] = {
            "bridge": self._bridges,
            "host": PaperKind("host"),
            "null": PaperKind("null"),
            "macvlan": SublinkKind(Macvlan(), worker, parents, self._subnets.complete),
            "ipvlan": SublinkKind(Ipvlan(), worker, parents, self._subnets.complete),
        }
        self._kinds = Kinds(ours, worker, held, self._subnets)

    @property
    def drivers(self) -> Mapping[str, Driver]:
        """A view of them."""
        return self._drivers

    def infos(self) -> list[NetworkInfo]:
        """What they are."""
        return [driver.info for driver in self._drivers.values()]

    def named(self, name: str) -> Driver:
        """Raises NotFound."""
        for driver in self._drivers.values():
            if driver.info.name == name:
                return driver
        raise errdefs.NotFound(f"network {name} not found")

    async def predefine(self) -> None:
        """bridge, host and none."""
        config = self._config
        network_id = opening.network_id(config, "bridge")
        try:
            default = await self._bridges.default(config.bridge, network_id, config.default_bridge)
        finally:
            self._subnets.forget(network_id)
        self._drivers[network_id] = default
        for name in ("host", "none"):
            info = opening.predefined(config, name, default.info.created)
            self._drivers[info.id] = PaperDriver(info)

    async def create(self, asked: NetworkInfo) -> NetworkInfo:
        """See Controller.create_network."""
        kind = self._kinds.of(asked)
        try:
            driver = await self._steps.whole(kind.create(asked), lambda made: made.remove())
            self._drivers[driver.info.id] = driver
        finally:
            self._subnets.forget(asked.id)
        return driver.info

    async def restore(self, made: NetworkInfo) -> None:
        """See Controller.restore_network."""
        self._drivers[made.id] = await self._kinds.of(made).restore(made)

    async def remove(self, network_id: str) -> None:
        """See Controller.remove_network."""
        driver = self._drivers.get(network_id)
        if driver is not None:
            await self._steps.to_the_end(driver.remove())
            self._drivers.pop(network_id, None)

    async def remove_strays(self) -> None:
        """Remove interfaces of this instance that belong to no network and no endpoint."""
        for kind in self._kinds:
            strays = await kind.remove_strays()
            if strays:
                _log.info("removed interfaces that belong to nothing: %s", ", ".join(strays))

    def sweep(self) -> None:
        """Begin to remove what disconnected endpoints left and the kernel has not removed yet."""
        for kind in self._kinds:
            self._steps.spawn(kind.sweep())

    async def dismantle(self) -> None:
        """Remove all networks from the kernel."""
        await self._bridges.remove_all()
        for driver in list(self._drivers.values()):
            try:
                await driver.remove()
            except (errdefs.WherryError, OSError) as error:
                _log.error("network %s: cannot be removed: %s", driver.info.name, error)
