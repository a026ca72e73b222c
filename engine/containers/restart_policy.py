"""Whether and when a container that ended starts again: a decision, nothing is done here."""

import msgspec

from engine.containers.config import RestartPolicy

FIRST_DELAY = 0.1
"""Seconds before the first restart; it doubles each time."""
LONGEST_DELAY = 60.0
STEADY = 10.0
"""Seconds of running after which the delay begins anew."""


class Ended(msgspec.Struct, frozen=True):
    """A run that is over. `ran` and `last_delay` are seconds; `asked` tells that a user stopped it."""

    exit_code: int
    ran: float
    asked: bool
    restarts: int
    last_delay: float


def next_delay(ended: Ended) -> float:
    """Seconds to wait before the next start: doubling, bounded, from the start after a steady run."""
    if ended.last_delay == 0 or ended.ran >= STEADY:
        return FIRST_DELAY
    return min(ended.last_delay * 2, LONGEST_DELAY)


def decide(policy: RestartPolicy, ended: Ended) -> float | None:
    """The delay in seconds after which to start again, or None: it stays ended."""
    if ended.asked:
        return None
    match policy.name:
        case "always" | "unless-stopped":
            return next_delay(ended)
        case "on-failure" if ended.exit_code != 0:
            spent = policy.maximum_retry_count and ended.restarts >= policy.maximum_retry_count
            return None if spent else next_delay(ended)
        case _:
            return None


def decide_ailing(policy: RestartPolicy, ended: Ended, ailments: int) -> float | None:
    """The delay in seconds after which one starts again that was ended as it was unhealthy; None: it stays ended.

    Any policy will do, and none: it was asked for by a label. The delay doubles until it is healthy again.
    """
    limit = policy.maximum_retry_count if policy.name == "on-failure" else 0
    if ended.asked or (limit and ended.restarts >= limit):
        return None
    return min(FIRST_DELAY * 2.0 ** min(ailments, 20), LONGEST_DELAY)


def starts_at_boot(policy: RestartPolicy, last: Ended, *, ever_started: bool) -> bool:
    """Whether a container that is not running is started when the daemon comes up.

    "always" comes back even after a stop by a user, as in Docker. What was never started is left alone.
    """
    if not ever_started:
        return False
    match policy.name:
        case "always":
            return True
        case "unless-stopped":
            return not last.asked
        case _:
            return decide(policy, last) is not None
