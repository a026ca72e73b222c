"""Networks whose endpoints share the MAC address of an interface of the host, and have IP addresses of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import errdefs
from network.drivers.driver import NetworkInfo

_MODE: Final = "ipvlan_mode"
_FLAG: Final = "ipvlan_flag"
# Values of the kernel's enums, as in <linux/if_link.h>.
_MODES: Final = {"": 0, "l2": 0, "l3": 1, "l3s": 2}
_FLAGS: Final = {"": 0, "bridge": 0, "private": 1, "vepa": 2}


class Ipvlan:
    """The style of ipvlan networks."""

    kind = "ipvlan"
    dummy = "di-"

    def check(self, options: Mapping[str, str]) -> None:
        """Mode and flag are of the kernel's."""
        mode, flag = options.get(_MODE, ""), options.get(_FLAG, "")
        if mode not in _MODES:
            raise errdefs.InvalidArgument(
                f"requested ipvlan mode '{mode}' is not valid, 'l2' mode is the ipvlan driver default"
            )
        if flag not in _FLAGS:
            raise errdefs.InvalidArgument(
                f"requested ipvlan flag '{flag}' is not valid, 'bridge' is the ipvlan driver default"
            )

    def conflict(self, _: NetworkInfo, other: NetworkInfo, parent: str) -> str:
        """One network for each parent: the mode is the parent's, for all of its interfaces."""
        return f"network {other.name} ({other.id}) is already using parent interface {parent}"

    def data(self, options: Mapping[str, str]) -> list[tuple[str, Any]]:
        """Mode and flag."""
        return [
            ("IFLA_IPVLAN_MODE", _MODES[options.get(_MODE, "")]),
            ("IFLA_IPVLAN_FLAGS", _FLAGS[options.get(_FLAG, "")]),
        ]

    def mac(self, _: Mapping[str, str], wanted: str, address: str) -> str:  # noqa: ARG002
        """The parent's."""
        if wanted:
            raise errdefs.InvalidArgument("ipvlan interfaces do not support custom mac address assignment")
        return ""

    def on_link(self, options: Mapping[str, str]) -> bool:
        """Above layer 2 the parent routes: there is no wire with a gateway on it."""
        return _MODES[options.get(_MODE, "")] != 0
