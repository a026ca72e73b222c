"""Ports of the host: which are given away, and the sockets that hold them.

A held socket (TCP: listening, for a bound one alone does not conflict; UDP: bound) is how a host process and a
container find out that they want the same port, in either order. Used in the network's worker thread alone.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

import msgspec

import errdefs
from network.nftables.element import NUMBERS, Protocol, address

WILDCARD4: Final = "0.0.0.0"
WILDCARD6: Final = "::"
_KINDS: Final = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM, "sctp": socket.SOCK_STREAM}
_BACKLOG: Final = 1024
_NO_PROTOCOL: Final = (errno.EPROTONOSUPPORT, errno.ESOCKTNOSUPPORT)
_REASONS: Final = {
    errno.EADDRINUSE: "address already in use",
    errno.EADDRNOTAVAIL: "cannot assign requested address",
    errno.EACCES: "permission denied",
}


class PortInUse(errdefs.SystemFailure):
    """A port cannot be had. Docker answers 500, and clients look for its text."""


class PortGiven(PortInUse):
    """Another container of this instance has the port."""


class CannotBind(PortInUse):
    """No port of this address can be had: the host does not have it, or forbids it."""


class PortRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Publish a container's port. `host_ip` "" is every address; ports 0 to 0: an ephemeral one, else any of them."""

    proto: Protocol
    container_port: int
    host_ip: str = ""
    host_port_start: int = 0
    host_port_end: int = 0


class Group(msgspec.Struct, frozen=True):
    """One port of the host at several addresses; `start` 0 is an ephemeral one.

    `routed` are the wildcards of families for which the host holds nothing.
    """

    proto: Protocol
    container_port: int
    start: int
    end: int
    addresses: tuple[str, ...]
    routed: tuple[str, ...] = ()


class PortBinding(msgspec.Struct, frozen=True, kw_only=True):
    """A published port: one per address family for a request without host address.

    `host_port` 0: the container's port is opened at its own address (routed networks); the host has none for it.
    """

    proto: Protocol
    container_port: int
    host_ip: str
    host_port: int


class Held(NamedTuple):
    """A binding and its socket (None for a port that is opened or reserved, and where the kernel has no SCTP)."""

    binding: PortBinding
    socket: socket.socket | None


class Ports:
    """The ports that containers of this instance have."""

    def __init__(self, ephemeral: range) -> None:
        self._ephemeral = ephemeral
        self._last: dict[tuple[str, tuple[str, ...]], int] = {}
        self._taken: dict[tuple[str, int], dict[str, Held]] = {}

    def allocate(self, wanted: Sequence[Group]) -> list[Held]:
        """Hold a port for each group; all or none. Raises PortInUse in Docker's words."""
        held: list[Held] = []
        try:
            for group in wanted:
                held += self._allocate_one(group)
        except BaseException:
            self.free(held)
            raise
        return held

    def hold(self, binding: PortBinding) -> Held:
        """Hold exactly this port. Raises PortInUse, and of its kinds PortGiven."""
        return self.take_up(self.reserve(binding))

    def reserve(self, binding: PortBinding) -> Held:
        """Keep a port from other containers, and from the rest of the host once it is taken up. Raises PortGiven."""
        if binding.host_port == 0:
            return Held(binding, None)
        key = (binding.proto, binding.host_port)
        if any(overlap(binding.host_ip, other) for other in self._taken.get(key, ())):
            raise PortGiven(
                f"Bind for {binding.host_ip}:{binding.host_port} failed: port is already allocated"
            )
        reserved = Held(binding, None)
        self._taken.setdefault(key, {})[binding.host_ip] = reserved
        return reserved

    def take_up(self, reserved: Held) -> Held:
        """Hold a port that was reserved, unless it was given back meanwhile. Raises PortInUse; it is free then."""
        binding = reserved.binding
        addresses = self._taken.get((binding.proto, binding.host_port), {})
        if addresses.get(binding.host_ip) is not reserved:
            return reserved
        try:
            held = Held(binding, _holder(binding))
        except OSError as error:
            self.free([reserved])
            refusal = PortInUse if error.errno == errno.EADDRINUSE else CannotBind
            raise refusal(_refusal(binding, error)) from error
        addresses[binding.host_ip] = held
        return held

    def free(self, held: Iterable[Held]) -> None:
        """Give ports back and close their sockets; idempotent."""
        for each in held:
            if each.socket is not None:
                each.socket.close()
            key = (each.binding.proto, each.binding.host_port)
            addresses = self._taken.get(key, {})
            if addresses.get(each.binding.host_ip) is each:
                del addresses[each.binding.host_ip]
            if not addresses:
                self._taken.pop(key, None)

    def _allocate_one(self, group: Group) -> list[Held]:
        """The bindings of a group: the same port at each of its addresses."""
        opened = [Held(_binding(group, host_ip, 0), None) for host_ip in group.routed]
        if not group.addresses:
            return opened
        for port in self._candidates(group):
            try:
                return self._at(group, port) + opened
            except CannotBind:
                raise
            except PortInUse:
                if group.start == group.end != 0:
                    raise
        raise PortInUse("all ports are allocated")

    def _candidates(self, group: Group) -> Iterator[int]:
        if group.start:
            yield from range(group.start, group.end + 1)
            return
        key = (group.proto, group.addresses)
        first = self._last.get(key, self._ephemeral[-1]) + 1 - self._ephemeral.start
        for step in range(len(self._ephemeral)):
            port = self._ephemeral[(first + step) % len(self._ephemeral)]
            self._last[key] = port
            yield port

    def _at(self, group: Group, port: int) -> list[Held]:
        held: list[Held] = []
        try:
            for host_ip in group.addresses:
                held.append(self.hold(_binding(group, host_ip, port)))  # noqa: PERF401 - freed when one fails
        except BaseException:
            self.free(held)
            raise
        return held


def ephemeral_range(sysctl: str) -> range:
    """The ports that Docker gives when none is asked for, from the text of net.ipv4.ip_local_port_range."""
    try:
        first, last = (int(word) for word in sysctl.split())
    except ValueError:
        first, last = 49153, 65535
    return range(first, last + 1)


def has_ipv6() -> bool:
    """Whether somebody could connect by IPv6, as Docker finds out: [::1] can be bound."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def _binding(group: Group, host_ip: str, port: int) -> PortBinding:
    return PortBinding(
        proto=group.proto, container_port=group.container_port, host_ip=host_ip, host_port=port
    )


def overlap(one: str, other: str) -> bool:
    """Whether one address is part of the other: both cannot have the same port."""
    if (":" in one) != (":" in other):
        return False
    return one == other or one in (WILDCARD4, WILDCARD6) or other in (WILDCARD4, WILDCARD6)


def _holder(binding: PortBinding) -> socket.socket | None:
    family = socket.AF_INET6 if ":" in binding.host_ip else socket.AF_INET
    try:
        holder = socket.socket(family, _KINDS[binding.proto], NUMBERS[binding.proto])
    except OSError as error:
        if binding.proto == "sctp" and error.errno in _NO_PROTOCOL:
            return None
        raise
    try:
        _bind(holder, family, binding)
    except BaseException:
        holder.close()
        raise
    return holder


def _bind(holder: socket.socket, family: socket.AddressFamily, binding: PortBinding) -> None:
    holder.settimeout(0)
    if family == socket.AF_INET6:
        holder.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    if address(binding.host_ip).is_loopback:
        # What comes from a wire is not for it, whatever the rules are at this moment.
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
    if binding.proto != "udp":
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind((binding.host_ip, binding.host_port))
    if binding.proto != "udp":
        holder.listen(_BACKLOG)


def _refusal(binding: PortBinding, error: OSError) -> str:
    """Docker's text when its docker-proxy cannot listen."""
    version = 6 if ":" in binding.host_ip else 4
    host = f"[{binding.host_ip}]" if version == 6 else binding.host_ip
    reason = _REASONS.get(error.errno or 0, os.strerror(error.errno or 0).lower())
    listener = f"{binding.proto}{version} {host}:{binding.host_port}"
    return f"Error starting userland proxy: listen {listener}: bind: {reason}"
