"""In which order containers start at boot: after those that compose's labels say they depend on. Decisions alone."""

from collections.abc import Iterable, Mapping

import msgspec

from engine.containers.container import Container
from engine.containers.own_labels import DEPENDS_ON, PROJECT, SERVICE
from engine.containers.state import Status
from engine.health.health import Check, HealthStatus

STARTED, HEALTHY, COMPLETED = "service_started", "service_healthy", "service_completed_successfully"
LONGEST = 300.0
"""Seconds that one container waits for another at most, whatever checks that one has."""
_START = 30.0


class Need(msgspec.Struct, frozen=True):
    """That a container has come up, in the words of compose."""

    container_id: str
    condition: str


def needs(starting: Iterable[str], containers: Iterable[Container]) -> dict[str, list[Need]]:
    """What each container that is to start waits for: others of its project that are to start, or run already.

    One that is neither is not waited for, nor one that by way of others waits for this one.
    """
    every = list(containers)
    to_start = frozenset(starting)
    services: dict[tuple[str, str], list[Container]] = {}
    for container in every:
        if container.id in to_start or container.running:
            services.setdefault(_service(container), []).append(container)
    found = {
        container.id: [
            Need(other.id, condition)
            for service, condition in _dependencies(container)
            for other in services.get((container.own_labels.get(PROJECT, ""), service), ())
        ]
        for container in every
        if container.id in to_start
    }
    return _without_cycles(found)


def _service(container: Container) -> tuple[str, str]:
    labels = container.own_labels
    return labels.get(PROJECT, ""), labels.get(SERVICE, "")


def _dependencies(container: Container) -> list[tuple[str, str]]:
    """The services and conditions of "db:service_healthy:true,cache:service_started:false"."""
    entries = container.own_labels.get(DEPENDS_ON, "").split(",")
    parts = [entry.split(":") for entry in entries if entry]
    return [(each[0], each[1] if len(each) > 1 else STARTED) for each in parts]


def _without_cycles(found: Mapping[str, list[Need]]) -> dict[str, list[Need]]:
    kept: dict[str, list[Need]] = {container_id: [] for container_id in found}
    for container_id, wanted in found.items():
        for need in wanted:
            if not _reaches(kept, need.container_id, container_id):
                kept[container_id].append(need)
    return kept


def _reaches(graph: Mapping[str, list[Need]], origin: str, goal: str) -> bool:
    seen: set[str] = set()
    ahead = [origin]
    while ahead:
        here = ahead.pop()
        if here == goal:
            return True
        if here not in seen:
            seen.add(here)
            ahead += [need.container_id for need in graph.get(here, ())]
    return False


def met(need: Need, container: Container | None) -> bool:
    """Whether there is nothing to be waited for any more: it is as it should be, or will not come to that."""
    if container is None:
        return True
    state = container.state
    if state.status is Status.RESTARTING:
        return False
    if not container.running:
        return True
    if need.condition == COMPLETED:
        return False
    return (
        need.condition != HEALTHY or state.health is None or state.health.status is not HealthStatus.STARTING
    )


def patience(need: Need, container: Container) -> float:
    """Seconds to wait for it: until its check must have said something."""
    check = Check.of(container.config)
    if need.condition != HEALTHY or check is None:
        return _START if need.condition == STARTED else LONGEST
    decided = check.start_period + check.retries * (check.interval + check.timeout)
    return min(LONGEST, _START + decided / 1e9)
