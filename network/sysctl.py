"""Kernel settings of the network namespace of the calling thread."""

from __future__ import annotations

from typing import Final

_ROOT: Final = "/proc/sys/net"


def read(name: str) -> str:
    """The value of e.g. "ipv4/ip_forward", stripped; "" where the kernel has no such setting."""
    try:
        with open(f"{_ROOT}/{name}") as file:
            return file.read().strip()
    except FileNotFoundError:
        return ""


def write(name: str, value: str) -> None:
    """Set it unless it is so (it may be read-only then). Raises OSError, FileNotFoundError where it is absent."""
    if read(name) != value:
        with open(f"{_ROOT}/{name}", "w") as file:
            file.write(value)
