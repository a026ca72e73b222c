"""Which ports a container wants published, from what it exposes and binds: pure."""

import re

import errdefs
from engine.containers.config import ContainerConfig, HostConfig, PortBinding
from network.nftables.element import Protocol
from network.ports import PortRequest

_SPEC = re.compile(r"(?P<first>\d+)(?:-(?P<last>\d+))?(?:/(?P<proto>[A-Za-z]+))?", re.ASCII)
_PROTOCOLS: dict[str, Protocol] = {"tcp": "tcp", "udp": "udp", "sctp": "sctp"}


def parse_port(spec: str) -> tuple[int, int, Protocol]:
    """First port, last port and protocol of "80", "80/tcp" or "8000-8010/udp"; InvalidArgument otherwise."""
    match, number = _SPEC.fullmatch(spec), spec.partition("/")[0]
    if match is None:
        raise errdefs.InvalidArgument(f'invalid port specification: "{number}"')
    proto = _PROTOCOLS.get((match["proto"] or "tcp").lower())
    if proto is None:
        raise errdefs.InvalidArgument(f"invalid proto: {match['proto']}")
    first, last = int(match["first"]), int(match["last"] or match["first"])
    if not 0 < first <= last <= 65535:
        raise errdefs.InvalidArgument(f'invalid port specification: "{number}"')
    return first, last, proto


def host_range(text: str) -> tuple[int, int]:
    """First and last host port of "", "80" or "8000-8010"; (0, 0) leaves the choice to the daemon."""
    if not text:
        return 0, 0
    first, dash, last = text.partition("-")
    if not (text.isascii() and first.isdecimal() and (last.isdecimal() if dash else True)):
        raise errdefs.InvalidArgument(f'invalid port specification: "{text}"')
    low, high = int(first), int(last) if dash else int(first)
    if not 0 <= low <= high <= 65535:
        raise errdefs.InvalidArgument(f'invalid port specification: "{text}"')
    return low, high


def exposed(config: ContainerConfig) -> list[tuple[int, Protocol]]:
    """Each exposed port and its protocol, ordered. As in Docker, any text may be exposed, and only ports count."""
    found: set[tuple[int, Protocol]] = set()
    for spec in config.exposed_ports or {}:
        try:
            first, last, proto = parse_port(spec)
        except errdefs.InvalidArgument:
            continue
        found.update((port, proto) for port in range(first, last + 1))
    return sorted(found)


def wanted(config: ContainerConfig, host: HostConfig) -> list[PortRequest]:
    """What to publish: the port bindings, and with `PublishAllPorts` each exposed port without one."""
    requests = []
    bound = set()
    for spec, bindings in (host.port_bindings or {}).items():
        port, last, proto = parse_port(spec)
        if port != last:
            raise errdefs.InvalidArgument(f'invalid port specification: "{spec}"')
        bound.add((port, proto))
        requests += [_request(port, proto, binding) for binding in bindings or [PortBinding()]]
    if host.publish_all_ports:
        free = [each for each in exposed(config) if each not in bound]
        requests += [PortRequest(proto=proto, container_port=port) for port, proto in free]
    return requests


def _request(port: int, proto: Protocol, binding: PortBinding) -> PortRequest:
    low, high = host_range(binding.host_port)
    return PortRequest(
        proto=proto, container_port=port, host_ip=binding.host_ip, host_port_start=low, host_port_end=high
    )
