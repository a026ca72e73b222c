"""Seccomp: the default allow-list, and conditional rules turned into the spec's plain ones."""

import errno
import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from runtime.spec import syscalls

ALLOW = "SCMP_ACT_ALLOW"
ERRNO = "SCMP_ACT_ERRNO"

Kernel = tuple[int, int]
"""Version and major revision: (4, 8)."""

_MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "i686": "x86", "armv7l": "arm", "loongarch64": "loong64"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """When a rule counts: architectures (any of), capabilities and a kernel; what is empty is not asked."""

    arches: tuple[str, ...] = ()
    caps: tuple[str, ...] = ()
    min_kernel: Kernel | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """System calls and what happens to them, where `includes` hold and nothing of `excludes` does."""

    names: tuple[str, ...]
    action: str = ALLOW
    errno_ret: int | None = None
    args: tuple[dict[str, int | str], ...] = ()
    includes: Condition = field(default_factory=Condition)
    excludes: Condition = field(default_factory=Condition)

    def to_oci(self) -> dict[str, Any]:
        """Return the spec's linux.seccomp.syscalls entry."""
        entry: dict[str, Any] = {"names": list(self.names), "action": self.action}
        if self.errno_ret is not None:
            entry["errnoRet"] = self.errno_ret
        if self.args:
            entry["args"] = list(self.args)
        return entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What rules may depend on besides capabilities: `arch` by Docker's names, and the kernel."""

    arch: str
    kernel: Kernel


def this_host() -> Host:
    """Return what this machine is."""
    found = os.uname()
    return Host(arch=_MACHINES.get(found.machine, found.machine), kernel=parse_release(found.release))


def parse_release(release: str) -> Kernel:
    """Return (6, 1) for "6.1.0-18-amd64"; what cannot be read is (0, 0), on which no rule is new enough."""
    version, _, rest = release.partition(".")
    digits = "".join(_leading_digits(rest))
    return (int(version), int(digits)) if version.isdecimal() and digits else (0, 0)


def default_profile(
    caps: Collection[str], arch: str | None = None, kernel: Kernel | None = None
) -> dict[str, Any]:
    """Return the profile of a container whose bounding set is `caps`, as the spec's linux.seccomp.

    `arch` and `kernel` are this host's unless given. What no rule allows fails with EPERM; clone3 without
    CAP_SYS_ADMIN with ENOSYS, so that libc falls back to clone, whose flags can be looked at.
    """
    here = this_host()
    host = Host(arch=arch or here.arch, kernel=kernel or here.kernel)
    return {
        "defaultAction": ERRNO,
        "defaultErrnoRet": errno.EPERM,
        "architectures": list(syscalls.ARCHITECTURES.get(host.arch, ())),
        "syscalls": [rule.to_oci() for rule in select(_default_rules(), caps, host)],
    }


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


def _default_rules() -> list[Rule]:
    everywhere = " ".join(syscalls.ALWAYS.values())
    return [
        _allow(everywhere),
        *(_allow(names, Condition(min_kernel=kernel)) for kernel, names in syscalls.SINCE_KERNEL.items()),
        *(_allow(names, Condition(caps=(cap,))) for cap, names in syscalls.WITH_CAPABILITY.items()),
        *(_allow(names, Condition(arches=arches)) for arches, names in syscalls.ON_ARCHITECTURE.items()),
        *_sockets(),
        *(_allow_if("personality", 0, "SCMP_CMP_EQ", value) for value in syscalls.PERSONALITIES),
        *_clones(),
    ]


def _allow(names: str, includes: Condition | None = None) -> Rule:
    return Rule(names=tuple(sorted(names.split())), includes=includes or Condition())


def _allow_if(name: str, index: int, op: str, value: int) -> Rule:
    return Rule(names=(name,), args=({"index": index, "value": value, "op": op},))


def _sockets() -> Iterator[Rule]:
    """Yield rules that let socket(2) through for every family but the two denied.

    Rules of one call are alternatives, so "neither" is said as three ranges. socketcall(2) of 32-bit x86
    hides its arguments behind a pointer: only an LSM can look there.
    """
    first, second = syscalls.ADDRESS_FAMILIES_DENIED
    yield _allow_if("socket", 0, "SCMP_CMP_LT", first)
    for family in range(first + 1, second):
        yield _allow_if("socket", 0, "SCMP_CMP_EQ", family)
    yield _allow_if("socket", 0, "SCMP_CMP_GT", second)


def _clones() -> Iterator[Rule]:
    """Yield rules for clone without new namespaces; s390 has the flags in its second argument."""
    s390 = ("s390", "s390x")
    for index, includes, excludes in (
        (0, Condition(), Condition(caps=("CAP_SYS_ADMIN",), arches=s390)),
        (1, Condition(arches=s390), Condition(caps=("CAP_SYS_ADMIN",))),
    ):
        yield Rule(
            names=("clone",),
            args=(
                {
                    "index": index,
                    "value": syscalls.NEW_NAMESPACE_FLAGS,
                    "valueTwo": 0,
                    "op": "SCMP_CMP_MASKED_EQ",
                },
            ),
            includes=includes,
            excludes=excludes,
        )
    yield Rule(
        names=("clone3",),
        action=ERRNO,
        errno_ret=errno.ENOSYS,
        excludes=Condition(caps=("CAP_SYS_ADMIN",)),
    )


def _leading_digits(text: str) -> Iterator[str]:
    for char in text:
        if not char.isdecimal():
            return
        yield char
