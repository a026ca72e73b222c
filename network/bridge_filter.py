"""Lets the rules see what goes from port to port of one bridge, as containers that must not see each other need it."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Final

import errdefs
from network import mark_rule, messages, netlink
from network.netlink import Rtnetlink

_SETTINGS: Final = Path("/proc/sys/net/bridge")
_CALL: Final = [("IFLA_BR_NF_CALL_IPTABLES", 1), ("IFLA_BR_NF_CALL_IP6TABLES", 1)]


def enable(rtnl: Rtnetlink, name: str) -> None:
    """Have the frames of this bridge, and of no other, pass the rules. Blocks. Raises SystemFailure."""
    if not _SETTINGS.is_dir():
        modprobe = mark_rule.find("modprobe")
        if modprobe is not None:
            mark_rule.run(modprobe, "-q", "br_netfilter")
    if not _SETTINGS.is_dir():
        raise errdefs.SystemFailure(
            "cannot restrict inter-container communication: the kernel has no br_netfilter"
        )
    data = ("IFLA_INFO_DATA", {"attrs": _CALL})
    info = ("IFLA_LINKINFO", {"attrs": [("IFLA_INFO_KIND", "bridge"), data]})
    try:
        change = messages.link(socket.if_nametoindex(name), attrs=[info])
        rtnl.batch([(netlink.RTM_NEWLINK, 0, change)])
    except OSError as error:
        raise errdefs.SystemFailure(
            f"cannot restrict inter-container communication: bridge {name}: {error.strerror}"
        ) from error
