"""An interface that a plugin made on the host: moved into a sandbox, named and addressed there, and moved back.

Blocks: for the worker's thread.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Sequence

import errdefs
from network import changes, interface, netlink, netns, sysctl
from network.drivers.remote_messages import Route
from network.endpoint import Endpoint
from network.interface import Finish
from network.netlink import Rtnetlink


def take(rtnl: Rtnetlink, fd: int, endpoint: Endpoint, routes: Sequence[Route], finish: Finish) -> None:
    """Move `endpoint.source` into the namespace `fd`, as `endpoint.interface`: addresses, up, routes, and the rest.

    Raises SystemFailure in Docker's words, and what `finish` does; the interface is on the host again then.
    """
    failure = f"failed to add interface {endpoint.source} to sandbox"
    try:
        index = socket.if_nametoindex(endpoint.source)
    except OSError as error:
        raise errdefs.SystemFailure(
            f'{failure}: failed to get link by name "{endpoint.source}": Link not found'
        ) from error
    try:
        rtnl.batch([(netlink.RTM_SETLINK, 0, changes.link(changes.in_namespace(fd), index=index))])
        netns.inside(fd, lambda: _set_up(endpoint, routes, finish))
    except BaseException as error:
        give_back(fd, endpoint)
        if not isinstance(error, OSError):
            raise
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


def _set_up(endpoint: Endpoint, routes: Sequence[Route], finish: Finish) -> None:
    """The name cannot be changed while it is up, nor routes be there before it is."""
    index = socket.if_nametoindex(endpoint.source)
    mac = changes.hardware(endpoint.mac) if endpoint.mac else b""
    with Rtnetlink() as rtnl:
        rtnl.batch([(netlink.RTM_SETLINK, 0, changes.down(index))])
        rtnl.batch(
            [(netlink.RTM_SETLINK, 0, changes.link(changes.named(endpoint.interface), mac, index=index))]
        )
        with contextlib.suppress(FileNotFoundError):  # a kernel without IPv6
            sysctl.write(f"ipv6/conf/{endpoint.interface}/disable_ipv6", "0" if endpoint.ipv6 else "1")
        rtnl.batch(
            [
                *(
                    (netlink.RTM_NEWADDR, netlink.CREATE, changes.address(index, each))
                    for each in interface.addresses(endpoint)
                ),
                (netlink.RTM_SETLINK, 0, changes.up(index)),
                *(
                    (
                        netlink.RTM_NEWROUTE,
                        netlink.CREATE,
                        changes.route(index, each.destination, each.gateway),
                    )
                    for each in routes
                ),
            ]
        )
        finish(endpoint, rtnl)


def _move_out(endpoint: Endpoint, host: int) -> None:
    index = socket.if_nametoindex(endpoint.interface if _named(endpoint.interface) else endpoint.source)
    with Rtnetlink() as rtnl:
        rtnl.batch([(netlink.RTM_SETLINK, 0, changes.down(index))])
        rtnl.batch([(netlink.RTM_SETLINK, 0, changes.link(changes.named(endpoint.source), index=index))])
        rtnl.batch([(netlink.RTM_SETLINK, 0, changes.link(changes.in_namespace(host), index=index))])


def _named(name: str) -> bool:
    return name in {each for _, each in socket.if_nameindex()}
