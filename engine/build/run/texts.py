"""A step's /etc/hosts and /etc/resolv.conf, which are mounted read-only and no part of its layer: pure."""

from collections.abc import Callable, Iterable, Sequence

import errdefs
from network import resolvconf

HOSTNAME = "buildkitsandbox"
"""What a build's host is called unless it asks for a name: BuildKit's word, which scripts know."""
_HOST_GATEWAY = "host-gateway"


def hosts(hostname: str, extra: Iterable[str], gateways: Callable[[], Sequence[str]]) -> bytes:
    """`extra` are "name:address" or "name=address"; `gateways` gives what "host-gateway" stands for.

    InvalidArgument for an address that is none.
    """
    lines = [f"127.0.0.1\tlocalhost {hostname}", "::1\tlocalhost ip6-localhost ip6-loopback"]
    for entry in extra:
        name, address = _split(entry)
        addresses = gateways() if address == _HOST_GATEWAY else [address]
        lines += [f"{each}	{name}" for each in addresses]
    return ("\n".join(lines) + "\n").encode()


def _split(entry: str) -> tuple[str, str]:
    name, equals, address = entry.partition("=")
    if not equals:
        name, _, address = entry.partition(":")
    address = address.strip("[]")
    if not name or not (address == _HOST_GATEWAY or resolvconf.is_address(address)):
        raise errdefs.InvalidArgument(f"invalid IP address in add-host: {entry!r}")
    return name, address


def resolv_conf(full: bytes) -> bytes:
    """What a container would have, without the comments that tell of containers."""
    lines = [line for line in full.decode(errors="replace").splitlines() if line and line[0] not in "#;"]
    return ("\n".join(lines) + "\n").encode()
