"""Linux capabilities by Docker's rules: the default set, and what CapAdd and CapDrop make of it."""

from collections.abc import Collection, Iterable
from functools import cache
from pathlib import Path

from errdefs import InvalidArgument

ALL: tuple[str, ...] = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
)
"""Every capability by the kernel's number: the index is the bit (include/uapi/linux/capability.h)."""

DEFAULT: tuple[str, ...] = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
)
"""What a container has when nobody says otherwise, in Docker's order."""

_EVERYTHING = "ALL"


@cache
def available(status: Path = Path("/proc/self/status")) -> tuple[str, ...]:
    """Return what this process may hand on, in the kernel's order.

    A daemon inside a container or a locked-down service may lack some; asking runc for one of them fails.
    Read once: a daemon does not gain capabilities.
    """
    for line in status.read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "CapEff":
            return decode(int(value, 16))
    return ALL


def decode(mask: int) -> tuple[str, ...]:
    """Return the names of the bits in a mask as /proc/<pid>/status shows it; unknown bits are left out."""
    return tuple(name for bit, name in enumerate(ALL) if mask >> bit & 1)


def normalize(names: Iterable[str], allowed: Collection[str] | None = None) -> tuple[str, ...]:
    """Return the names in upper case and with CAP_, "ALL" as it is, in the order given.

    Raises InvalidArgument with Docker's text for a name the kernel never had or that is not in `allowed`,
    which is `available()` unless given.
    """
    known = available() if allowed is None else allowed
    return tuple(_normalize(name, known) for name in names)


def validate(add: Iterable[str], drop: Iterable[str], allowed: Collection[str] | None = None) -> None:
    """Check CapAdd and CapDrop of a create request; InvalidArgument says which of them is wrong."""
    for field, names in (("CapAdd", add), ("CapDrop", drop)):
        try:
            normalize(names, allowed)
        except InvalidArgument as error:
            raise InvalidArgument(f"invalid {field}: {error.message}") from error


def resolve(
    add: Iterable[str] = (),
    drop: Iterable[str] = (),
    privileged: bool = False,
    allowed: Collection[str] | None = None,
) -> tuple[str, ...]:
    """Return the capabilities of a container, as TweakCapabilities of Docker decides.

    Privileged has all that are `allowed` (`available()` unless given). Else add ALL beats drop ALL, and a
    capability that is both added and dropped by name is added. Raises InvalidArgument as `normalize` does.
    """
    known = available() if allowed is None else allowed
    if privileged:
        return _ordered(known)
    added, dropped = normalize(add, known), normalize(drop, known)
    if _EVERYTHING in added:
        return tuple(name for name in _ordered(known) if name not in dropped)
    if _EVERYTHING in dropped:
        return _unique(added)
    return _unique((*(name for name in DEFAULT if name not in dropped), *added))


def _normalize(name: str, allowed: Collection[str]) -> str:
    upper = name.upper()
    if upper == _EVERYTHING:
        return upper
    full = upper if upper.startswith("CAP_") else f"CAP_{upper}"
    if full not in ALL:
        raise InvalidArgument(f'unknown capability: "{full}"')
    if full not in allowed:
        raise InvalidArgument(
            f'capability not supported by your kernel or not available in the current environment: "{full}"'
        )
    return full


def _ordered(allowed: Collection[str]) -> tuple[str, ...]:
    return tuple(name for name in ALL if name in allowed)


def _unique(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
