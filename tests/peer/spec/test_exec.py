"""The process object of an exec equals dockerd's."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from runtime.spec import capabilities
from runtime.spec.build import exec_process
from runtime.spec.environment import environment, override
from runtime.spec.options import SpecOptions
from runtime.spec.resources import Rlimit
from runtime.spec.user import User, resolve
from tests.peer.spec.conftest import Capturing
from tests.peer.spec.test_build import GROUP, PASSWD, differences, pruned

pytestmark = pytest.mark.root


@dataclass(frozen=True, slots=True)
class Case:
    """A container and an exec, as requests; and what is to be said of each to us."""

    config: Mapping[str, Any] = field(default_factory=dict)
    host: Mapping[str, Any] = field(default_factory=dict)
    exec: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    changes: Mapping[str, Any] = field(default_factory=dict)


WWW = resolve("www-data", [], PASSWD, GROUP)
CASES = {
    "plain": Case(),
    "as the container": Case(
        {"User": "www-data", "WorkingDir": "/tmp", "Env": ["A=1"]},
        {"OomScoreAdj": 5, "Ulimits": [{"Name": "nofile", "Soft": 50, "Hard": 60}], "CapAdd": ["NET_ADMIN"]},
        {},
        {
            "user": WWW,
            "env": environment([], ["A=1"], "h"),
            "oom_score_adj": 5,
            "rlimits": (Rlimit(name="nofile", soft=50, hard=60),),
            "capabilities": capabilities.resolve(["NET_ADMIN"]),
        },
        {"cwd": "/tmp"},
    ),
    "another user": Case(
        {"User": "www-data"},
        {},
        {"User": "7:8"},
        {"user": WWW},
        {"user": User(uid=7, gid=8, extra_gids=(8,))},
    ),
    "privileged": Case(
        {},
        {"SecurityOpt": ["no-new-privileges"]},
        {"Privileged": True},
        {"no_new_privileges": True},
        {"privileged_capabilities": capabilities.resolve(privileged=True)},
    ),
    "terminal": Case(
        {"Env": ["A=1", "B=2"]},
        {},
        {"Tty": True, "Env": ["A", "B=3", "C=4"], "WorkingDir": "/bin"},
        {},
        {
            "terminal": True,
            "cwd": "/bin",
            "env": tuple(override(environment([], ["A=1", "B=2"], "h", tty=True), ["A", "B=3", "C=4"])),
        },
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_process(capturing: Capturing, case: Case) -> None:
    container = {"Hostname": "h", "Cmd": ["sleep", "1000"], **case.config}
    theirs = capturing.execute(container, case.host, case.exec).spec
    plain: dict[str, Any] = {"env": environment([], [], "h"), "args": (), "rootfs": "", "cgroups_path": ""}
    options = SpecOptions(**(plain | dict(case.options)))
    changes: dict[str, Any] = {"args": ("true",), "env": options.env, **case.changes}
    ours = exec_process(options, **changes)
    assert differences(pruned(normalized(ours)), pruned(normalized(theirs))) == {}


def normalized(process: dict[str, Any]) -> dict[str, Any]:
    """Order the sets."""
    sets = {kind: sorted(names) for kind, names in process["capabilities"].items()}
    return {**process, "capabilities": sets}
