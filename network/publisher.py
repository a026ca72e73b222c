"""Published ports of containers: the held sockets, the elements in nftables, and the proxies, as one thing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_address

import errdefs
from network import portproxy
from network.endpoint import Endpoint
from network.nftables.element import NUMBERS
from network.nftables.entry import Published
from network.portproxy import Proxy
from network.ports import WILDCARD4, Held, PortBinding, PortInUse, PortRequest, Ports
from network.rules import Rules
from network.worker import Worker


@dataclass(slots=True)
class Publication:
    """What is published for one endpoint."""

    held: list[Held] = field(default_factory=list)
    elements: list[Published] = field(default_factory=list)
    proxies: list[Proxy] = field(default_factory=list)

    def unserve(self) -> None:
        """End the proxies; on the loop. Idempotent."""
        for proxy in self.proxies:
            proxy.close()
        self.proxies.clear()

    @property
    def bindings(self) -> list[PortBinding]:
        """The bindings, in the order of the requests."""
        return [each.binding for each in self.held]


class Publisher:
    """Publishes and withdraws. Sockets and rules are worked on in the worker's thread, proxies on the loop."""

    def __init__(self, worker: Worker, rules: Rules, ports: Ports) -> None:
        self._worker = worker
        self._rules = rules
        self._ports = ports

    async def publish(
        self, endpoint: Endpoint, wanted: Sequence[PortRequest], record: Callable[[Publication], None]
    ) -> Publication:
        """All ports or none. Raises PortInUse with the endpoint's name and Docker's text, InvalidArgument.

        `record` is called in the worker's thread as soon as there is something to withdraw, even for a caller that was
        cancelled meanwhile.
        """
        checked = [_checked(request) for request in wanted]
        publication = await self._worker.run(lambda: self._publish(endpoint, checked, record))
        self._serve(endpoint, publication)
        return publication

    async def adopt(
        self, endpoint: Endpoint, bindings: Iterable[PortBinding]
    ) -> tuple[Publication, list[str]]:
        """Hold the ports of a running container again; what cannot be held is still led there by nftables.

        The second value names what is not as it was.
        """
        publication, warnings = await self._worker.run(lambda: self._adopt(endpoint, list(bindings)))
        self._serve(endpoint, publication)
        return publication, warnings

    def withdraw(self, publication: Publication) -> None:
        """Take all of it back; for the worker's thread, after `unserve` on the loop. Idempotent."""
        self._rules.remove(publication.elements)
        self._ports.free(publication.held)

    def _publish(
        self, endpoint: Endpoint, wanted: Sequence[PortRequest], record: Callable[[Publication], None]
    ) -> Publication:
        try:
            held = self._ports.allocate(wanted)
        except PortInUse as error:
            raise PortInUse(
                f"driver failed programming external connectivity on endpoint {endpoint.name} ({endpoint.id}): "
                f"{error.message}"
            ) from error
        publication = Publication(held, _elements(endpoint, [each.binding for each in held]))
        try:
            self._rules.add(publication.elements)
        except BaseException:
            self._ports.free(held)
            raise
        record(publication)
        self._forget_udp(publication.elements)
        return publication

    def _adopt(self, endpoint: Endpoint, bindings: list[PortBinding]) -> tuple[Publication, list[str]]:
        publication, warnings = Publication(elements=_elements(endpoint, bindings)), []
        for binding in bindings:
            try:
                publication.held.append(self._ports.hold(binding))
            except PortInUse as error:
                warnings.append(f"endpoint {endpoint.name}: {error.message}")
        self._rules.expect(publication.elements)
        return publication, warnings

    def _forget_udp(self, elements: Iterable[Published]) -> None:
        for each in elements:
            if each.proto == "udp":
                self._worker.conntrack.forget_port(NUMBERS[each.proto], each.host_port)

    def _serve(self, endpoint: Endpoint, publication: Publication) -> None:
        for each in publication.held:
            if each.socket is None:
                continue
            proxy = portproxy.make(
                each.binding.proto, each.socket, (endpoint.ipv4, each.binding.container_port)
            )
            if proxy is not None:
                publication.proxies.append(proxy)
                proxy.start()


def _elements(endpoint: Endpoint, bindings: Iterable[PortBinding]) -> list[Published]:
    """The bindings that nftables serves: those of IPv4."""
    return [
        Published(
            proto=each.proto,
            host_ip="" if each.host_ip == WILDCARD4 else each.host_ip,
            host_port=each.host_port,
            container_ip=endpoint.ipv4,
            container_port=each.container_port,
        )
        for each in bindings
        if ":" not in each.host_ip
    ]


def _checked(request: PortRequest) -> PortRequest:
    """The request with its address in canonical form. Raises InvalidArgument."""
    if request.proto not in NUMBERS:
        raise errdefs.InvalidArgument(f"invalid proto: {request.proto}")
    numbers = (request.container_port, request.host_port_start, request.host_port_end)
    if not 0 < request.container_port <= 65535 or any(not 0 <= number <= 65535 for number in numbers):
        raise errdefs.InvalidArgument(
            f"invalid port in {request.container_port}/{request.proto}: 1 to 65535 are ports"
        )
    if not request.host_ip:
        return request
    try:
        return replace(request, host_ip=str(ip_address(request.host_ip)))
    except ValueError:
        raise errdefs.InvalidArgument(f"invalid host IP address: {request.host_ip}") from None
