"""The setting `builder`: how large the build cache may become, and what builds may ask for."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

import errdefs
from engine.images.durations import parse_duration

_GC = ("enabled", "defaultKeepStorage", "policy")
_POLICY = ("keepStorage", "all", "filter")
_ENTITLEMENTS = ("network-host", "security-insecure")
_AGES = ("until", "unused-for")
Size = Callable[[str], int]


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What goes of the cache: what these filters of `docker builder prune` mean ("key=value"), and was of no use for
    `unused` nanoseconds, until the cache has `keep` bytes; 0 is as much as the whole cache may have. `all`: what
    images have as well, too.
    """

    keep: int = 0
    unused: int = 0
    filters: tuple[str, ...] = ()
    all: bool = False


class BuilderConfig(msgspec.Struct, frozen=True, kw_only=True):
    """`keep`: bytes that the cache may have, 0 for a tenth of the disk. `policies` None are the usual ones.

    `insecure` and `host_network`: whether builds may be granted `security.insecure` and `network.host`.
    """

    gc: bool = True
    keep: int = 0
    policies: tuple[Policy, ...] | None = None
    insecure: bool = False
    host_network: bool = True


def from_file(value: Any, size: Size) -> BuilderConfig:
    """What daemon.json says; ValueError with what is wrong. `size` reads a number of bytes with its unit."""
    said = _fields(value, ("gc", "entitlements"), "")
    gc = _fields(said.get("gc"), _GC, '"gc" ')
    granted = _fields(said.get("entitlements"), _ENTITLEMENTS, '"entitlements" ')
    policy = gc.get("policy")
    if policy is not None and not isinstance(policy, list):
        raise _wrong('"policy" must be a list of objects')
    return BuilderConfig(
        gc=_truth(gc, "enabled", otherwise=True),
        keep=_bytes(gc, "defaultKeepStorage", size),
        policies=None if policy is None else tuple(_policy(each, size) for each in policy),
        insecure=_truth(granted, "security-insecure", otherwise=False),
        host_network=_truth(granted, "network-host", otherwise=True),
    )


def _policy(value: Any, size: Size) -> Policy:
    said = _fields(value, _POLICY, "a policy ")
    filters = said.get("filter") or []
    if not isinstance(filters, list) or not all(isinstance(each, str) and "=" in each for each in filters):
        raise _wrong('"filter" must be a list of texts such as "unused-for=48h"')
    ages = [each.partition("=")[2] for each in filters if each.partition("=")[0] in _AGES]
    return Policy(
        keep=_bytes(said, "keepStorage", size),
        unused=max(map(_nanoseconds, ages), default=0),
        filters=tuple(each for each in filters if each.partition("=")[0] not in _AGES),
        all=_truth(said, "all", otherwise=False),
    )


def _fields(value: Any, known: tuple[str, ...], where: str) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _wrong(f"{where}must be an object")
    if unknown := value.keys() - set(known):
        raise ValueError(f'{where}has no setting "{min(unknown)}": there are {", ".join(known)}')
    return value


def _truth(said: Mapping[str, Any], name: str, *, otherwise: bool) -> bool:
    value = said.get(name, otherwise)
    if not isinstance(value, bool):
        raise _wrong(f'"{name}" must be true or false')
    return value


def _bytes(said: Mapping[str, Any], name: str, size: Size) -> int:
    value = said.get(name, "")
    if not isinstance(value, str):
        raise _wrong(f'"{name}" must be a size such as "10GB"')
    return size(value) if value else 0


def _nanoseconds(text: str) -> int:
    try:
        return parse_duration(text)
    except errdefs.InvalidArgument as error:
        raise ValueError(error.message) from None


def _wrong(text: str) -> ValueError:
    """What a person wrote is of the wrong type: no TypeError, which is for mistakes of code."""
    return ValueError(text)
