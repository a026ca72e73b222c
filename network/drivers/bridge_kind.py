"""Makes bridge networks: the default one, and those of users."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from ipaddress import ip_interface, ip_network
from typing import Final

import msgspec

import errdefs
from network.drivers import bridge_device, bridge_options, survey
from network.drivers.bridge import BridgeDriver
from network.drivers.bridge_device import Device, Interface, Wanted
from network.drivers.bridge_options import Options
from network.drivers.default_bridge import DefaultBridge
from network.drivers.driver import NetworkInfo, Pool
from network.drivers.survey import Found
from network.drivers.veth import Veths
from network.ipam.subnet import Network, parse_address
from network.rules import Rules
from network.steps import Steps
from network.subnets import DEFAULT_IPAM
from network.worker import Worker

Complete = Callable[[NetworkInfo], Awaitable[tuple[Pool, ...]]]
_ATTEMPTS: Final = 10


class _ContestedError(Exception):
    """Another daemon chose the same subnet at the same moment, so both let go of it and choose again."""


class BridgeKind:
    """Bridges that it makes carry the alias `wherry:<instance>`. One of that name that is there already is used, with
    the network's addresses added, and stays when the network goes, unless it has the alias. `complete` gives a network
    the pools that it does not ask for. `direct`: others reach published ports by the containers' own addresses.
    """

    def __init__(
        self,
        worker: Worker,
        rules: Rules,
        instance: str,
        complete: Complete,
        steps: Steps,
        *,
        direct: bool = False,
    ) -> None:
        self._direct = direct
        self._worker = worker
        self._steps = steps
        self._rules = rules
        self._complete = complete
        self._owner = f"wherry:{instance}"
        self._veths = Veths(worker.rtnl, instance)
        self._networks: dict[str, NetworkInfo] = {}  # by the bridge's name
        self._survey: dict[str, Found] | None = None  # what was there at boot, as long as nobody looked at it

    async def default(self, name: str, network_id: str, settings: DefaultBridge) -> BridgeDriver:
        """The predefined network, on the bridge `name`.

        Raises InvalidArgument when a bridge that is not ours has another address than it is to have.
        """
        present = await self._worker.run(lambda: self._present(name, settings))
        asked = NetworkInfo(
            name="bridge",
            id=network_id,
            driver="bridge",
            created=datetime.now(UTC),
            pools=tuple(settings.pools(present)),
            enable_ipv6=settings.ipv6,
            options=settings.options(name),
        )
        return await self.create(asked)

    async def create(self, asked: NetworkInfo, /) -> BridgeDriver:
        """A bridge with the gateways' addresses, known to the rules."""
        options = Options.of(asked)
        self._claim(options.name, asked)
        try:
            for _ in range(_ATTEMPTS):
                pools = asked.pools if _leased(asked) else await self._complete(asked)
                made = msgspec.structs.replace(asked, pools=tuple(_settled(pools, asked, options)))
                chosen = _chosen(pools, asked)
                with contextlib.suppress(_ContestedError):
                    return await self._worker.run(partial(self._set_up, made, options, chosen))
                await asyncio.sleep(secrets.randbelow(100) / 1000)  # who shuns us would shun us for ever
            raise errdefs.Conflict(f"others took each subnet for network {asked.name} at the same moment")
        except BaseException:
            self._forget(options.name)
            raise

    async def restore(self, made: NetworkInfo, /) -> BridgeDriver:
        """A bridge that is there is taken with what is on it; one that is not is made again."""
        options = Options.of(made)
        self._claim(options.name, made)
        try:
            return await self._worker.run(partial(self._set_up, made, options, at_boot=True))
        except BaseException:
            self._forget(options.name)
            raise

    async def sweep(self) -> None:
        """Remove host ends of disconnected endpoints that the kernel has not removed yet."""
        await self._worker.run(self._veths.sweep)

    async def remove_strays(self) -> list[str]:
        """Remove interfaces that belong to no endpoint known, and this instance's bridges of no network."""
        return await self._worker.run(lambda: [*self._veths.remove_strays(), *self._remove_bridges()])

    async def remove_all(self) -> None:
        """Remove all endpoints' interfaces of this instance."""
        await self._worker.run(self._veths.remove_all)

    def _claim(self, bridge: str, asked: NetworkInfo) -> None:
        other = self._networks.setdefault(bridge, asked)
        if other is not asked:
            raise errdefs.Forbidden(
                f"cannot create network {asked.id} ({bridge}): conflicts with network {other.id} ({bridge}): "
                "networks have same bridge name"
            )

    def _forget(self, bridge: str) -> None:
        self._networks.pop(bridge, None)

    # What follows runs in the worker's thread.

    def _set_up(
        self, made: NetworkInfo, options: Options, chosen: Sequence[Network] = (), *, at_boot: bool = False
    ) -> BridgeDriver:
        """Raises _ContestedError when another has one of the `chosen` subnets by now."""
        info = msgspec.structs.replace(made, bridge=options.name)
        wanted = Wanted(
            name=options.name,
            addresses=tuple(_addresses(info, options)),
            mtu=options.mtu,
            ipv6=info.enable_ipv6 and options.bridge_has_address(6),
        )
        try:
            device, found = self._device(wanted, at_boot=at_boot)
        except OSError as error:
            raise errdefs.SystemFailure(f"cannot set up bridge {options.name}: {error.strerror}") from error
        try:
            if not found and chosen and bridge_device.is_contested(self._worker.rtnl, device, chosen):
                raise _ContestedError
            if found and at_boot:
                self._rules.expect_bridge(options.rules(info, direct=self._direct))
            else:
                self._rules.add_bridge(options.rules(info, direct=self._direct))
        except BaseException:
            if not found:
                bridge_device.remove(self._worker.rtnl, device)
            raise
        forget = partial(self._forget, options.name)
        return BridgeDriver(
            self._worker, self._veths, self._rules, device, options, info, forget, self._steps
        )

    def _device(self, wanted: Wanted, *, at_boot: bool) -> tuple[Device, bool]:
        """The bridge as it is to be, and whether it was there. Raises OSError, InvalidArgument."""
        rtnl = self._worker.rtnl
        if at_boot and self._survey is None:
            self._survey = survey.bridges(rtnl, self._owner)
        seen = self._survey.pop(wanted.name, None) if self._survey and at_boot else None
        if seen is not None:
            bridge_device.configure(rtnl, seen.device, wanted, seen.addresses, seen.settings)
            return seen.device, True
        device = bridge_device.find(rtnl, wanted.name, self._owner)
        if device is None:
            return bridge_device.make(rtnl, wanted, self._owner), False
        bridge_device.configure(rtnl, device, wanted, bridge_device.addresses(rtnl, device))
        return device, True

    def _present(self, name: str, settings: DefaultBridge) -> list[Interface]:
        """The addresses that the default bridge has already."""
        device = bridge_device.find(self._worker.rtnl, name, self._owner)
        if device is None:
            return []
        present = bridge_device.addresses(self._worker.rtnl, device)
        for bip in (settings.bip, settings.bip6):
            of_family = [
                each
                for each in present
                if bip and each.version == ip_interface(bip).version and not each.is_link_local
            ]
            if of_family and not device.ours and ip_interface(bip) not in of_family:
                raise errdefs.InvalidArgument(
                    f"bridge {name} has the address {of_family[0]}: give no bip, or that one, or remove the address"
                )
        return present

    def _remove_bridges(self) -> list[str]:
        """Of those that were there at boot nobody took the ones that are left."""
        left, self._survey = self._survey, {}
        if left is None:
            left = survey.bridges(self._worker.rtnl, self._owner)
        strays = [
            each.device
            for each in left.values()
            if each.device.ours and each.device.name not in self._networks
        ]
        for device in strays:
            bridge_device.remove(self._worker.rtnl, device)
            self._rules.remove_bridge(device.name)
        return [device.name for device in strays]


def _chosen(pools: Sequence[Pool], asked: NetworkInfo) -> list[Network]:
    """The subnets that nobody asked for by name: who asks for one may have it beside another's."""
    wished = {ip_network(each.subnet) for each in asked.pools if asked.enable_ipv6 or ":" not in each.subnet}
    return [subnet for pool in pools if (subnet := ip_network(pool.subnet)) not in wished]


def _leased(asked: NetworkInfo) -> bool:
    """Whether its pools come from an IPAM plugin, and are complete."""
    return asked.ipam_driver not in DEFAULT_IPAM


def _settled(pools: Sequence[Pool], asked: NetworkInfo, options: Options) -> Iterator[Pool]:
    """Without gateways that the network does not need and that nobody asked for. Raises what a bridge cannot be."""
    bridge_options.verify_pools(pools, internal=asked.internal)
    wished = {parse_address(pool.gateway) for pool in asked.pools}
    for pool in pools:
        version = ip_network(pool.subnet).version
        if options.has_gateway(version, internal=asked.internal) or parse_address(pool.gateway) in wished:
            yield pool
        else:
            yield msgspec.structs.replace(pool, gateway="")


def _addresses(info: NetworkInfo, options: Options) -> Iterator[Interface]:
    """Those of the bridge: the gateways', each with the prefix length of its subnet."""
    for pool in info.pools:
        subnet = ip_network(pool.subnet)
        if pool.gateway and options.bridge_has_address(subnet.version):
            yield ip_interface(f"{pool.gateway}/{subnet.prefixlen}")
