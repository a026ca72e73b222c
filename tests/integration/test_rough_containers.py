"""Containers that do not go quietly: orphans in the host's PIDs, fork bombs, stopped and killed processes; and
that a long day leaves the daemon as it was.
"""

import os
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest

from runtime import cgroups
from tests.daemon import Wherryd
from tests.waiting import eventually

pytestmark = pytest.mark.root

RUNS = 200
BOMB = "b() { b | b & b; }; (b &); exec sleep 1000"


@pytest.fixture(autouse=True)
def cleared(no_leftovers: None, wherryd: Wherryd) -> Iterator[None]:
    """What a failed test left does not fail the next one."""
    yield
    if ids := wherryd.docker("ps", "-aq").stdout.split():
        wherryd.docker("rm", "-f", *ids)


def members(wherryd: Wherryd, name: str) -> int:
    return len(wherryd.get(f"/containers/{name}/top").json["Processes"])


@pytest.mark.parametrize("end", ["exit", "stop", "kill", "rm"])
def test_orphans_in_the_pids_of_the_host(wherryd: Wherryd, end: str) -> None:
    """Nothing of the kernel's ends them with their init: the runtime's delete has to."""
    orphans = "(setsid sleep 1001 &) ; (setsid sleep 1002 &) ; "
    last = "sleep 0.5" if end == "exit" else "exec sleep 1000"
    wherryd.docker("run", "-d", "--name", "rough", "--pid", "host", "busybox", "sh", "-c", orphans + last)
    eventually(lambda: end == "exit" or members(wherryd, "rough") == 3)
    if end == "rm":
        wherryd.docker("rm", "-f", "rough")
        return  # that nothing is left is looked at after the test
    if end != "exit":
        wherryd.docker(end, *(("-t", "0") if end == "stop" else ()), "rough")
    eventually(lambda: wherryd.state("rough")["Status"] == "exited")
    wherryd.docker("start", "rough")
    wherryd.docker("rm", "-f", "rough")


@pytest.mark.skipif(cgroups.detect().version != 1, reason="a group of v2 is killed as a whole")
def test_who_takes_long_to_die_leaves_no_group(wherryd: Wherryd) -> None:
    """The runtime tries for a third of a second to remove a control group: that none is left is looked at after it."""
    wherryd.docker("run", "-d", "--name", "one", "busybox", "sleep", "1000")
    group = cgroups.paths(wherryd.state("one")["Pid"])["pids"]
    with subprocess.Popen(["sleep", "2"]) as dying:
        (group / "cgroup.procs").write_text(str(dying.pid))
        wherryd.docker("rm", "-f", "one")
        assert dying.wait() == 0


def test_a_fork_bomb_can_be_removed(wherryd: Wherryd) -> None:
    limits = ("--pids-limit", "64", "--cpus", "0.5")
    wherryd.docker("run", "-d", "--name", "bomb", *limits, "busybox", "sh", "-c", BOMB)
    time.sleep(1)
    assert wherryd.docker("run", "--rm", "busybox", "echo", "others").stdout == "others\n"
    assert wherryd.call("POST", "/containers/bomb/pause").status == 204
    assert wherryd.call("POST", "/containers/bomb/unpause").status == 204
    wherryd.docker("rm", "-f", "bomb")


def test_an_init_killed_by_the_host(wherryd: Wherryd) -> None:
    wherryd.docker("run", "-d", "--name", "one", "busybox", "sleep", "1000")
    os.kill(wherryd.state("one")["Pid"], signal.SIGKILL)
    assert wherryd.docker("wait", "one").stdout == "137\n"
    assert (wherryd.state("one")["OOMKilled"], wherryd.state("one")["Error"]) == (False, "")


@pytest.mark.parametrize("end", ["stop", "kill", "rm", "restart"])
def test_an_init_stopped_by_the_host(wherryd: Wherryd, end: str) -> None:
    wherryd.docker("run", "-d", "--name", "one", "busybox", "sleep", "1000")
    os.kill(wherryd.state("one")["Pid"], signal.SIGSTOP)
    flags = {"stop": ("-t", "1"), "restart": ("-t", "1"), "rm": ("-f",)}.get(end, ())
    wherryd.docker(end, *flags, "one")
    if end in ("stop", "kill"):
        assert wherryd.state("one")["ExitCode"] == 137
    if end == "restart":
        assert wherryd.state("one")["Running"]


def test_an_exec_that_outlives_its_client_goes_with_its_container(wherryd: Wherryd) -> None:
    wherryd.docker("run", "-d", "--name", "one", "busybox", "sleep", "1000")
    wherryd.docker("exec", "-d", "one", "sh", "-c", "trap '' TERM; while :; do sleep 1; done")
    eventually(lambda: members(wherryd, "one") >= 2)
    wherryd.docker("stop", "-t", "0", "one")
    assert wherryd.state("one")["Status"] == "exited"


def test_a_shim_stopped_by_the_host_holds_up_nobody_else(wherryd: Wherryd) -> None:
    wherryd.docker("run", "-d", "--name", "one", "busybox", "sleep", "1000")
    with open(f"/proc/{wherryd.state('one')['Pid']}/stat") as stat:
        shim = int(stat.read().rpartition(")")[2].split()[1])
    os.kill(shim, signal.SIGSTOP)
    try:
        assert wherryd.docker("run", "--rm", "busybox", "echo", "others").stdout == "others\n"
        assert wherryd.docker("ps", "-q").stdout.count("\n") == 1
    finally:
        os.kill(shim, signal.SIGCONT)


def figures(wherryd: Wherryd) -> dict[str, int]:
    """What the daemon and its zygote take: KiB of memory, descriptors, threads."""
    pid = wherryd.pid
    with open(f"/proc/{pid}/task/{pid}/children") as children:
        zygote = int(children.read().split()[0])
    return {
        "daemon KiB": rss(pid),
        "zygote KiB": rss(zygote),
        "descriptors": len(os.listdir(f"/proc/{pid}/fd")),
        "zygote's descriptors": len(os.listdir(f"/proc/{zygote}/fd")),
        "threads": len(os.listdir(f"/proc/{pid}/task")),
    }


def rss(pid: int) -> int:
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def run_once(wherryd: Wherryd) -> None:
    """create, start, wait, an exec's record, logs, remove: without the client's own start each time."""
    body = {"Image": "busybox", "Cmd": ["echo", "x"]}
    identifier = wherryd.call("POST", "/containers/create", body).json["Id"]
    assert wherryd.call("POST", f"/containers/{identifier}/start").status == 204
    assert wherryd.call("POST", f"/containers/{identifier}/wait").status == 200
    assert wherryd.get(f"/containers/{identifier}/logs?stdout=1").status == 200
    assert wherryd.call("DELETE", f"/containers/{identifier}").status == 204


@pytest.mark.timeout(400)
def test_many_runs_leave_the_daemon_as_it_was(wherryd: Wherryd) -> None:
    for _ in range(50):
        run_once(wherryd)
    before = figures(wherryd)
    for _ in range(RUNS):
        run_once(wherryd)
    eventually(lambda: figures(wherryd)["descriptors"] <= before["descriptors"] + 1)  # connections that end
    after = figures(wherryd)
    print(before, after)  # shown by pytest -rP
    assert after["daemon KiB"] - before["daemon KiB"] < 3 * 1024, (before, after)
    assert after["zygote KiB"] - before["zygote KiB"] < 512, (before, after)
    for kind in ("descriptors", "zygote's descriptors"):
        assert after[kind] <= before[kind] + 1, (before, after)
    assert after["threads"] <= before["threads"] + 4, (before, after)
