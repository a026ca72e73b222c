"""What confines processes: seccomp, no-new-privileges and control groups, in the kernel."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.daemon import Wherryd
from tests.integration.host_config.conftest import Run, refused

pytestmark = pytest.mark.root
NO_MKDIR = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}]}


def status(pid: int, name: str) -> str:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line.split()[1] for line in lines if line.startswith(f"{name}:"))


@pytest.mark.parametrize(
    ("options", "filtered", "fixed"),
    [
        ([], "2", "0"),
        (["seccomp=unconfined"], "0", "0"),
        (["seccomp=builtin", "no-new-privileges"], "2", "1"),
        (["no-new-privileges=true"], "2", "1"),
        (["no-new-privileges:false", "label=disable", "apparmor=unconfined"], "2", "0"),
    ],
)
def test_what_processes_have(run: Run, options: list[str], filtered: str, fixed: str) -> None:
    box = run({"SecurityOpt": options})
    assert (status(box.pid, "Seccomp"), status(box.pid, "NoNewPrivs")) == (filtered, fixed)
    inside = box.shell("grep -E '^(Seccomp|NoNewPrivs):' /proc/self/status").split()
    assert inside[1::2] == [fixed, filtered]


def test_a_profile(run: Run) -> None:
    box = run({"SecurityOpt": [f"seccomp={json.dumps(NO_MKDIR)}"]})
    assert "Operation not permitted" in box.shell("mkdir /x 2>&1 || true")
    assert box.shell("touch /x && echo made") == "made\n"


@pytest.mark.parametrize(
    ("profile", "text"),
    [
        ("x", "Decoding seccomp profile failed: "),
        (
            {**NO_MKDIR, "architectures": ["A"], "archMap": [{"architecture": "B"}]},
            "both 'architectures' and",
        ),
        ({"syscalls": [{"name": "a", "names": ["b"]}]}, "both 'name' and 'names' are specified"),
    ],
)
def test_profiles_that_are_none(wherryd: Wherryd, profile: Any, text: str) -> None:
    written = profile if isinstance(profile, str) else json.dumps(profile)
    answer = refused(wherryd, {"SecurityOpt": [f"seccomp={written}"]})
    assert answer[0] == 400
    assert answer[1].startswith(text)


def test_writable_cgroups(run: Run) -> None:
    look = "grep -E ' cgroup2? ' /proc/mounts | cut -d' ' -f4 | cut -c1-2 | sort -u"
    assert run().shell(look).split() == ["ro"]
    assert run({"SecurityOpt": ["writable-cgroups=true"]}).shell(look).split() == ["rw"]


def test_the_daemons_defaults(start_daemon: Any, tmp_path: Path) -> None:
    """A container and its execs gain no privileges unless it says so, and have the daemon's profile."""
    profile = tmp_path / "profile.json"
    profile.write_text(json.dumps(NO_MKDIR))
    daemon = start_daemon("--no-new-privileges", "--seccomp-profile", str(profile))
    assert "name=no-new-privileges" in daemon.get("/info").json["SecurityOptions"]
    shell = ("sh", "-c", "grep NoNewPrivs /proc/self/status; mkdir /x || touch /y")
    asked = ("--security-opt", "no-new-privileges=false", "--security-opt", "seccomp=unconfined")
    for options, fixed, failed in (((), "1", True), (asked, "0", False)):
        daemon.docker("run", "-d", "--name", "box", *options, "busybox", "sleep", "1000")
        for said in (
            daemon.docker("exec", "box", *shell),
            daemon.docker("run", "--rm", *options, "busybox", *shell),
        ):
            assert said.stdout.split() == ["NoNewPrivs:", fixed]
            assert ("Operation not permitted" in said.stderr) is failed
        daemon.docker("rm", "-f", "box")
