"""Containers that a container on the default bridge is linked to: found when it is created, running when it starts."""

import logging
from collections.abc import Iterable, Iterator

import msgspec

import errdefs
from engine.containers import links
from engine.containers.config import HostConfig
from engine.containers.container import Container
from engine.containers.links import Link
from engine.containers.machinery import Machinery
from engine.containers.network_mode import PREDEFINED, SHARED, mode_of, mode_of_host
from engine.containers.ports import exposed
from engine.containers.store import ContainerStore
from network.endpoint import Endpoint
from network.nftables.entry import Link as Rule

_log = logging.getLogger(__name__)
BRIDGE = "bridge"


class Neighbour(msgspec.Struct, frozen=True):
    """The other end of a link."""

    link: Link
    container: Container
    endpoint: Endpoint

    @property
    def hosts(self) -> list[tuple[str, str]]:
        """(names, address) for /etc/hosts."""
        names = links.host_names(self.link, self.container.name, self.container.config.hostname)
        addresses = (self.endpoint.ipv4, self.endpoint.ipv6)
        return [(names, address) for address in addresses if address]


def resolve(host: HostConfig, store: ContainerStore) -> list[Link]:
    """The links of a new container by the others' IDs, since names change; none in a network of the user's.

    InvalidArgument or SystemFailure in Docker's words.
    """
    if mode_of_host(host) not in PREDEFINED:
        return []
    found: dict[str, Link] = {}
    for text in host.links or ():
        name, alias = links.parse(text)
        other = _owner(name, store)
        if mode_of(other) == "host":
            raise errdefs.InvalidArgument(
                "conflicting options: host type networking can't be used with links. "
                "This would result in undefined behavior"
            )
        found.setdefault(alias, Link(id=other.id, name=other.name, alias=alias))
    return list(found.values())


def _owner(reference: str, store: ContainerStore) -> Container:
    """The container of that name, or the one whose network it shares."""
    try:
        other = store.get(reference)
    except errdefs.NotFound as error:
        raise errdefs.InvalidArgument(f"could not get container for {reference}: {error.message}") from error
    mode = mode_of(other)
    return _owner(mode.removeprefix(SHARED), store) if mode.startswith(SHARED) else other


def neighbours(container: Container, store: ContainerStore) -> list[Neighbour]:
    """Whom a container that starts is linked to. SystemFailure, in Docker's words, for one that cannot be reached."""
    if BRIDGE not in container.networks:
        return []
    return [_neighbour(container, link, store) for link in container.links]


def _neighbour(container: Container, link: Link, store: ContainerStore) -> Neighbour:
    other = store.find(link.id)
    if other is not None and BRIDGE not in other.networks:
        raise errdefs.SystemFailure(
            f"Cannot link to /{other.name}, as it does not belong to the default network"
        )
    endpoint = other.endpoints.get(BRIDGE) if other is not None else None
    if other is None or endpoint is None:
        name = other.name if other is not None else link.name
        raise errdefs.SystemFailure(
            f"Cannot link to a non running container: /{name} AS /{container.name}/{link.alias}"
        )
    return Neighbour(link, other, endpoint)


def reached(container: Container, found: Iterable[Neighbour]) -> list[Rule]:
    """The exposed ports of its neighbours: a container reaches them where others on the bridge do not."""
    own = container.endpoints[BRIDGE]
    return [
        Rule(source_ip=source, target_ip=target, proto=proto, port=port)
        for each in found
        for source, target in ((own.ipv4, each.endpoint.ipv4), (own.ipv6, each.endpoint.ipv6))
        if source and target
        for port, proto in exposed(each.container.config)
    ]


async def follow(container: Container, machinery: Machinery, store: ContainerStore) -> None:
    """After a container came to the default bridge or left it: the running ones that have links to it, and itself,
    reach whom they are linked to, as those are now.
    """
    concerned = [parent for parent, _ in parents(container, store)]
    if container.links and BRIDGE in container.endpoints:
        concerned.append(container)
    for each in concerned:
        await reach(each, machinery, store)


async def reach(container: Container, machinery: Machinery, store: ContainerStore) -> None:
    """Let a running container on the default bridge reach whom it is linked to, as those are now."""
    try:
        await machinery.network.link(container.id, reached(container, present(container, store)))
    except errdefs.WherryError as error:
        _log.warning("container %s: its links are not up to date: %s", container.id[:12], error)


def present(container: Container, store: ContainerStore) -> Iterator[Neighbour]:
    """The neighbours of a running container that run, too."""
    for link in container.links:
        other = store.find(link.id)
        if other is not None and (endpoint := other.endpoints.get(BRIDGE)) is not None:
            yield Neighbour(link, other, endpoint)


def environment(container: Container, found: list[Neighbour]) -> list[str]:
    """The variables that tell a container of its neighbours."""
    return list(
        dict.fromkeys(
            variable
            for each in found
            for variable in links.variables(
                container.name, each.link, each.endpoint.ipv4, each.container.config
            )
        )
    )


def parents(container: Container, store: ContainerStore) -> Iterator[tuple[Container, Link]]:
    """The running containers that have a link to this one."""
    for other in store.all():
        if BRIDGE in other.endpoints:
            for link in other.links:
                if link.id == container.id:
                    yield other, link
