"""A container's /etc/hosts: Docker's text, as pure functions, and the way to change the file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

_IPV4: Final = (("127.0.0.1", "localhost"),)
_IPV6: Final = (
    ("::1", "localhost ip6-localhost ip6-loopback"),
    ("fe00::0", "ip6-localnet"),
    ("ff00::0", "ip6-mcastprefix"),
    ("ff02::1", "ip6-allnodes"),
    ("ff02::2", "ip6-allrouters"),
)
_MAX_SIZE: Final = 1 << 20


def build(
    hostname: str,
    domainname: str = "",
    addresses: Iterable[str] = (),
    extra: Iterable[tuple[str, str]] = (),
    *,
    ipv6: bool = True,
) -> bytes:
    """The file of a container.

    `extra` are (names, address) pairs of --add-host and --link; `addresses` the container's own in all its networks,
    each with its names. Without an address (network none) its own name is not in the file, as in Docker. `ipv6`: the
    container's kernel has it; without, no IPv6 address is in the file.
    """
    own = names_of(hostname, domainname)
    records = [
        *_IPV4,
        *(_IPV6 if ipv6 else ()),
        *((address, names) for names, address in extra),
        *((address, own) for address in addresses),
    ]
    return _lines((address, names) for address, names in records if ipv6 or ":" not in address)


def names_of(hostname: str, domainname: str = "") -> str:
    """What stands beside the container's own addresses: the full name, and what is before its first dot."""
    full = f"{hostname}.{domainname}" if domainname else hostname
    first, dot, _ = full.partition(".")
    return f"{full} {first}" if dot else full


def added(text: bytes, names: str, addresses: Iterable[str]) -> bytes:
    """The file after the container got these addresses."""
    if text and not text.endswith(b"\n"):
        text += b"\n"
    return text + _lines((address, names) for address in addresses)


def removed(text: bytes, addresses: Iterable[str]) -> bytes:
    """The file after the container lost these addresses; whatever else somebody wrote into it stays."""
    lost = {address.encode() for address in addresses}
    lines = text.splitlines(keepends=True)
    return b"".join(line for line in lines if lost.isdisjoint(line.split()[:1]))


def rewrite(path: Path, change: Callable[[bytes], bytes]) -> None:
    """Change a file in place: its inode is what is bound into the container. Blocks; raises OSError."""
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    with os.fdopen(descriptor, "rb+") as file:
        before = file.read(_MAX_SIZE)
        after = change(before)
        if after != before:
            file.seek(0)
            file.write(after)
            file.truncate()


def _lines(records: Iterable[tuple[str, str]]) -> bytes:
    return "".join(f"{address}\t{names}\n" for address, names in records).encode()
