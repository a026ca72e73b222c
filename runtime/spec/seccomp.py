"""The default seccomp profile: an allow-list whose verdicts equal Docker's."""

import errno
from collections.abc import Collection, Iterator
from functools import cache, lru_cache
from typing import Any

from runtime.spec import syscalls
from runtime.spec.host import Host, Kernel, this_host
from runtime.spec.seccomp_profile import parse_profile
from runtime.spec.seccomp_rules import ERRNO, Condition, Rule, select
from runtime.spec.syscall_order import cheapest_first

__all__ = ["default_profile", "parse_profile"]


def default_profile(
    caps: Collection[str], arch: str | None = None, kernel: Kernel | None = None
) -> dict[str, Any]:
    """Return the profile of a container whose bounding set is `caps`, as the spec's linux.seccomp.

    `arch` and `kernel` are this host's unless given. What no rule allows fails with EPERM; clone3 without
    CAP_SYS_ADMIN with ENOSYS, so that libc falls back to clone, whose flags can be looked at. Containers share it:
    it is not to be changed.
    """
    here = this_host()
    return _profile(frozenset(caps), Host(arch=arch or here.arch, kernel=kernel or here.kernel))


@lru_cache(maxsize=64)
def _profile(caps: frozenset[str], host: Host) -> dict[str, Any]:
    return {
        "defaultAction": ERRNO,
        "defaultErrnoRet": errno.EPERM,
        "architectures": list(syscalls.ARCHITECTURES.get(host.arch, ())),
        "syscalls": [rule.to_oci() for rule in select(_default_rules(), caps, host)],
    }


@cache
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
    return Rule(names=cheapest_first(names.split()), includes=includes or Condition())


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
