"""Listing containers: Docker's filters as a pure decision."""

from collections.abc import Iterable, Mapping

import msgspec

import errdefs
from engine.containers import port_filter
from engine.containers.container import Container
from engine.containers.ports import exposed
from engine.containers.state import Status
from engine.filters import Filters

ALLOWED = frozenset(
    (
        "ancestor", "before", "exited", "expose", "health", "id", "is-task", "isolation", "label", "name", "network",
        "publish", "since", "status", "volume",
    )
)  # fmt: skip
PortRange = tuple[int, int, str]
_HEALTH = ("starting", "healthy", "unhealthy", "none")


class ListQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What to list. `limit` counts the newest, stopped ones as well; 0 or less is no limit."""

    all: bool = False
    limit: int = 0
    filters: Filters = msgspec.field(default_factory=Filters)


def select(
    containers: Iterable[Container],
    query: ListQuery,
    before: Container | None,
    since: Container | None,
    ancestors: frozenset[str],
) -> list[Container]:
    """The containers, newest first as given, that the query asks for.

    `before` and `since` are the containers that the filters of these names mean, `ancestors` the IDs of the images
    that `ancestor` means.
    """
    _validate(query.filters)
    ports = {
        key: [port_filter.parse(key, value) for value in query.filters.values(key)]
        for key in ("expose", "publish")
    }
    everything = (
        query.all or query.limit > 0 or any(query.filters.values(key) for key in ("status", "exited"))
    )
    chosen = []
    for container in containers:
        if not (everything or container.running or container.state.status is Status.RESTARTING):
            continue
        if before is not None and container.created >= before.created:
            continue
        if since is not None and container.created <= since.created:
            continue
        if _passes(container, query.filters, ancestors, ports):
            chosen.append(container)
        if 0 < query.limit == len(chosen):
            break
    return chosen


def _validate(filters: Filters) -> None:
    statuses = [status.value for status in Status]
    for status in filters.values("status"):
        if status not in statuses:
            raise errdefs.InvalidArgument(f"invalid filter 'status={status}'")
    for code in filters.values("exited"):
        if problem := _problem(code):
            raise errdefs.InvalidArgument(f"invalid filter 'exited={code}': {problem}")
    for health in filters.values("health"):
        if health not in _HEALTH:
            raise errdefs.InvalidArgument(f"unrecognized filter value for health: {health}")
    filters.boolean("is-task", default=False)


def _problem(code: str) -> str:
    digits = code[1:] if code.startswith(("-", "+")) else code
    if not (digits.isascii() and digits.isdecimal()):
        return f'strconv.Atoi: parsing "{code}": invalid syntax'
    if len(digits) > 20 or int(digits) >= 2**63:
        return f'strconv.Atoi: parsing "{code}": value out of range'
    return ""


def _passes(
    container: Container,
    filters: Filters,
    ancestors: frozenset[str],
    ports: Mapping[str, list[PortRange]],
) -> bool:
    return (
        filters.match("name", container.name if not _slashed(filters) else f"/{container.name}")
        and filters.match("id", container.id)
        and filters.labels("label", container.config.labels)
        and filters.exact("status", container.state.status.value)
        and filters.exact("health", _health(container))
        and _exited(container, filters)
        and (not filters.values("ancestor") or container.image_id in ancestors)
        and not filters.boolean("is-task", default=False)
        and _network(container, filters)
        and _volume(container, filters)
        and _ports(container, ports)
    )


def _health(container: Container) -> str:
    return container.state.health.status.value if container.state.health is not None else "none"


def _slashed(filters: Filters) -> bool:
    return any(name.startswith(("/", "^/")) for name in filters.values("name"))


def _exited(container: Container, filters: Filters) -> bool:
    codes = filters.values("exited")
    if not codes:
        return True
    over = container.state.status is Status.EXITED
    return over and str(container.state.exit_code) in codes


def _network(container: Container, filters: Filters) -> bool:
    wanted = filters.values("network")
    if not wanted:
        return True
    ids = (endpoint.network_id for endpoint in container.endpoints.values())
    named = {*container.networks, *filter(None, container.network_ids.values()), *ids}
    return any(want in named for want in wanted)


def _volume(container: Container, filters: Filters) -> bool:
    wanted = filters.values("volume")
    places = {place for mount in container.mounts for place in (mount.name, mount.source, mount.destination)}
    return not wanted or any(want in places for want in wanted)


def _ports(container: Container, wanted: Mapping[str, list[PortRange]]) -> bool:
    """One filter of ports is enough: "publish" is of the host's, "expose" of the container's while it runs."""
    if not any(wanted.values()):
        return True
    published: set[tuple[int, str]] = {(port.host_port, port.proto) for port in container.ports}
    return _has(published, wanted["publish"]) or _has(_exposed(container), wanted["expose"])


def _exposed(container: Container) -> set[tuple[int, str]]:
    if not container.endpoints:
        return set()
    found: set[tuple[int, str]] = {(port.container_port, port.proto) for port in container.ports}
    return found.union(exposed(container.config))


def _has(ports: set[tuple[int, str]], ranges: Iterable[PortRange]) -> bool:
    return any(
        first <= port <= last and kind == proto for first, last, proto in ranges for port, kind in ports
    )
