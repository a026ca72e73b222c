"""The host forwards packets of containers, and nobody else's on our account.

As Docker does: where forwarding was off and is switched on, the policy of iptables' FORWARD chain becomes DROP first,
so that the host does not become a router for others. What our own table accepts carries a mark, and a rule (MarkRule)
lets that through.
"""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path
from typing import Final

import errdefs
from network import mark_rule, sysctl
from network.mark_rule import MarkRule
from network.nftables.apply import Nft
from network.nftables.element import Family

_log = logging.getLogger(__name__)

_SETTINGS: Final[dict[Family, tuple[str, ...]]] = {
    "ipv4": ("ipv4/ip_forward",),
    "ipv6": ("ipv6/conf/default/forwarding", "ipv6/conf/all/forwarding"),
}
_INTERFACES: Final = Path("/proc/sys/net/ipv6/conf")


class Forwarding:
    """Blocks: for the worker's thread. `enabled` false: the host's forwarding is not touched (ip-forward of Docker).

    `drop` false: the policy of the FORWARD chain is not either (ip-forward-no-drop).
    """

    def __init__(self, nft: Nft, mark: int, comment: str, *, enabled: bool = True, drop: bool = True) -> None:
        self._rule = MarkRule(nft, mark, comment)
        self._enabled = enabled
        self._drop = drop
        self._families: set[Family] = {"ipv4"}

    def enable(self, family: Family = "ipv4") -> None:
        """Switch forwarding of a family on, if we may, and have it obey our rules from now on. Idempotent.

        Raises SystemFailure when the host forbids it.
        """
        self._switch_on(family)
        if family not in self._families:
            self._families.add(family)
            self._rule.ensure([family])

    def ensure(self) -> None:
        """Put the rule where a FORWARD chain could drop what we accept; nothing is done where none does."""
        self._rule.ensure(self._families)

    def is_broken(self) -> bool:
        """Whether a change that nobody is told of took the rule away. Quick."""
        return any(self._rule.is_missing(family) for family in self._families)

    def dismantle(self) -> None:
        """Remove the rule."""
        self._rule.remove()

    def _switch_on(self, family: Family) -> None:
        settings = [each for each in _SETTINGS[family] if sysctl.read(each) == "0"]
        if not self._enabled or not settings:
            return
        if self._drop:
            self._drop_others(family)
        if family == "ipv6":
            _keep_router_advertisements()
        for setting in settings:
            try:
                sysctl.write(setting, "1")
            except OSError as error:
                name = f"net.{setting.replace('/', '.')}=1"
                raise errdefs.SystemFailure(f"cannot enable forwarding ({name}): {error}") from error

    def _drop_others(self, family: Family) -> None:
        program = mark_rule.program(family)
        if program is None:
            _log.warning("the host becomes a router: iptables is not there to set the FORWARD policy to DROP")
        else:
            mark_rule.iptables(program, "-P", "FORWARD", "DROP")


def _keep_router_advertisements() -> None:
    """A host that forwards hears no routers by default: where it heard them until now, it still does (accept_ra=2)."""
    for each in _INTERFACES.iterdir():
        if each.name in ("all", "default", "lo"):
            continue
        name = f"ipv6/conf/{each.name}"
        if sysctl.read(f"{name}/accept_ra") == "1" and sysctl.read(f"{name}/forwarding") == "0":
            with contextlib.suppress(OSError):  # it has just gone
                sysctl.write(f"{name}/accept_ra", "2")
