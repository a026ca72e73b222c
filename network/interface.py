"""An endpoint's interface inside its sandbox: settings, addresses, up. Blocks: for a thread in the namespace."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from ipaddress import ip_address
from typing import Final

import msgspec

import errdefs
from network import changes, links, netlink, settled, sysctl
from network.endpoint import Endpoint
from network.netlink import Rtnetlink

_LINK_LOCAL: Final = {4: 16, 6: 64}
PLACEHOLDER: Final = "IFNAME"

Finish = Callable[[Endpoint, Rtnetlink], None]
"""What else is to be done in the sandbox, by the thread that set up the endpoint's interface. Raises errdefs."""


def set_up(endpoint: Endpoint, sysctls: Mapping[str, str], finish: Finish) -> Endpoint:
    """The interface is there by its name, and down: it gets what the endpoint says. Then the rest is done.

    `sysctls` by their names with IFNAME in the place of the interface's. Returns what it became: with the MAC address
    that it has, without IPv6 when a sysctl forbids that. Raises OSError, InvalidArgument for a sysctl that cannot be,
    and what `finish` does.
    """
    name = endpoint.interface
    _prepare(name, ipv6=bool(endpoint.ipv6))
    for key, value in sysctls.items():
        _write(key, name, value)
    if endpoint.ipv6 and sysctl.read(f"ipv6/conf/{name}/disable_ipv6") == "1":
        endpoint = msgspec.structs.replace(endpoint, ipv6="", ipv6_prefix_len=0, ipv6_gateway="")
    with Rtnetlink() as rtnl:
        found = links.find(rtnl, name=name)
        endpoint = msgspec.structs.replace(endpoint, mac=found.mac)
        rtnl.batch(
            [
                (netlink.RTM_SETLINK, 0, changes.up(found.index)),
                *(
                    (netlink.RTM_NEWADDR, netlink.CREATE, changes.address(found.index, each))
                    for each in addresses(endpoint)
                ),
            ]
        )
        finish(endpoint, rtnl)
        if endpoint.ipv6:
            settled.receives(rtnl, endpoint.ipv6)
    return endpoint


def addresses(endpoint: Endpoint) -> Iterator[str]:
    """All of its addresses with their prefix lengths."""
    if endpoint.ipv4:
        yield f"{endpoint.ipv4}/{endpoint.prefix_len}"
    if endpoint.ipv6:
        yield f"{endpoint.ipv6}/{endpoint.ipv6_prefix_len}"
    for text in endpoint.link_local:
        yield f"{text}/{_LINK_LOCAL[ip_address(text).version]}"


def _prepare(name: str, *, ipv6: bool) -> None:
    """IPv6 where the network has it, else none at all; no route from an advertisement, no wait for duplicates."""
    try:
        if ipv6:
            sysctl.write(f"ipv6/conf/{name}/accept_ra", "0")
            sysctl.write(f"ipv6/conf/{name}/accept_dad", "0")
        sysctl.write(f"ipv6/conf/{name}/disable_ipv6", "0" if ipv6 else "1")
    except FileNotFoundError:  # a kernel without IPv6
        if ipv6:
            raise


def _write(key: str, interface: str, value: str) -> None:
    """By path, for an interface's name may have dots in it. No slash comes from outside: it stays in /proc/sys/net."""
    before, _, after = key.removeprefix("net.").partition(f".{PLACEHOLDER}.")
    shown = f"{key.replace(PLACEHOLDER, interface)}={value}"
    if not key.startswith("net.") or not after or "/" in key:
        raise errdefs.InvalidArgument(f"failed to set sysctl {shown}: it is no setting of an interface")
    try:
        sysctl.write("/".join((before.replace(".", "/"), interface, after.replace(".", "/"))), value)
    except OSError as error:
        raise errdefs.InvalidArgument(f"failed to set sysctl {shown}: {error.strerror}") from error
