import pytest

from engine.containers.config import ContainerConfig, Healthcheck
from engine.health.health import Check, Health, HealthStatus, Result, after, begun, unwatched
from engine.health.probe import result
from engine.health.spans import span
from runtime.probing import ProbeResult

STARTING, HEALTHY, UNHEALTHY = HealthStatus
SECOND = 1_000_000_000


def check(**fields: int) -> Check:
    asked = Healthcheck(test=["CMD", "x"], **fields)
    found = Check.of(ContainerConfig(healthcheck=asked))
    assert found is not None
    return found


def run(health: Health, codes: list[int], asked: Check, *, at: int = 1000 * SECOND) -> Health:
    for code in codes:
        health = after(health, asked, Result(at, at + 1, code, ""), 0)
    return health


def test_dockers_defaults() -> None:
    asked = check()
    assert (asked.interval, asked.timeout, asked.start_period) == (30 * SECOND, 30 * SECOND, 0)
    assert (asked.start_interval, asked.retries) == (5 * SECOND, 3)


@pytest.mark.parametrize(
    ("test", "shell", "command"),
    [
        (["CMD", "a", "b"], None, ("a", "b")),
        (["CMD-SHELL", "a b"], None, ("/bin/sh", "-c", "a b")),
        (["CMD-SHELL", "a b"], ["/bin/bash", "-ec"], ("/bin/bash", "-ec", "a b")),
        (["CMD"], None, ()),
        (["CMD-SHELL"], None, ()),
    ],
)
def test_commands(test: list[str], shell: list[str] | None, command: tuple[str, ...]) -> None:
    found = Check.of(ContainerConfig(healthcheck=Healthcheck(test=test), shell=shell))
    assert found is not None
    assert found.command == command


@pytest.mark.parametrize("test", [None, [], ["NONE"], ["WHAT", "x"]])
def test_no_check(test: list[str] | None) -> None:
    assert Check.of(ContainerConfig(healthcheck=Healthcheck(test=test))) is None
    assert Check.of(ContainerConfig()) is None


@pytest.mark.parametrize(
    ("codes", "status", "streak"),
    [
        ([], STARTING, 0),
        ([0], HEALTHY, 0),
        ([1, 1], STARTING, 2),
        ([1, 1, 1], UNHEALTHY, 3),
        ([1, 1, 1, 1], UNHEALTHY, 4),
        ([0, 1, 2], HEALTHY, 2),
        ([0, 1, -1, 137], UNHEALTHY, 3),
        ([1, 1, 1, 0], HEALTHY, 0),
        ([1, 1, 0, 1, 1], HEALTHY, 2),
    ],
)
def test_what_results_lead_to(codes: list[int], status: HealthStatus, streak: int) -> None:
    health = run(Health(), codes, check())
    assert (health.status, health.failing_streak) == (status, streak)
    assert [entry.exit_code for entry in health.log] == codes[-5:]


def test_five_results_are_kept() -> None:
    assert [entry.exit_code for entry in run(Health(), [1, 2, 3, 4, 5, 6, 7], check()).log] == [3, 4, 5, 6, 7]


def test_failures_within_the_start_period_do_not_count() -> None:
    asked = check(start_period=10 * SECOND, retries=2)
    early = run(Health(), [1] * 9, asked, at=9 * SECOND)
    assert (early.status, early.failing_streak) == (STARTING, 0)
    assert run(early, [1, 1], asked, at=10 * SECOND).status is UNHEALTHY
    assert run(Health(), [0, 1, 1], asked, at=SECOND).status is UNHEALTHY  # it was healthy: they count


def test_the_pause_between_probes() -> None:
    asked = check(start_period=10 * SECOND, start_interval=SECOND, interval=7 * SECOND)
    assert asked.pause(Health(), 9 * SECOND) == SECOND
    assert asked.pause(Health(), 10 * SECOND) == 7 * SECOND
    assert asked.pause(Health(status=HEALTHY), SECOND) == 7 * SECOND
    assert check(interval=7 * SECOND).pause(Health(), 0) == 7 * SECOND


def test_a_new_run_keeps_the_log_and_nothing_else() -> None:
    former = run(Health(), [0, 1, 1], check())
    assert begun(former) == Health(log=former.log)
    assert begun(None) == Health()
    assert unwatched(former) == Health(status=UNHEALTHY, failing_streak=2, log=former.log)
    assert unwatched(None) is None


@pytest.mark.parametrize(
    ("late", "output", "code", "text"),
    [
        (False, b"fine\n", 0, "fine\n"),
        (False, b"x" * 4096, 0, "x" * 4096),
        (False, b"x" * 4097, 0, "x" * 4096 + "..."),
        (False, b"a\xff\xc3\xfeb\0", 0, "a���b\0"),
        (True, b"", -1, "Health check exceeded timeout (1.5s)"),
        (True, b"so far", -1, "Health check exceeded timeout (1.5s): so far"),
    ],
)
def test_what_the_log_says(late: bool, output: bytes, code: int, text: str) -> None:
    ended = ProbeResult(code=137 if late else 0, at=9, late=late, output=output)
    assert result(ended, check(timeout=1_500_000_000), 3) == Result(3, 9, code, text)


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0s"), (1, "1ns"), (1_100, "1.1µs"), (250_000_000, "250ms"), (SECOND, "1s"), (1_050_000_000, "1.05s"),
        (60 * SECOND, "1m0s"), (90 * SECOND, "1m30s"), (3600 * SECOND, "1h0m0s"), (3_661_500_000_000, "1h1m1.5s"),
    ],
)  # fmt: skip
def test_durations_as_go_writes_them(nanoseconds: int, text: str) -> None:
    assert span(nanoseconds) == text
