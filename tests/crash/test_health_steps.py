"""The daemon killed at each step of a probe's result and of a restart of what is unhealthy, and a shim that probes."""

from pathlib import Path
from typing import Any

import pytest

from tests.daemon import Wherryd
from tests.waiting import eventually

pytestmark = pytest.mark.root
CHECK = ("--health-interval", "200ms", "--health-retries", "1", "--health-cmd")
RESTART = ("--label", "wherry.on-unhealthy=restart", "--stop-timeout", "0")


def told(mortal: Wherryd) -> dict[str, Any]:
    found: dict[str, Any] = mortal.get("/containers/ill/json").json
    return found


def lives_well(mortal: Wherryd) -> bool:
    """It is healthy, and there once."""
    state = told(mortal)["State"]
    if not state["Running"] or state["Health"]["Status"] != "healthy":
        return False
    return mortal.docker("top", "ill", check=False).stdout.count("sleep 1000") == 1


@pytest.mark.parametrize(
    "point",
    ["health.recorded", "unhealthy.marked", "exit.released", "exit.recorded", "start.create", "start.save"],
)
def test_a_restart_goes_on(mortal: Wherryd, tmp_path: Path, point: str) -> None:
    """Wherever the daemon died, the container is there once, is restarted, and becomes healthy."""
    mortal.docker(
        "run", "-d", "--name", "ill", *RESTART, *CHECK, "! [ -e /state/ill ]", "-v", f"{tmp_path}:/state", "busybox",
        "sleep", "1000",
    )  # fmt: skip
    try:
        eventually(lambda: told(mortal)["State"]["Health"]["Status"] == "healthy")
        first = told(mortal)["State"]["Pid"]
        mortal.dies_at(point)
        (tmp_path / "ill").touch()
        eventually(lambda: not mortal.alive)
        mortal.start()
        eventually(lambda: told(mortal)["State"]["Pid"] not in (0, first))
        (tmp_path / "ill").unlink()
        eventually(lambda: lives_well(mortal))  # a restart may still be under way for what was probed before
    finally:
        if not mortal.alive:
            mortal.start()
        mortal.docker("rm", "-f", "ill")


def test_a_shim_that_dies_while_it_probes(mortal: Wherryd) -> None:
    mortal.dies_at("shim.probing")
    try:
        mortal.docker("run", "-d", "--name", "ill", *CHECK, "sleep 4444", "busybox", "sleep", "1000")
        eventually(lambda: told(mortal)["State"]["Status"] == "exited")
        assert "its shim died" in told(mortal)["State"]["Error"]
    finally:
        mortal.restart()
        mortal.docker("rm", "-f", "ill")
