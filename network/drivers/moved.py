"""An interface that a plugin made on the host: moved into a sandbox, named and addressed there, and moved back.

Blocks: for the worker's thread.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Sequence
from ipaddress import ip_interface
from typing import Any, Final

import errdefs
from network import netlink, netns, sysctl
from network.drivers.remote_messages import Route
from network.endpoint import Endpoint
from network.messages import rtmsg
from network.netlink import Rtnetlink

_IFF_UP: Final = 1
_MAIN_TABLE: Final = 254
_BOOT: Final = 3
_UNICAST: Final = 1
_LINK: Final = 253


def take(rtnl: Rtnetlink, fd: int, endpoint: Endpoint, routes: Sequence[Route]) -> None:
    """Move `endpoint.source` into the namespace `fd`, as `endpoint.interface`: addresses, up, routes.

    Raises SystemFailure in Docker's words; the interface is on the host again then.
    """
    failure = f"failed to add interface {endpoint.source} to sandbox"
    try:
        index = socket.if_nametoindex(endpoint.source)
    except OSError as error:
        raise errdefs.SystemFailure(
            f'{failure}: failed to get link by name "{endpoint.source}": Link not found'
        ) from error
    try:
        rtnl.batch([(netlink.RTM_SETLINK, 0, netlink.link(index, attrs=[("IFLA_NET_NS_FD", fd)]))])
        netns.inside(fd, lambda: _set_up(endpoint, routes))
    except OSError as error:
        give_back(fd, endpoint)
        raise errdefs.SystemFailure(f"{failure}: {error.strerror}") from error


def give_back(fd: int, endpoint: Endpoint) -> None:
    """Move it out again, down and under its old name. One that is gone is no failure, nor one that has to stay."""
    if not endpoint.source or fd < 0:
        return
    host = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):
            netns.inside(fd, lambda: _move_out(endpoint, host))
    finally:
        os.close(host)


def is_there(fd: int, endpoint: Endpoint) -> bool:
    """Whether the sandbox has its interface still."""
    try:
        netns.inside(fd, lambda: socket.if_nametoindex(endpoint.interface))
    except OSError:
        return False
    return True


def free_name(fd: int, prefix: str) -> str:
    """The first name of that prefix that no interface in the namespace has."""
    used = {name for _, name in netns.inside(fd, socket.if_nameindex)}
    return next(name for number in range(len(used) + 1) if (name := f"{prefix}{number}") not in used)


def _set_up(endpoint: Endpoint, routes: Sequence[Route]) -> None:
    """The name cannot be changed while it is up, nor routes be there before it is."""
    index = socket.if_nametoindex(endpoint.source)
    attrs: list[tuple[Any, ...]] = [("IFLA_IFNAME", endpoint.interface)]
    if endpoint.mac:
        attrs.append(("IFLA_ADDRESS", endpoint.mac))
    with Rtnetlink() as rtnl:
        rtnl.batch([(netlink.RTM_SETLINK, 0, netlink.link(index, change=_IFF_UP))])
        rtnl.batch([(netlink.RTM_SETLINK, 0, netlink.link(index, attrs=attrs))])
        with contextlib.suppress(FileNotFoundError):  # a kernel without IPv6
            sysctl.write(f"ipv6/conf/{endpoint.interface}/disable_ipv6", "0" if endpoint.ipv6 else "1")
        rtnl.batch(
            [
                *(
                    (netlink.RTM_NEWADDR, netlink.CREATE, _address(index, each))
                    for each in _addresses(endpoint)
                ),
                (netlink.RTM_SETLINK, 0, netlink.link(index, flags=_IFF_UP, change=_IFF_UP)),
                *((netlink.RTM_NEWROUTE, netlink.CREATE, _route(index, each)) for each in routes),
            ]
        )


def _move_out(endpoint: Endpoint, host: int) -> None:
    index = socket.if_nametoindex(endpoint.interface if _named(endpoint.interface) else endpoint.source)
    with Rtnetlink() as rtnl:
        rtnl.batch([(netlink.RTM_SETLINK, 0, netlink.link(index, change=_IFF_UP))])
        rtnl.batch([(netlink.RTM_SETLINK, 0, netlink.link(index, attrs=[("IFLA_IFNAME", endpoint.source)]))])
        rtnl.batch([(netlink.RTM_SETLINK, 0, netlink.link(index, attrs=[("IFLA_NET_NS_FD", host)]))])


def _named(name: str) -> bool:
    return name in {each for _, each in socket.if_nameindex()}


def _addresses(endpoint: Endpoint) -> list[str]:
    own = [f"{endpoint.ipv4}/{endpoint.prefix_len}"] if endpoint.ipv4 else []
    if endpoint.ipv6:
        own.append(f"{endpoint.ipv6}/{endpoint.ipv6_prefix_len}")
    return [*own, *(f"{each}/{64 if ':' in each else 16}" for each in endpoint.link_local)]


def _address(index: int, cidr: str) -> netlink.Message:
    interface = ip_interface(cidr)
    wide = interface.version == 4 and interface.network.prefixlen < 31
    broadcast = str(interface.network.broadcast_address) if wide else None
    return netlink.address(index, str(interface.ip), interface.network.prefixlen, broadcast=broadcast)


def _route(index: int, route: Route) -> netlink.Message:
    """By a gateway that the interface reaches, else to what is on the wire."""
    destination, _, size = route.destination.partition("/")
    message = rtmsg()
    message["family"], message["dst_len"] = netlink.family_of(destination), int(size)
    message["table"], message["proto"], message["type"] = _MAIN_TABLE, _BOOT, _UNICAST
    message["attrs"] = [("RTA_OIF", index)]
    if int(size):
        message["attrs"].append(("RTA_DST", destination))
    if route.gateway:
        message["attrs"].append(("RTA_GATEWAY", route.gateway))
    else:
        message["scope"] = _LINK
    return message
