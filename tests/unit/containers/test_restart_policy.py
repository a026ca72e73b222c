from typing import Any

import pytest

from engine.containers.config import ContainerConfig, HostConfig, RestartPolicy
from engine.containers.container import Container, State
from engine.containers.exit import last_run, restarting
from engine.containers.live import Live
from engine.containers.restart_policy import Ended, decide, decide_ailing, next_delay, starts_at_boot
from engine.containers.state import Status


def over(
    *, code: int = 1, ran: float = 0.0, asked: bool = False, restarts: int = 0, last: float = 0.0
) -> Ended:
    return Ended(exit_code=code, ran=ran, asked=asked, restarts=restarts, last_delay=last)


def test_the_delay_doubles_up_to_a_minute_and_begins_anew_after_a_steady_run() -> None:
    delays = []
    last = 0.0
    for _ in range(12):
        last = next_delay(over(last=last))
        delays.append(last)
    assert delays[:4] == [0.1, 0.2, 0.4, 0.8]
    assert delays[-1] == 60.0
    assert next_delay(over(last=60.0, ran=10.0)) == 0.1


@pytest.mark.parametrize(
    ("policy", "ended", "again"),
    [
        (RestartPolicy(name="no"), over(), False),
        (RestartPolicy(name=""), over(), False),
        (RestartPolicy(name="always"), over(code=0), True),
        (RestartPolicy(name="always"), over(asked=True), False),
        (RestartPolicy(name="unless-stopped"), over(code=0), True),
        (RestartPolicy(name="unless-stopped"), over(asked=True), False),
        (RestartPolicy(name="on-failure"), over(code=0), False),
        (RestartPolicy(name="on-failure"), over(code=1, restarts=1000), True),
        (RestartPolicy(name="on-failure", maximum_retry_count=3), over(restarts=2), True),
        (RestartPolicy(name="on-failure", maximum_retry_count=3), over(restarts=3), False),
    ],
)
def test_who_starts_again(policy: RestartPolicy, ended: Ended, again: bool) -> None:
    assert (decide(policy, ended) is not None) is again


@pytest.mark.parametrize(
    ("policy", "asked", "code", "starts"),
    [
        (RestartPolicy(name="always"), False, 0, True),
        (RestartPolicy(name="always"), True, 137, True),
        (RestartPolicy(name="unless-stopped"), False, 0, True),
        (RestartPolicy(name="unless-stopped"), True, 0, False),
        (RestartPolicy(name="on-failure"), False, 3, True),
        (RestartPolicy(name="on-failure"), True, 137, False),
        (RestartPolicy(name="on-failure"), False, 0, False),
        (RestartPolicy(name="no"), False, 1, False),
    ],
)
def test_who_starts_at_boot(policy: RestartPolicy, asked: bool, code: int, starts: bool) -> None:
    last = over(code=code, asked=asked)
    assert starts_at_boot(policy, last, ever_started=True) is starts
    assert not starts_at_boot(policy, last, ever_started=False)


def test_a_restart_counts_when_it_is_decided_and_once() -> None:
    ran = Container(
        id="0" * 64, name="again", created=1, path="false", args=[], config=ContainerConfig(),
        host_config=HostConfig(restart_policy=RestartPolicy(name="on-failure", maximum_retry_count=1)),
        networks={}, image_id="sha256:a", image_name="busybox", snapshot="s",
        state=State(status=Status.EXITED, exit_code=1, started_at=1, finished_at=2),
    )  # fmt: skip
    assert last_run(ran, Live()).restarts == 0
    waits = restarting(ran)
    assert (waits.state.status, waits.restart_count) == (Status.RESTARTING, 1)
    assert restarting(waits) == waits
    # A daemon that finds it waiting still owes it this start, though it is the last that it gets.
    assert last_run(waits, Live()).restarts == 0


@pytest.mark.parametrize(
    ("policy", "ended", "ailments", "delay"),
    [
        (RestartPolicy(), {}, 0, 0.1),
        (RestartPolicy(name="always"), {}, 3, 0.8),
        (RestartPolicy(name="no"), {}, 99, 60.0),
        (RestartPolicy(), {"asked": True}, 0, None),
        (RestartPolicy(name="on-failure", maximum_retry_count=2), {"restarts": 1}, 0, 0.1),
        (RestartPolicy(name="on-failure", maximum_retry_count=2), {"restarts": 2}, 0, None),
    ],
)
def test_after_an_end_for_being_unhealthy(
    policy: RestartPolicy, ended: dict[str, Any], ailments: int, delay: float | None
) -> None:
    last = Ended(**{"exit_code": 0, "ran": 99.0, "asked": False, "restarts": 0, "last_delay": 0.1, **ended})
    found = decide_ailing(policy, last, ailments)
    assert found == (None if delay is None else pytest.approx(delay))
