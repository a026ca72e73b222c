"""What comes and goes with containers: a published port, an opened one, a link. Each is one element."""

from __future__ import annotations

from typing import NamedTuple

from network.nftables.element import Element, Part, Protocol, address


class Published(NamedTuple):
    """A port of the host that leads to a container of the same family. `host_ip` "" is every address of the host."""

    proto: Protocol
    host_ip: str
    host_port: int
    container_ip: str
    container_port: int

    def element(self) -> Element:
        """Of `any4`/`any6` by protocol and port, or `addr4`/`addr6` by host address too."""
        target = address(self.container_ip)
        key: tuple[Part, ...] = (self.proto, self.host_port)
        if self.host_ip:
            key = (address(self.host_ip), *key)
        name = f"{'addr' if self.host_ip else 'any'}{target.version}"
        return Element(name, key, (target, self.container_port))


class Opened(NamedTuple):
    """A port that is reached by the container's own address."""

    proto: Protocol
    container_ip: str
    container_port: int

    def element(self) -> Element:
        """Of `opened4`/`opened6`."""
        container = address(self.container_ip)
        return Element(f"opened{container.version}", (container, self.proto, self.container_port))


class Link(NamedTuple):
    """One container may reach a port of another where containers do not see each other."""

    source_ip: str
    target_ip: str
    proto: Protocol
    port: int

    def element(self) -> Element:
        """Of `link4`/`link6`."""
        source = address(self.source_ip)
        return Element(f"link{source.version}", (source, address(self.target_ip), self.proto, self.port))


Entry = Published | Opened | Link
