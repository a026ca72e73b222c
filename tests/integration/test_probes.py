"""A probe is in no way freer than an exec, nor otherwise different: what it sees of itself in /proc is compared."""

import json
import re
import time
from pathlib import Path

import pytest

from tests.daemon import Wherryd
from tests.waiting import eventually

pytestmark = pytest.mark.root

# By the shell itself, as it blocks signals while it forks: whoever it forks may look at that moment.
SCRIPT = """cd $1 2>/dev/null || exit 1
[ -e done ] && exit 0
while read -r line; do echo "$line"; done </proc/$$/status >status
for name in cgroup attr/current limits oom_score_adj environ mountinfo; do
    cat /proc/$$/$name >"$(basename $name)" 2>&1
done
for name in /proc/$$/ns/*; do readlink $name; done >ns
readlink /proc/$$/fd/0 >stdin
ls /proc/$$/fd >fds
id >id; umask >umask; cat /proc/keys >keys 2>&1; echo "$OLDPWD" >cwd; tty >tty 2>&1
touch done"""
OWN = re.compile(  # numbers of the process itself, and what its program makes of it
    r"^(State|Pid|Tgid|Ngid|PPid|NS(pid|tgid|pgid|sid)|Vm\w+|Rss\w+|\w*ctxt_switches|SigQ|SigCgt|FDSize|x86_\w+):.*$",
    re.M,
)
PROFILE = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}],
}
CHEAP = {
    "default": [],
    "user": ["--user", "1000:1001"],
    "user by name": ["--user", "nobody"],
    "groups": ["--user", "1000", "--group-add", "33", "--group-add", "44"],
    "cap-add": ["--cap-add", "NET_ADMIN", "--cap-add", "SYS_TIME"],
    "cap-add of a user": ["--cap-add", "NET_ADMIN", "--user", "7"],
    "cap-drop": ["--cap-drop", "ALL"],
    "seccomp profile": ["--security-opt", "seccomp={profile}"],
    "no filter": ["--security-opt", "seccomp=unconfined"],
    "no network": ["--network", "none"],
    "network of the host": ["--network", "host", "--uts", "host", "--ipc", "host"],
    "limits": [
        "--ulimit",
        "nofile=77:88",
        "--ulimit",
        "core=-1",
        "--ulimit",
        "nproc=99",
        "--oom-score-adj",
        "321",
    ],
    "few processes": ["--pids-limit", "9", "--memory", "40m", "--cpus", "0.9", "--cpuset-cpus", "0"],
    "environment": ["-e", "A=b", "-e", "HOME=", "-e", "PATH=/bin:/usr/bin", "-e", "X=1\n2", "-w", "/tmp"],
    "init": ["--init", "--read-only"],
    "writable control groups": ["--security-opt", "systempaths=unconfined", "--cgroupns", "private"],
}
BY_RUNTIME = {
    "privileged": ["--privileged"],
    "tracing": ["--cap-add", "SYS_PTRACE"],
    "no new privileges": ["--security-opt", "no-new-privileges", "--user", "5"],
    "processes of the host": ["--pid", "host"],
}


@pytest.mark.parametrize(("flags", "cheap"), [
    *[pytest.param(flags, True, id=name) for name, flags in CHEAP.items()],
    *[pytest.param(flags, False, id=name) for name, flags in BY_RUNTIME.items()],
])  # fmt: skip
def test_a_probe_is_as_an_exec(wherryd: Wherryd, tmp_path: Path, flags: list[str], cheap: bool) -> None:
    """Status with all sets of capabilities, seccomp, groups; cgroups of all hierarchies, label, namespaces, limits."""
    for name in ("probe", "exec"):
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(0o777)
    tmp_path.chmod(0o755)
    (tmp_path / "script").write_text(SCRIPT)
    (tmp_path / "profile").write_text(json.dumps(PROFILE))
    flags = [flag.replace("{profile}", str(tmp_path / "profile")) for flag in flags]
    check = ["--health-interval=100ms", "--health-cmd", "sh /look/script /look/probe"]
    container = wherryd.docker(
        "run", "-d", *flags, *check, "-v", f"{tmp_path}:/look", "busybox", "sleep", "1000"
    ).stdout.strip()
    try:
        eventually(lambda: (tmp_path / "probe/done").exists())
        wherryd.docker("exec", container, "/bin/sh", "-c", "sh /look/script /look/exec")
        probe, executed = seen(tmp_path / "probe", container), seen(tmp_path / "exec", container)
        assert probe["status"].splitlines() == executed["status"].splitlines()
        assert probe == executed
        assert (count(wherryd, container) == 0) == cheap
    finally:
        wherryd.docker("rm", "-f", container)


def seen(directory: Path, container: str) -> dict[str, str]:
    """What a process told of itself."""
    found = {path.name: path.read_text() for path in directory.iterdir() if path.name != "done"}
    found["status"] = re.sub(r"\n+", "\n", OWN.sub("", found["status"]))
    found["keys"] = str(found["keys"].count(f"_ses.{container}"))  # its own session keyring, and one only
    found["fds"] = str(len(found["fds"].split()))
    assert "CapAmb" in found["status"]
    assert "Seccomp_filters" in found["status"]
    assert found["ns"].count("\n") > 6
    return found


def count(wherryd: Wherryd, container: str) -> int:
    """How often the runtime was asked for while two more probes ran: it leaves marks in the shim's directory."""
    directory = wherryd.exec_root / "containers" / container / "1"
    before, began = directory.stat().st_mtime_ns, time.time_ns()
    eventually(lambda: ended_since(wherryd, container, began) >= 2)
    return int(directory.stat().st_mtime_ns != before)


def ended_since(wherryd: Wherryd, container: str, began: int) -> int:
    """How many probes have begun since and are over."""
    log = wherryd.get(f"/containers/{container}/json").json["State"]["Health"]["Log"]
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(began // 10**9)) + f".{began % 10**9:09}"
    return sum(result["Start"].rstrip("Z") > stamp for result in log)
