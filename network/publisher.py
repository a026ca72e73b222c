"""Published ports of containers: the held sockets, the elements in nftables, and the proxies, as one thing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Final

import msgspec

import errdefs
from network import port_groups, portproxy, ports
from network.endpoint import Endpoint
from network.nftables.element import NUMBERS, Family, address
from network.nftables.entry import Entry, Opened, Published
from network.port_groups import Side, Sides
from network.portproxy import Proxy
from network.ports import WILDCARD4, WILDCARD6, Held, PortBinding, PortGiven, PortInUse, PortRequest, Ports
from network.routes import Gateways
from network.rules import Rules
from network.worker import Worker

_log = logging.getLogger(__name__)

_AT_ONCE: Final = 100  # sockets: two milliseconds of the worker's thread
_PAUSE_SECONDS: Final = 0.01


class Publication(msgspec.Struct):
    """What is published for one container (`bindings`, in Docker's order), and where it leads."""

    sides: Sides
    bindings: list[PortBinding] = msgspec.field(default_factory=list)
    held: list[Held] = msgspec.field(default_factory=list)
    entries: list[Entry] = msgspec.field(default_factory=list)
    proxies: list[Proxy] = msgspec.field(default_factory=list)
    ended: bool = False

    def unserve(self) -> None:
        """End the proxies, for good; on the loop. Idempotent."""
        self.ended = True
        for proxy in self.proxies:
            proxy.close()
        self.proxies.clear()


class Publisher:
    """Publishes and withdraws. Sockets and rules are worked on in the worker's thread, proxies on the loop."""

    def __init__(self, worker: Worker, rules: Rules, ports: Ports, *, obey_firewall: bool = False) -> None:
        """`obey_firewall`: what comes from a wire is led by proxies alone, so it passes the host's INPUT rules."""
        self._obey_firewall = obey_firewall
        self._worker = worker
        self._rules = rules
        self._ports = ports
        self._adopted: list[Publication] = []

    async def publish(
        self,
        gateways: Gateways,
        wanted: Sequence[PortRequest],
        record: Callable[[Publication], None],
    ) -> Publication:
        """All ports or none, led to the endpoints that lead out; none to internal networks, nor to other drivers'.

        `record` is called in the worker's thread as soon as there is something to withdraw, even for a caller that was
        cancelled meanwhile. Raises PortInUse with the endpoint's name and Docker's text, InvalidArgument.
        """
        publication = await self._worker.run(lambda: self._publish(gateways, wanted, record))
        self._serve(publication, publication.held)
        return publication

    async def adopt(
        self, gateways: Gateways, bindings: Iterable[PortBinding]
    ) -> tuple[Publication, list[str]]:
        """The ports of a running container are its own again. nftables leads there; for the rest see `hold_adopted`.

        What another container has by now, or what leads nowhere, is not published any more. The second value names
        what is not as it was.
        """
        publication, warnings = await self._worker.run(lambda: self._adopt(gateways, list(bindings)))
        self._adopted.append(publication)
        return publication, warnings

    async def hold_adopted(self) -> None:
        """Hold and serve the ports of all adopted containers, a few at a time: a thousand take little of a boot.

        What cannot be held, for the host has taken it meanwhile, is logged; nftables leads there all the same.
        """
        adopted, self._adopted = self._adopted, []
        left = _AT_ONCE
        for publication in adopted:
            for begin in range(0, len(publication.held), _AT_ONCE):
                some = slice(begin, begin + _AT_ONCE)
                await self._worker.run(partial(self._take_up, publication, some))
                if not publication.ended:
                    self._serve(publication, publication.held[some])
                left -= len(publication.held[some])
                if left <= 0:
                    left = _AT_ONCE
                    await asyncio.sleep(_PAUSE_SECONDS)

    def withdraw(self, publication: Publication) -> None:
        """Take all of it back; for the worker's thread, after `unserve` on the loop. Idempotent."""
        self._rules.remove(publication.entries)
        self._ports.free(publication.held)

    def _publish(
        self,
        gateways: Gateways,
        wanted: Sequence[PortRequest],
        record: Callable[[Publication], None],
    ) -> Publication:
        sides = self._sides(gateways)
        groups = port_groups.group(wanted, sides)
        if self._obey_firewall and any(each.proto == "sctp" and each.addresses for each in groups):
            raise errdefs.InvalidArgument(
                "SCTP ports cannot be published while published-ports is host-firewall: no proxy carries them"
            )
        try:
            held = self._ports.allocate(groups)
        except PortInUse as error:
            endpoint = gateways.ipv4 or gateways.ipv6
            where = f"{endpoint.name} ({endpoint.id})" if endpoint is not None else ""
            raise PortInUse(
                f"driver failed programming external connectivity on endpoint {where}: {error.message}"
            ) from error
        bindings = [each.binding for each in held]
        publication = Publication(sides, bindings, held, self._entries(sides, bindings))
        try:
            self._rules.add(publication.entries)
        except BaseException:
            self._ports.free(held)
            raise
        record(publication)
        self._forget_udp(publication.entries)
        return publication

    def _adopt(self, gateways: Gateways, bindings: list[PortBinding]) -> tuple[Publication, list[str]]:
        sides = self._sides(gateways)
        publication, warnings = Publication(sides), []
        for binding in bindings:
            if (side := sides.of(binding.host_ip)) is None:
                continue  # a disconnect was cut short
            try:
                publication.held.append(self._ports.reserve(binding))
            except PortGiven as error:
                warnings.append(_warning(side, error))
            else:
                publication.bindings.append(binding)
        publication.entries = self._entries(sides, publication.bindings)
        self._rules.expect(publication.entries)
        return publication, warnings

    def _take_up(self, publication: Publication, some: slice) -> None:
        held = publication.held[some]
        for number, each in enumerate(held):
            try:
                held[number] = self._ports.take_up(each)
            except PortInUse as error:
                _log.warning("%s", _warning(publication.sides.of(each.binding.host_ip), error))
        publication.held[some] = held

    def _sides(self, gateways: Gateways) -> Sides:
        """A container without a way out by IPv6 is reached from the host's IPv6 addresses by its IPv4 one."""
        ipv4 = self._side(gateways.ipv4, "ipv4")
        if not ports.has_ipv6():
            return Sides(ipv4)
        if gateways.ipv6 is not None:
            return Sides(ipv4, self._side(gateways.ipv6, "ipv6"))
        return Sides(ipv4, ipv4 and Side(ipv4.endpoint, ipv4.address, ipv4.bridge, "ipv6"))

    def _side(self, endpoint: Endpoint | None, family: Family) -> Side | None:
        if endpoint is None:
            return None
        bridge = self._rules.bridge_of(endpoint.network_id)
        target = endpoint.ipv4 if family == "ipv4" else endpoint.ipv6
        if bridge is None or bridge.internal or not target:
            return None
        return Side(endpoint, target, bridge, family)

    def _entries(self, sides: Sides, bindings: Iterable[PortBinding]) -> list[Entry]:
        """What nftables is told of the bindings."""
        entries: dict[Entry, None] = {}
        for binding in bindings:
            side, host_ip = sides.of(binding.host_ip), binding.host_ip
            if side is None or (":" in side.address) != (":" in host_ip):
                continue  # a proxy carries it
            if binding.host_port and self._is_led_by_kernel(host_ip):
                host_ip = "" if host_ip in (WILDCARD4, WILDCARD6) else host_ip
                led = Published(
                    binding.proto, host_ip, binding.host_port, side.address, binding.container_port
                )
                entries[led] = None
            if side.bridge.opens(side.family):
                entries[Opened(binding.proto, side.address, binding.container_port)] = None
        return list(entries)

    def _is_led_by_kernel(self, host_ip: str) -> bool:
        """A loopback or link-local address of IPv6 cannot be another's source: a proxy carries those."""
        host = address(host_ip)
        if host.version == 6:
            return not (host.is_loopback or host.is_link_local or self._obey_firewall)
        return host.is_loopback or not self._obey_firewall

    def _forget_udp(self, entries: Iterable[Entry]) -> None:
        published = [each for each in entries if isinstance(each, Published) and each.proto == "udp"]
        self._worker.conntrack.forget_ports(NUMBERS["udp"], {each.host_port for each in published})

    def _serve(self, publication: Publication, held: Iterable[Held]) -> None:
        for each in held:
            side = publication.sides.of(each.binding.host_ip)
            if each.socket is None or side is None:
                continue
            target = (side.address, each.binding.container_port)
            proxy = portproxy.make(each.binding.proto, each.socket, target, self._rules.is_internal)
            if proxy is not None:
                publication.proxies.append(proxy)
                proxy.start()


def _warning(side: Side | None, error: PortInUse) -> str:
    return f"endpoint {side.endpoint.name if side else ''}: {error.message}"
