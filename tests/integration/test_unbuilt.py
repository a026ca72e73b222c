"""What a user is told by the official CLI about what is not there yet: its name, in one line, and a failure."""

import pytest

from api.routes import unbuilt
from tests.daemon import Wherryd

pytestmark = pytest.mark.root

COMMANDS = {
    "GET /images/{name}/history": ("history", "busybox"),
    "GET /images/search": ("search", "x"),
    "POST /images/prune": ("image", "prune", "-f"),
    "POST /commit": ("commit", "named", "x:1"),
    "GET /containers/{name}/changes": ("diff", "named"),
    "GET /containers/{name}/export": ("export", "named"),
    "GET /containers/{name}/stats": ("stats", "--no-stream", "named"),
    "POST /containers/{name}/update": ("update", "-m", "64m", "named"),
    "POST /containers/prune": ("container", "prune", "-f"),
    "GET /system/df": ("system", "df"),
    "POST /volumes/create": ("volume", "create", "v"),
    "GET /volumes": ("volume", "ls"),
    "GET /plugins/privileges": ("plugin", "install", "x"),
    "POST /swarm/init": ("swarm", "init"),
}


def refused(wherryd: Wherryd, *args: str) -> str:
    done = wherryd.docker(*args, check=False)
    assert done.returncode != 0, done.stdout
    assert "Traceback" not in done.stderr + wherryd.log_tail()
    return done.stderr


def test_calls_that_are_not_served(wherryd: Wherryd) -> None:
    summaries = {f"{r.method} {r.path}": r.summary for r in unbuilt.routes() if not r.built}
    commands = {call: command for call, command in COMMANDS.items() if call in summaries}
    assert commands
    wherryd.docker("run", "-d", "--name", "named", "busybox", "sleep", "1000")
    said = {call: wherryd.docker(*command, check=False) for call, command in commands.items()}
    wherryd.docker("rm", "-f", "named")
    for call, done in said.items():
        assert done.returncode != 0, call
        text = f"{summaries[call]}: not supported by this version of wherry ({call})"
        assert text in done.stderr, call


def test_an_engine_outside_a_swarm(wherryd: Wherryd) -> None:
    for command in (("node", "ls"), ("service", "ls"), ("stack", "ls"), ("secret", "ls"), ("config", "ls")):
        assert "This node is not a swarm manager." in refused(wherryd, *command)
    assert "This node is not part of a swarm" in refused(wherryd, "swarm", "leave")
    assert wherryd.docker("plugin", "ls", "-q").stdout == ""
