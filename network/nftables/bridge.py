"""What the rules know of a bridge, and the elements that say it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from network.nftables.element import Element, Family, Interface, Network

Mode = Literal["nat", "routed", "nat-unprotected", "isolated"]


class Bridge(msgspec.Struct, frozen=True, kw_only=True):
    """The bridge of network `network_id` (64 hex digits) and how its containers are reached.

    - `internal`: nothing in or out. `icc`: its containers see each other; without, only by links and published ports.
    - `masquerade4`/`masquerade6`: containers are seen outside as the host, by `source4`/`source6` when that is given.
    - `mode4`/`mode6` are Docker's gateway modes: `nat` (published ports alone, by the host's), `routed` (published
      ports by the container's address, no NAT at all), `nat-unprotected` (as nat, and every port by the container's
      address), `isolated` (internal, and the host has no address on the bridge).
    - `host_binding`: the host's address for ports that name none; "" is every address of both families.
    - `trusted`: interfaces of the host whose packets may go to published ports by the container's address.
    - `direct`: packets of all of them may.
    """

    name: str
    network_id: str
    subnets: tuple[Network, ...]
    internal: bool = False
    icc: bool = True
    masquerade4: bool = True
    masquerade6: bool = True
    mode4: Mode = "nat"
    mode6: Mode = "nat"
    source4: str = ""
    source6: str = ""
    host_binding: str = ""
    trusted: tuple[str, ...] = ()
    direct: bool = False

    def mode(self, family: Family) -> Mode:
        """The gateway mode of a family."""
        return self.mode4 if family == "ipv4" else self.mode6

    def opens(self, family: Family) -> bool:
        """Whether a published port is opened at the container's address too."""
        return self.mode(family) == "routed" or bool(self.trusted) or self.direct


def elements(bridge: Bridge) -> Iterator[Element]:
    """All elements of a bridge."""
    name = Interface(bridge.name)
    yield Element("bridges", (name,))
    yield Element("icc" if bridge.icc else "quiet", (name, name))
    if bridge.internal:
        yield Element("internal", (name,))
    for subnet in bridge.subnets:
        if subnet.is_link_local:  # every bridge has those, and nobody routes them
            continue
        yield Element(f"own{subnet.version}", (name, subnet))
        yield from _outward(bridge, subnet)
        yield from _guard(bridge, subnet)
    families: tuple[Family, Family] = ("ipv4", "ipv6")
    for family in families:
        if bridge.mode(family) == "nat-unprotected":
            yield Element("open", (name, family))
        elif bridge.mode(family) == "routed":
            yield Element("ping", (name, family))


def family_of(subnet: Network) -> Family:
    """The family of a subnet."""
    return "ipv4" if subnet.version == 4 else "ipv6"


def _outward(bridge: Bridge, subnet: Network) -> Iterator[Element]:
    """As whom containers of this subnet are seen outside."""
    masquerade, source = (
        (bridge.masquerade4, bridge.source4) if subnet.version == 4 else (bridge.masquerade6, bridge.source6)
    )
    if not masquerade or bridge.internal or bridge.mode(family_of(subnet)) == "routed":
        return
    if source:
        yield Element(f"snat{subnet.version}", (subnet,), (type(subnet.network_address)(source),))
    else:
        yield Element(f"masq{subnet.version}", (subnet,))


def _guard(bridge: Bridge, subnet: Network) -> Iterator[Element]:
    """From where containers of this subnet are reached by their own addresses."""
    if bridge.mode(family_of(subnet)) in ("routed", "nat-unprotected") or bridge.direct:
        return
    yield Element(f"guard{subnet.version}", (subnet,))
    for interface in bridge.trusted:
        yield Element(f"trusted{subnet.version}", (Interface(interface), subnet))
