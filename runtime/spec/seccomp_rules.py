"""Conditional seccomp rules, and which of them count for a container on a host."""

from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from runtime.spec.host import Host, Kernel

ALLOW = "SCMP_ACT_ALLOW"
ERRNO = "SCMP_ACT_ERRNO"


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """When a rule counts: architectures (any of), capabilities and a kernel; what is empty is not asked."""

    arches: tuple[str, ...] = ()
    caps: tuple[str, ...] = ()
    min_kernel: Kernel | None = None


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """System calls and what happens to them, where `includes` hold and nothing of `excludes` does."""

    names: tuple[str, ...]
    action: str = ALLOW
    errno_ret: int | None = None
    args: tuple[dict[str, int | str], ...] = ()
    includes: Condition = msgspec.field(default_factory=Condition)
    excludes: Condition = msgspec.field(default_factory=Condition)

    def to_oci(self) -> dict[str, Any]:
        """Return the spec's linux.seccomp.syscalls entry."""
        entry: dict[str, Any] = {"names": list(self.names), "action": self.action}
        if self.errno_ret is not None:
            entry["errnoRet"] = self.errno_ret
        if self.args:
            entry["args"] = list(self.args)
        return entry


def select(rules: Sequence[Rule], caps: Collection[str], host: Host) -> list[Rule]:
    """Return the rules that count for these capabilities on this host, in their order."""
    return [
        rule
        for rule in rules
        if _included(rule.includes, caps, host) and not _excluded(rule.excludes, caps, host)
    ]


def _included(wanted: Condition, caps: Collection[str], host: Host) -> bool:
    return (
        (not wanted.arches or host.arch in wanted.arches)
        and all(name in caps for name in wanted.caps)
        and (wanted.min_kernel is None or host.kernel >= wanted.min_kernel)
    )


def _excluded(unwanted: Condition, caps: Collection[str], host: Host) -> bool:
    return (
        host.arch in unwanted.arches
        or any(name in caps for name in unwanted.caps)
        or (unwanted.min_kernel is not None and host.kernel >= unwanted.min_kernel)
    )
