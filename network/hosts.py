"""A container's /etc/hosts: Docker's text, as a pure function."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

_DEFAULT: Final = (
    ("127.0.0.1", "localhost"),
    ("::1", "localhost ip6-localhost ip6-loopback"),
    ("fe00::0", "ip6-localnet"),
    ("ff00::0", "ip6-mcastprefix"),
    ("ff02::1", "ip6-allnodes"),
    ("ff02::2", "ip6-allrouters"),
)


def build(
    hostname: str, domainname: str = "", addresses: Iterable[str] = (), extra: Iterable[tuple[str, str]] = ()
) -> bytes:
    """The file of a container.

    `extra` are (name, address) pairs of --add-host; `addresses` the container's own, each with its names. Without an
    address (network none) its own name is not in the file, as in Docker.
    """
    own = f"{hostname}.{domainname} {hostname}" if domainname else hostname
    records = [*_DEFAULT, *((address, name) for name, address in extra), *((each, own) for each in addresses)]
    return "".join(f"{address}\t{names}\n" for address, names in records).encode()
