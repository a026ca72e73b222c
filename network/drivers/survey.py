"""All bridges of the host as they are, asked for at once: a boot with many networks looks at each."""

from __future__ import annotations

from ipaddress import ip_interface

import msgspec

from network import links
from network.drivers.bridge_device import Device, Interface
from network.links import Settings
from network.netlink import Rtnetlink


class Found(msgspec.Struct, frozen=True):
    """A bridge, its addresses with the link-local ones that the kernel gives by itself, and its settings."""

    device: Device
    addresses: tuple[Interface, ...]
    settings: Settings


def bridges(rtnl: Rtnetlink, owner: str) -> dict[str, Found]:
    """By name; `owner` is the alias of those of this instance. Blocks: for the worker's thread."""
    addresses: dict[int, list[Interface]] = {}
    for index, cidr in links.every_address(rtnl):
        addresses.setdefault(index, []).append(ip_interface(cidr))
    return {
        each.name: Found(
            Device(each.name, each.index, each.alias == owner, each.up),
            tuple(addresses.get(each.index, ())),
            each.settings,
        )
        for each in links.every(rtnl, "bridge")
    }
