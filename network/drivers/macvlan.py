"""Networks whose endpoints have MAC addresses of their own on the wire of an interface of the host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import errdefs
from network.drivers.driver import NetworkInfo
from network.endpoint import mac_of

_MODE: Final = "macvlan_mode"
_PASSTHRU: Final = "passthru"
_MODES: Final = ("", "bridge", "private", "vepa", _PASSTHRU)


class Macvlan:
    """The style of macvlan networks."""

    kind = "macvlan"
    dummy = "dm-"

    def check(self, options: Mapping[str, str]) -> None:
        """The mode is one of the kernel's."""
        mode = options.get(_MODE, "")
        if mode not in _MODES:
            raise errdefs.InvalidArgument(
                f"requested macvlan mode '{mode}' is not valid, 'bridge' mode is the macvlan driver default"
            )

    def conflict(self, mine: NetworkInfo, other: NetworkInfo, parent: str) -> str:
        """In mode passthru the one endpoint has the parent for itself."""
        if mine.options.get(_MODE) == _PASSTHRU:
            return (
                f"cannot use mode passthru, macvlan network {other.name} ({other.id}) is already using parent interface"
                f" {parent}"
            )
        if other.options.get(_MODE) == _PASSTHRU:
            return (
                f"macvlan network {other.name} ({other.id}) is already using parent interface {parent}"
                " in mode passthru"
            )
        return ""

    def data(self, options: Mapping[str, str]) -> list[tuple[str, Any]]:
        """The mode."""
        return [("IFLA_MACVLAN_MODE", options.get(_MODE) or "bridge")]

    def mac(self, options: Mapping[str, str], wanted: str, address: str) -> str:
        """The parent's in mode passthru: another would become the parent's too."""
        if wanted or options.get(_MODE) == _PASSTHRU or not address:
            return wanted
        return mac_of(address)

    def on_link(self, _: Mapping[str, str]) -> bool:
        """By a gateway."""
        return False
