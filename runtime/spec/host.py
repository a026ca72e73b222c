"""What of this machine a spec depends on: architecture and kernel, by the names that profiles use."""

import os
from collections.abc import Iterator
from functools import cache

import msgspec

Kernel = tuple[int, int]
"""Version and major revision: (4, 8)."""

_MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "i686": "x86", "armv7l": "arm", "loongarch64": "loong64"}
_MOUNT_SETATTR = (5, 12)


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """`arch` as Docker names it ("amd64"), and the kernel."""

    arch: str
    kernel: Kernel


@cache
def this_host() -> Host:
    """Return what this machine is."""
    found = os.uname()
    return Host(arch=_MACHINES.get(found.machine, found.machine), kernel=parse_release(found.release))


def parse_release(release: str) -> Kernel:
    """Return (6, 1) for "6.1.0-18-amd64"; what cannot be read is (0, 0), on which no rule is new enough."""
    version, _, rest = release.partition(".")
    digits = "".join(_leading_digits(rest))
    return (int(version), int(digits)) if version.isdecimal() and digits else (0, 0)


def has_recursive_read_only() -> bool:
    """Return whether the kernel can make a whole tree of mounts read-only; runc 1.1 and crun 1.4 ask it to."""
    return this_host().kernel >= _MOUNT_SETATTR


def _leading_digits(text: str) -> Iterator[str]:
    for char in text:
        if not char.isdecimal():
            return
        yield char
