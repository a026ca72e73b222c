"""Platforms by name: `linux/amd64`, `arm64`, `linux/arm/v7`."""

import platform as host_facts
from collections.abc import Collection
from functools import cache
from pathlib import Path

import msgspec

import errdefs

_ARCHITECTURES = {
    "x86_64": ("amd64", ""),
    "x86-64": ("amd64", ""),
    "aarch64": ("arm64", ""),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
    "armv7l": ("arm", "v7"),
    "armv6l": ("arm", "v6"),
    "i386": ("386", ""),
    "i686": ("386", ""),
}
_IMPLIED = {"amd64": "v1", "arm64": "v8", "arm": "v7"}  # the variant of an architecture that names none
_KNOWN = frozenset(
    {"386", "amd64", "arm", "arm64", "loong64", "mips64le", "ppc64le", "riscv64", "s390x", "wasm"}
)
_AMD64_LEVELS = (  # what the kernel calls the features that each level of x86-64 adds, from v2 on
    frozenset(["cx16", "lahf_lm", "popcnt", "pni", "sse4_1", "sse4_2", "ssse3"]),
    frozenset(["abm", "avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe", "xsave"]),
    frozenset(["avx512bw", "avx512cd", "avx512dq", "avx512f", "avx512vl"]),
)


class Platform(msgspec.Struct, kw_only=True, frozen=True):
    """What an image is for, by Go's words (`linux`, `amd64`, `v7`); a variant may be left out."""

    architecture: str = ""
    os: str = ""
    variant: str = ""


def host() -> Platform:
    """What this machine runs."""
    return _normal("linux", host_facts.machine().lower(), "")


@cache
def capable() -> Platform:
    """What this machine runs at most: of amd64 with the level of its processor."""
    here = host()
    if here.architecture != "amd64":
        return here
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    flags = set(next((line for line in lines if line.startswith("flags")), "").split())
    return Platform(os=here.os, architecture=here.architecture, variant=f"v{amd64_level(flags)}")


def amd64_level(flags: Collection[str]) -> int:
    """The level of a processor with those flags of /proc/cpuinfo, 1 to 4."""
    level = 1
    for added in _AMD64_LEVELS:
        if not added.issubset(flags):
            break
        level += 1
    return level


def parse(text: str) -> Platform:
    """The platform that a text names; one word is an architecture, or "linux". InvalidArgument otherwise."""
    parts = text.strip().lower().split("/")
    if len(parts) > 3 or not all(part.replace("_", "").replace("-", "").isalnum() for part in parts):
        raise errdefs.InvalidArgument(f'"{text[:100]}": cannot parse platform specifier: invalid argument')
    if parts == ["linux"]:
        return host()
    if len(parts) > 1:
        return _normal(parts[0], parts[1], parts[2] if len(parts) == 3 else "")
    found = _normal("linux", parts[0], "")
    if found.architecture not in _KNOWN:
        raise errdefs.InvalidArgument(f'"{text}": unknown operating system or architecture: invalid argument')
    return found


def render(platform: Platform) -> str:
    """The platform as people type it."""
    parts = (platform.os, platform.architecture, platform.variant)
    return "/".join(part for part in parts if part)


def matches(offered: Platform, wanted: Platform) -> bool:
    """Whether an image for one platform runs on the other; a variant matters only if both name one."""
    offered = _normal(offered.os or "linux", offered.architecture, offered.variant)
    if (offered.os, offered.architecture) != (wanted.os, wanted.architecture):
        return False
    return not offered.variant or not wanted.variant or offered.variant == wanted.variant


def rank(offered: Platform, wanted: Platform) -> int | None:
    """How well an image for one platform serves the other, 0 the best; None if it does not.

    As containerd chooses: an arm serves programs of earlier ones, 64 bits those of 32.
    """
    offered = _normal(offered.os or "linux", offered.architecture, offered.variant)
    if offered.os != wanted.os:
        return None
    served = _served(wanted.architecture, wanted.variant)
    found = (offered.architecture, offered.variant or _IMPLIED.get(offered.architecture, ""))
    return served.index(found) if found in served else None


def _served(architecture: str, variant: str) -> list[tuple[str, str]]:
    variant = variant or _IMPLIED.get(architecture, "")
    number = int(variant[1:]) if variant[:1] == "v" and variant[1:].isdecimal() else 0
    if architecture == "amd64":
        return [("amd64", f"v{each}") for each in range(min(number, 9), 0, -1)] + [("386", "")]
    if architecture == "arm":
        return [("arm", f"v{each}") for each in range(min(number, 9), 4, -1)]
    if architecture == "arm64":
        return [("arm64", variant), *_served("arm", "v8")]
    return [(architecture, variant)]


def warning(offered: Platform) -> list[str]:
    """Docker's warning of an image for another kind of machine than this one."""
    here = capable()
    if not offered.architecture or rank(offered, here) is not None:
        return []
    text = (
        f"The requested image's platform ({render(offered)}) does not match the detected host platform "
        f"({render(here)}) and no specific platform was requested"
    )
    return [text]


def require(offered: Platform, wanted: Platform, name: str) -> None:
    """Pass if the image `name` for one platform serves the other; else NotFound in Docker's words.

    A machine that is asked for is served by what runs on it: an arm64 by programs of an arm.
    """
    if rank(offered, wanted) is None and not matches(offered, wanted):
        raise errdefs.NotFound(
            f"image with reference {name} was found but its platform ({render(offered)}) does not match the "
            f"specified platform ({render(wanted)})"
        )


def _normal(os: str, architecture: str, variant: str) -> Platform:
    architecture, implied = _ARCHITECTURES.get(architecture, (architecture, ""))
    variant = variant or implied
    if architecture == "arm64" and variant in ("v8", "8"):
        variant = ""
    return Platform(os=os, architecture=architecture, variant=variant)
