"""How a container stands, as `docker ps` says it."""

import time

from api.schema.times import human_duration
from engine.containers.container import State
from engine.containers.state import Status
from engine.health.health import HealthStatus


def human(state: State, now: int | None = None) -> str:
    """The text of the STATUS column: "Up 5 seconds", "Exited (0) 3 minutes ago". `now` is Unix nanoseconds."""
    now = time.time_ns() if now is None else now
    up = f"Up {human_duration(now - state.started_at)}"
    since = human_duration(now - state.finished_at)
    texts = {
        Status.RUNNING: f"{up}{_health(state)}",
        Status.PAUSED: f"{up} (Paused)",
        Status.RESTARTING: f"Restarting ({state.exit_code}) {since} ago",
        Status.REMOVING: "Removal In Progress",
        Status.DEAD: "Dead",
        Status.CREATED: "Created",
        Status.EXITED: f"Exited ({state.exit_code}) {since} ago" if state.finished_at else "",
    }
    return texts[state.status]


def _health(state: State) -> str:
    if state.health is None:
        return ""
    starting = state.health.status is HealthStatus.STARTING
    return " (health: starting)" if starting else f" ({state.health.status})"
