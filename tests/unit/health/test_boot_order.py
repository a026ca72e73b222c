import pytest

from engine.containers.config import ContainerConfig, Healthcheck, HostConfig
from engine.containers.container import Container, State
from engine.containers.own_labels import DEPENDS_ON, PROJECT, SERVICE
from engine.containers.state import Status
from engine.health.boot_order import COMPLETED, HEALTHY, LONGEST, STARTED, Need, met, needs, patience
from engine.health.health import Health, HealthStatus


def made(service: str, depends: str = "", *, project: str = "p", state: State | None = None) -> Container:
    return Container(
        id=service,
        name=service,
        created=0,
        path="x",
        args=[],
        config=ContainerConfig(),
        host_config=HostConfig(),
        networks={},
        own_labels={PROJECT: project, SERVICE: service, DEPENDS_ON: depends},
        image_id="",
        image_name="",
        snapshot="",
        state=state or State(status=Status.RESTARTING),
    )


def found(*containers: Container) -> dict[str, list[Need]]:
    starting = [each.id for each in containers if each.state.status is Status.RESTARTING]
    return needs(starting, containers)


def test_needs_are_of_the_same_project_and_start_too() -> None:
    stopped = made("stopped", state=State(status=Status.EXITED))
    running = made("running", state=State(status=Status.RUNNING))
    asked = (
        "db:service_healthy:true,cache,stopped:service_started:true,running:service_healthy:false,none:x:y"
    )
    web = made("web", asked)
    assert found(web, made("db"), made("cache"), stopped, running)["web"] == [
        Need("db", HEALTHY),
        Need("cache", STARTED),
        Need("running", HEALTHY),
    ]
    assert found(web, made("db", project="other"))["web"] == []


@pytest.mark.parametrize("chain", ["aa", "ab ba", "ab bc ca", "ab bc cb ca"])
def test_no_circle_is_left(chain: str) -> None:
    depends: dict[str, list[str]] = {}
    for link in chain.split():
        depends.setdefault(link[0], []).append(link[1])
    graph = found(*(made(one, ",".join(others)) for one, others in depends.items()))
    left = set(graph)
    while ready := {one for one in left if not any(need.container_id in left for need in graph[one])}:
        left -= ready
    assert not left


@pytest.mark.parametrize(
    ("condition", "state", "holds"),
    [
        (STARTED, State(status=Status.RESTARTING), False),
        (STARTED, State(status=Status.RUNNING), True),
        (STARTED, State(status=Status.EXITED), True),
        (HEALTHY, State(status=Status.RUNNING), True),
        (HEALTHY, State(status=Status.RUNNING, health=Health()), False),
        (HEALTHY, State(status=Status.RUNNING, health=Health(status=HealthStatus.HEALTHY)), True),
        (HEALTHY, State(status=Status.RUNNING, health=Health(status=HealthStatus.UNHEALTHY)), True),
        (HEALTHY, State(status=Status.EXITED, health=Health()), True),
        (COMPLETED, State(status=Status.RUNNING), False),
        (COMPLETED, State(status=Status.EXITED), True),
    ],
)
def test_what_is_waited_for(condition: str, state: State, holds: bool) -> None:
    assert met(Need("x", condition), made("x", state=state)) == holds
    assert met(Need("x", condition), None)


def test_patience_is_bounded() -> None:
    checked = made("x")
    checked.config.healthcheck = Healthcheck(test=["CMD", "x"], interval=10**9, timeout=10**9, retries=5)
    assert patience(Need("x", HEALTHY), checked) == 40
    checked.config.healthcheck.start_period = 10**18
    assert patience(Need("x", HEALTHY), checked) == LONGEST
    assert patience(Need("x", STARTED), checked) == 30
