"""The networks that a container is to be in: which, in what order, and by what names. Pure."""

from collections.abc import Callable, Iterable, Mapping

import msgspec

import errdefs
from engine import ids
from engine.containers import interface_sysctls, links, ports
from engine.containers.config import EndpointConfig
from engine.containers.container import Container
from engine.containers.network_mode import (
    PREDEFINED,
    SHARED,
    address,
    canonical_mac,
    endpoint_problem,
    mode_of,
)
from network.drivers.driver import NetworkInfo
from network.endpoint import EndpointRequest

Find = Callable[[str], NetworkInfo | None]
"""The network of a name, an ID or a prefix of one; None where there is none."""

_TO_HOST = "container cannot be disconnected from host network or connected to host network"
_SHARES = "container sharing network namespace with another container or host cannot be connected to any other network"
_NONE_AND_MORE = (
    "container cannot be connected to multiple networks with one of the networks in private (none) mode"
)


class Place(msgspec.Struct, frozen=True):
    """A network, and what the container asked of it."""

    info: NetworkInfo
    asked: EndpointConfig


def at_creation(mode: str, endpoints: Mapping[str, EndpointConfig], find: Find) -> dict[str, EndpointConfig]:
    """What the record says of a new container's networks, by Docker's rules.

    Without endpoints it is the mode's network; with them it is theirs alone. The mode's goes by its name, the others
    go by what they were called until the container starts, for they need not be there yet.
    """
    if mode.startswith(SHARED):
        return {}
    info = find(mode)
    name = info.name if info else mode
    if not endpoints:
        return {name: EndpointConfig()}
    called = {mode, info.id} if info else {mode}
    if name in endpoints:
        return dict(endpoints)
    return {name if key in called else key: endpoint for key, endpoint in endpoints.items()}


def of(container: Container, find: Find) -> list[Place]:
    """The places of a container that starts: its mode's network first, then by priority and name.

    NotFound for a network that is not there, InvalidArgument for networks that cannot be had together, Forbidden for
    one that is meant twice.
    """
    mode = mode_of(container)
    found = [Place(known(container, name, find), asked) for name, asked in container.networks.items()]
    for position, place in enumerate(found):
        others = [other.info for other in found[:position]]
        require_fit(mode, place.info, others)
        require_once(container, place.info, others)
        require_own_stack(mode, place.info)
        require_good(place)
        require_link_local(place)
    main = find(mode)
    return sorted(
        found,
        key=lambda place: (
            main is None or place.info.id != main.id,
            -place.asked.gw_priority,
            place.info.name,
        ),
    )


def known(container: Container, name: str, find: Find) -> NetworkInfo:
    """A network that the container was in before is known by its ID; one of the same name may stand for it."""
    before = container.network_ids.get(name, "") if name not in PREDEFINED else ""
    info = find(before) if before else None
    called = container.networks[name].network_id or name
    info = info or find(called)
    if info is None:
        raise errdefs.NotFound(f"network {before or called} not found")
    return info


def require_once(container: Container, new: NetworkInfo, others: Iterable[NetworkInfo]) -> None:
    """Raise Forbidden, in Docker's words, for a network that the container is in already."""
    if any(other.id == new.id for other in others):
        raise errdefs.Forbidden(f"endpoint with name {container.name} already exists in network {new.name}")


def settled(place: Place) -> EndpointConfig:
    """What the record says of a place that the container got: its network goes by its name from now on."""
    return msgspec.structs.replace(place.asked, network_id="")


def require_fit(mode: str, new: NetworkInfo, others: Iterable[NetworkInfo]) -> None:
    """Raise InvalidArgument, in Docker's words, where a network does not go with a container's mode and networks."""
    if new.driver == "host" and mode != "host":
        raise errdefs.InvalidArgument(_TO_HOST)
    for other in others:
        if other.name == new.name:
            continue
        if "host" in (other.driver, new.driver):
            raise errdefs.InvalidArgument(_SHARES)
        if "none" in (other.name, new.name):
            raise errdefs.InvalidArgument(_NONE_AND_MORE)


def require_own_stack(mode: str, new: NetworkInfo | None = None) -> None:
    """Raise InvalidArgument, in Docker's words, where the container's network stack is not its own to connect."""
    if mode.startswith(SHARED) or (mode == "host" and new is not None and new.driver != "host"):
        raise errdefs.InvalidArgument(_SHARES)


def require_disconnectable(mode: str, info: NetworkInfo) -> None:
    """Raise InvalidArgument for the host's network, which a running container cannot leave."""
    if mode == "host" and info.driver == "host":
        raise errdefs.InvalidArgument(_TO_HOST)


def require_link_local(place: Place) -> None:
    """Raise InvalidArgument, in Docker's words, for an address of another kind; only a container that runs is told."""
    for text in place.asked.ipam_config.link_local_ips or () if place.asked.ipam_config else ():
        found = address(text)
        if found is None or not found.is_link_local:
            raise errdefs.InvalidArgument(f"invalid link local IP address: {text}")


def require_good(place: Place) -> None:
    """Raise InvalidArgument for settings that the network cannot give, Forbidden for a network that gives none."""
    if place.info.config_only:
        raise errdefs.Forbidden("cannot create endpoint on configuration-only network")
    if problem := endpoint_problem(place.info.name, place.asked, place.info):
        raise errdefs.InvalidArgument(problem)


def dns_names(container: Container, aliases: Iterable[str] | None) -> tuple[str, ...]:
    """What others in a network of the user's may call the container; its own name first."""
    short = container.id[: ids.SHORT_LENGTH]
    names = (container.name, *(aliases or ()), short, container.config.hostname)
    return tuple(dict.fromkeys(name for name in names if name))


def names(container: Container, network: str, asked: EndpointConfig) -> tuple[str, ...]:
    """What the embedded DNS of a network is to know the container by; nothing in those that have none."""
    return () if network in PREDEFINED else dns_names(container, asked.aliases)


def _canonical(text: str) -> str | None:
    """An address that passed, as the network is told it; None for "any"."""
    found = address(text)
    return str(found) if found else None


def request(container: Container, place: Place) -> EndpointRequest:
    """What the network is asked for."""
    info, asked = place.info, place.asked
    addresses = asked.ipam_config
    mac = asked.mac_address or (container.config.mac_address if info.name == mode_of(container) else "")
    return EndpointRequest(
        network=info.name,
        container_id=container.id,
        endpoint_name=container.name,
        ipv4=_canonical(addresses.ipv4_address) if addresses else None,
        ipv6=_canonical(addresses.ipv6_address) if addresses else None,
        link_local=tuple(filter(None, map(_canonical, addresses.link_local_ips or ()))) if addresses else (),
        mac=canonical_mac(mac) if mac else None,
        names=names(container, info.name, asked),
        links=() if info.name in PREDEFINED else links.names(asked),
        gateway_priority=asked.gw_priority,
        options=asked.driver_opts or {},
        sysctls=interface_sysctls.settings(asked),
        exposed=tuple((proto, port) for port, proto in ports.exposed(container.config)),
        published=tuple(ports.wanted(container.config, container.host_config)),
    )
