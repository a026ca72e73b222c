"""Waiting until what was set up is of use: the kernel does the rest later, in threads of its own. Blocks.

When one end of a pair comes up, both have their carrier at once, but until the kernel has acted on it, what the outer
end is to send is lost, and its port of a bridge may drop all that comes. So it is with a bridge of which the first port
forwards. And an IPv6 address is there at once, but not yet the route that lets what comes for it in. A neighbour that
was asked for in vain is asked for again after a second.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable
from typing import Final

from network import links
from network.netlink import Rtnetlink

_SECONDS: Final = 1.0
_RTMGRP_LINK: Final = 0x1
_RTMGRP_IPV6_ROUTE: Final = 0x400


def carries(rtnl: Rtnetlink, *, name: str = "", index: int = 0) -> None:
    """Return when the kernel has acted on the interface's carrier, or after a second. Raises NetlinkError.

    From Linux 6.8 on it does so when it is asked for the interface; before, it is waited for.
    """
    until(lambda: not links.find(rtnl, name=name, index=index).unseen, _SECONDS)


def receives(rtnl: Rtnetlink, ipv6: str) -> None:
    """Return when the namespace takes what comes for its address, or after a second."""
    until(lambda: links.is_received(rtnl, ipv6), _SECONDS)


def until(condition: Callable[[], bool], seconds: float) -> None:
    """Return when that is so in the thread's namespace, or after the time.

    It is looked at again with each event of an interface or an IPv6 route.
    """
    if condition():
        return
    end = time.monotonic() + seconds
    family, kind = socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC
    with socket.socket(family, kind, socket.NETLINK_ROUTE) as told:
        told.bind((0, _RTMGRP_LINK | _RTMGRP_IPV6_ROUTE))
        while not condition() and (left := end - time.monotonic()) > 0:
            told.settimeout(left)
            with contextlib.suppress(OSError):  # nothing came, or more than the socket holds
                told.recv(1)
