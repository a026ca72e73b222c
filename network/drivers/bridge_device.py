"""Bridge interfaces of the host: found or made, with addresses. What blocks is for the worker's thread."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import secrets
import socket
from collections.abc import Sequence
from ipaddress import IPv4Interface, IPv6Interface, ip_interface, ip_network

import msgspec

import errdefs
from network import changes, links, messages, netlink, sysctl
from network.ipam.pools import overlap
from network.ipam.subnet import Network
from network.links import Settings
from network.netlink import NetlinkError, Rtnetlink
from network.nftables import elements
from network.nftables.transaction import NftError, Transactions
from network.steps import Steps
from network.worker import Worker

_log = logging.getLogger(__name__)

Interface = IPv4Interface | IPv6Interface


class Device(msgspec.Struct, frozen=True):
    """A bridge as it was found. `ours`: this instance made it, so that it may readdress and remove it."""

    name: str
    index: int
    ours: bool
    up: bool = False


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """How a bridge is to be: its addresses, with prefix lengths; `mtu` 0 is the kernel's default."""

    name: str
    addresses: Sequence[Interface] = ()
    mtu: int = 0
    ipv6: bool = False


def reserve(name: str) -> Transactions:
    """Keep other daemons off the bridge until what is returned is closed: two would give the same addresses.

    An empty nftables table with an owner is a lock of this network namespace that root alone can take, that nobody else
    can remove, and that goes with its process. A kernel before 5.12 has none, and then there is no lock.
    Raises Conflict.
    """
    holder = Transactions()
    try:
        holder.commit([elements.lock(f"wherry_lock_{name.encode().hex()}")])
    except NftError as error:
        if error.errno == errno.EPERM:
            holder.close()
            raise errdefs.Conflict(
                f"bridge {name} is used by another wherryd: give each its own (--bridge)"
            ) from error
        _log.warning("bridge %s cannot be locked against a second wherryd: %s", name, error.strerror)
    return holder


def find(rtnl: Rtnetlink, name: str, owner: str) -> Device | None:
    """The bridge of that name; `owner` is the alias of those of this instance. InvalidArgument when it is no bridge."""
    try:
        found = links.find(rtnl, name=name)
    except NetlinkError as error:
        if error.errno == errno.ENODEV:
            return None
        raise
    if found.kind != "bridge":
        raise errdefs.InvalidArgument(f"existing interface {name} is not a bridge")
    return Device(name, found.index, found.alias == owner, found.up)


def addresses(rtnl: Rtnetlink, device: Device) -> list[Interface]:
    """Those of a bridge, with the link-local ones that the kernel gives by itself."""
    return [ip_interface(each) for each in links.addresses(rtnl, device.index)]


def make(rtnl: Rtnetlink, wanted: Wanted, owner: str) -> Device:
    """A new bridge, up. Raises OSError; nothing is left then."""
    rtnl.batch(
        [
            (netlink.RTM_NEWLINK, netlink.CREATE, messages.link(attrs=_attributes(wanted))),
            (
                netlink.RTM_SETLINK,
                0,
                messages.link(attrs=[("IFLA_IFNAME", wanted.name), ("IFLA_IFALIAS", owner)]),
            ),
        ]
    )
    device = Device(wanted.name, socket.if_nametoindex(wanted.name), ours=True)
    try:
        configure(rtnl, device, wanted, ())
    except BaseException:
        remove(rtnl, device)
        raise
    return device


def configure(
    rtnl: Rtnetlink,
    device: Device,
    wanted: Wanted,
    present: Sequence[Interface],
    settings: Settings = Settings(),  # noqa: B008 - a value
) -> None:
    """Let a bridge be as it is wanted, and up, without touching what is right. Raises OSError.

    Of a bridge that is another's nothing is taken away. 127.0.0.1 reaches published ports by it; it follows no router
    of a container, and takes no part in IPv6 when its network has none. `settings` are those that are known already.
    """
    if settings.route_localnet != 1:
        sysctl.write(f"ipv4/conf/{device.name}/route_localnet", "1")
    if (device.ours or wanted.ipv6) and not _has_ipv6(settings, enable=wanted.ipv6):
        _configure_ipv6(device.name, enable=wanted.ipv6)
    new = [each for each in wanted.addresses if each not in present]
    old = [each for each in present if device.ours and each not in (*wanted.addresses, *_of_kernel(present))]
    if device.up and not new and not old:
        return
    rtnl.batch(
        [
            *((netlink.RTM_DELADDR, 0, changes.address(device.index, str(each))) for each in old),
            *(
                (netlink.RTM_NEWADDR, netlink.REPLACE, changes.address(device.index, str(each)))
                for each in new
            ),
            (netlink.RTM_SETLINK, 0, changes.up(device.index)),
        ]
    )


def is_contested(rtnl: Rtnetlink, device: Device, subnets: Sequence[Network]) -> bool:
    """Whether the host sends packets to one of the bridge's subnets, or to part of it, by another interface, too."""
    return any(
        route.interface != device.index and overlap(ip_network(route.destination), subnet)
        for version, family in ((4, socket.AF_INET), (6, socket.AF_INET6))
        for subnet in subnets
        if subnet.version == version
        for route in links.routes(rtnl, family)
    )


def remove(rtnl: Rtnetlink, device: Device) -> None:
    """Remove a bridge that this instance made; another's stays. Idempotent."""
    if device.ours:
        with contextlib.suppress(NetlinkError):
            rtnl.batch([(netlink.RTM_DELLINK, 0, changes.link(index=device.index))])


async def vanish(worker: Worker, steps: Steps, device: Device) -> None:
    """As `remove`, without waiting for all of it: the host has no such interface on return.

    The kernel goes on for twice as long (it waits for RCU), in a thread that nobody needs. It holds the rtnl lock until
    the interface is gone, so the question whether it is there is answered at that moment.
    """
    if not device.ours:
        return
    removal = steps.spawn(asyncio.to_thread(_remove_alone, device))
    while not removal.done() and await worker.run(lambda: _is_there(worker.rtnl, device.index)):
        pass


def _remove_alone(device: Device) -> None:
    with Rtnetlink() as rtnl:
        remove(rtnl, device)


def _is_there(rtnl: Rtnetlink, index: int) -> bool:
    try:
        links.find(rtnl, index=index)
    except NetlinkError:
        return False
    return True


def _attributes(wanted: Wanted) -> list[tuple[str, object]]:
    """A fixed MAC address: else it is the lowest of the ports', and changes with them."""
    attrs: list[tuple[str, object]] = [
        ("IFLA_IFNAME", wanted.name),
        ("IFLA_ADDRESS", "02:42:" + secrets.token_bytes(4).hex(":")),
        ("IFLA_LINKINFO", {"attrs": [("IFLA_INFO_KIND", "bridge")]}),
    ]
    return [*attrs, ("IFLA_MTU", wanted.mtu)] if wanted.mtu else attrs


def _of_kernel(present: Sequence[Interface]) -> list[Interface]:
    return [each for each in present if each.version == 6 and each.is_link_local]


def _has_ipv6(settings: Settings, *, enable: bool) -> bool:
    """Whether the settings are already those that _configure_ipv6 makes."""
    if enable:
        return (settings.accept_ra, settings.accept_dad, settings.disable_ipv6) == (0, 0, 0)
    return (settings.accept_ra, settings.disable_ipv6) == (0, 1)


def _configure_ipv6(name: str, *, enable: bool) -> None:
    try:
        sysctl.write(f"ipv6/conf/{name}/accept_ra", "0")
        if enable:
            sysctl.write(f"ipv6/conf/{name}/accept_dad", "0")
        sysctl.write(f"ipv6/conf/{name}/disable_ipv6", "0" if enable else "1")
    except FileNotFoundError:  # a kernel without IPv6
        if enable:
            raise
