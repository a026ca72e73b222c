"""Docker's JSON form of a seccomp profile, as --security-opt and --seccomp-profile give it."""

import re
from collections.abc import Collection
from typing import Any

import msgspec

from errdefs import InvalidArgument
from runtime.spec import syscalls
from runtime.spec.host import Host, Kernel, this_host
from runtime.spec.seccomp_rules import Condition, Rule, select

_VERSION = re.compile(r"([0-9]{1,3})\.([0-9]{1,3})")


class _Wire(msgspec.Struct, rename="camel"):
    """JSON names in camel case; null and absence are the same, as Go reads them."""


class _Arg(_Wire):
    index: int
    value: int
    op: str
    value_two: int | None = None

    def to_oci(self) -> dict[str, int | str]:
        entry: dict[str, int | str] = {"index": self.index, "value": self.value, "op": self.op}
        return entry | ({"valueTwo": self.value_two} if self.value_two else {})


class _Filter(_Wire):
    caps: list[str] | None = None
    arches: list[str] | None = None
    min_kernel: str | None = None


class _Syscall(_Wire):
    names: list[str] | None = None
    name: str | None = None
    action: str | None = None
    errno_ret: int | None = None
    args: list[_Arg] | None = None
    includes: _Filter | None = None
    excludes: _Filter | None = None


class _Architecture(_Wire):
    architecture: str | None = None
    sub_architectures: list[str] | None = None


class _Profile(_Wire):
    default_action: str | None = None
    default_errno_ret: int | None = None
    architectures: list[str] | None = None
    arch_map: list[_Architecture] | None = None
    flags: list[str] | None = None
    listener_path: str | None = None
    listener_metadata: str | None = None
    syscalls: list[_Syscall] | None = None


def parse_profile(
    body: bytes, caps: Collection[str], arch: str | None = None, kernel: Kernel | None = None
) -> dict[str, Any] | None:
    """Return a profile as the spec's linux.seccomp for a container whose bounding set is `caps`.

    None when the profile says nothing (an empty object is unconfined, as in Docker). `arch` (Docker's name)
    and `kernel` are this host's unless given. Raises InvalidArgument with Docker's texts.
    """
    profile = _decode(body)
    if not profile.default_action and not profile.syscalls:
        return None
    if profile.architectures and profile.arch_map:
        raise _both("architectures", "archMap")
    here = this_host()
    host = Host(arch=arch or here.arch, kernel=kernel or here.kernel)
    rules = [_rule(call) for call in profile.syscalls or ()]
    return _standard_fields(profile) | {
        "architectures": [*(profile.architectures or ()), *_architectures(profile, host.arch)],
        "syscalls": [rule.to_oci() for rule in select(rules, caps, host)],
    }


def _decode(body: bytes) -> _Profile:
    try:
        return msgspec.json.decode(body, type=_Profile)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"Decoding seccomp profile failed: {error}") from error


def _standard_fields(profile: _Profile) -> dict[str, Any]:
    """Return what Docker hands to the runtime as it is; the runtime judges the words."""
    fields = {
        "defaultAction": profile.default_action or "",
        "defaultErrnoRet": profile.default_errno_ret,
        "flags": profile.flags or None,
        "listenerPath": profile.listener_path or None,
        "listenerMetadata": profile.listener_metadata or None,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _architectures(profile: _Profile, arch: str) -> list[str]:
    native = syscalls.NATIVE.get(arch)
    for entry in profile.arch_map or ():
        if native is not None and entry.architecture == native:
            return [native, *(entry.sub_architectures or ())]
    return []


def _rule(call: _Syscall) -> Rule:
    if call.name and call.names:
        raise _both("name", "names")
    return Rule(
        names=(call.name,) if call.name else tuple(call.names or ()),
        action=call.action or "",
        errno_ret=call.errno_ret,
        args=tuple(arg.to_oci() for arg in call.args or ()),
        includes=_condition(call.includes),
        excludes=_condition(call.excludes),
    )


def _condition(asked: _Filter | None) -> Condition:
    if asked is None:
        return Condition()
    return Condition(
        caps=tuple(asked.caps or ()),
        arches=tuple(asked.arches or ()),
        min_kernel=_min_kernel(asked.min_kernel) if asked.min_kernel else None,
    )


def _min_kernel(text: str) -> Kernel:
    match = _VERSION.fullmatch(text)
    if match is None or not any(int(part) for part in match.groups()):
        raise InvalidArgument(
            f'Decoding seccomp profile failed: invalid kernel version: "{text}", expected "<kernel>.<major>"'
        )
    return int(match[1]), int(match[2])


def _both(one: str, other: str) -> InvalidArgument:
    return InvalidArgument(
        f"both '{one}' and '{other}' are specified in the seccomp profile, use either '{one}' or '{other}'"
    )
