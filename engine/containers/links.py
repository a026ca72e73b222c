"""Links: the older way for a container to find another (`--link`). Pure.

On the default bridge a link gives lines of /etc/hosts and variables that tell of the other; in a network of the user's
it is a name that the embedded DNS knows for this container alone.
"""

from collections.abc import Iterator, Sequence

import msgspec

import errdefs
from engine.containers.config import ContainerConfig, EndpointConfig
from engine.containers.ports import exposed
from network.nftables.element import Protocol

_OF_BUILDS = frozenset({"HOME", "PATH"})


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """A link to another container; `name` is what that one was called then."""

    id: str
    name: str
    alias: str

    def at(self, ipv4: str, ipv6: str, hosts: bytes) -> bytes:
        """The file /etc/hosts with the other's addresses of now, where its alias is the first name.

        A family that the other has no address of ("") has no line any more, and one without a line gets none.
        """
        return b"".join(self._line_at(ipv4, ipv6, line) for line in hosts.splitlines(keepends=True))

    def _line_at(self, ipv4: str, ipv6: str, line: bytes) -> bytes:
        before, tab, names = line.partition(b"\t")
        if names.split(maxsplit=1)[:1] != [self.alias.encode()]:
            return line
        address = ipv6 if b":" in before else ipv4
        return address.encode() + tab + names if address else b""


def parse(text: str) -> tuple[str, str]:
    """Container and alias of "name:alias", "name", or "/name:/own/alias" as inspect shows it; else InvalidArgument."""
    if not text:
        raise errdefs.InvalidArgument("empty string specified for links")
    name, colon, alias = text.partition(":")
    if ":" in alias:
        raise errdefs.InvalidArgument(f"bad format for links: {text}")
    if not colon:
        return text, text
    if name.startswith("/"):
        return name[1:], alias.rpartition("/")[2]
    return name, alias


def names(endpoint: EndpointConfig) -> tuple[tuple[str, str], ...]:
    """(alias, name) of each link of an endpoint in a network of the user's."""
    return tuple((alias, name) for name, alias in map(parse, endpoint.links or ()))


def host_names(link: Link, name: str, hostname: str) -> str:
    """The names in /etc/hosts for the other, which is called `name` now: alias, host name and name."""
    return " ".join(dict.fromkeys((link.alias, hostname, name)))


def variables(owner: str, link: Link, address: str, config: ContainerConfig) -> Iterator[str]:
    """What the environment of container `owner` tells of the other at `address`, as Docker's early versions did."""
    prefix = link.alias.upper().replace("-", "_")
    ports = exposed(config)
    if ports:
        port, proto = ports[0]
        yield f"{prefix}_PORT={proto}://{address}:{port}"
    for (first, proto), (last, last_proto) in _runs(ports):
        stem = f"{prefix}_PORT_{first}_{proto.upper()}"
        yield f"{stem}_START={proto}://{address}:{first}"
        yield f"{stem}_ADDR={address}"
        yield f"{stem}_PROTO={proto}"
        yield f"{stem}_PORT_START={first}"
        stem = f"{prefix}_PORT_{first}_{last_proto.upper()}"
        yield f"{stem}_END={last_proto}://{address}:{last}"
        yield f"{stem}_PORT_END={last}"
    for port, proto in ports:
        stem = f"{prefix}_PORT_{port}_{proto.upper()}"
        yield f"{stem}={proto}://{address}:{port}"
        yield f"{stem}_ADDR={address}"
        yield f"{stem}_PORT={port}"
        yield f"{stem}_PROTO={proto}"
    yield f"{prefix}_NAME=/{owner}/{link.alias}"
    for entry in config.env or ():
        name, equals, value = entry.partition("=")
        if equals and name not in _OF_BUILDS:
            yield f"{prefix}_ENV_{name}={value}"


_Port = tuple[int, Protocol]


def _runs(ports: Sequence[_Port]) -> Iterator[tuple[_Port, _Port]]:
    """First and last of each row of three and more ports that follow one another."""
    start = 0
    while start < len(ports):
        end = start
        while end + 1 < len(ports) and ports[end + 1][0] <= ports[start][0] + end + 1 - start:
            end += 1
        if end > start + 1:
            yield ports[start], ports[end]
            start = end + 1
        else:
            start += 1
