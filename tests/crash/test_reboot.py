"""The host went down, or `/run` was cleared: what the next daemon finds, and makes of it."""

import errno
import os
import shutil
import signal
import subprocess
import time
from functools import partial
from pathlib import Path

import pytest

from tests.daemon import Wherryd
from tests.leftovers import scope_of
from tests.waiting import eventually
from tests.world import Scope, Sight, cgroups, processes

pytestmark = pytest.mark.root


def runs(mortal: Wherryd, name: str) -> bool:
    return bool(mortal.state(name)["Running"])


def pid_of(line: str) -> int:
    return int(line.split()[1].rstrip(":"))


def power_off(mortal: Wherryd) -> None:
    """Everything of the daemon's dies, its mounts and `/run` are gone; only its data root is left."""
    scope = scope_of(mortal)
    mortal.kill9()
    while found := [pid_of(line) for line in processes(Sight(scope)).values()]:
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.05)
    for line in reversed(Path("/proc/self/mountinfo").read_text().splitlines()):
        if scope.within(point := line.split()[4]):
            subprocess.run(["umount", "--lazy", point], check=True)
    for path in cgroups(Sight(Scope(mortal.data_root, mortal.exec_root, mortal.bridge))):
        if any((mortal.data_root / "containers" / path.rpartition("/")[2]).glob("*")):
            eventually(partial(removed, path))
    shutil.rmtree(mortal.exec_root)
    # The bridge stays, for the comparison after the test; that a daemon makes its own again is tested elsewhere.
    subprocess.run(["nft", "delete", "table", "inet", f"wherry_{mortal.instance}"], check=True)


def removed(cgroup: str) -> bool:
    """Remove it; False while somebody in it is still dying, whom nothing else shows any more."""
    try:
        os.rmdir(cgroup)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        return False
    return True


def gone(pid: int) -> bool:
    return not os.path.exists(f"/proc/{pid}")


def start_some(mortal: Wherryd) -> None:
    run = ("run", "-d", "--name")
    mortal.docker(*run, "plain", "-p", "18101:80", "busybox", "sh", "-c", "echo said; sleep 1000")
    mortal.docker(*run, "goes", "--rm", "busybox", "sleep", "1000")
    for policy in ("always", "unless-stopped", "on-failure"):
        mortal.docker(*run, policy, "--restart", policy, "busybox", "sleep", "1000")
    mortal.docker(*run, "stopped", "--restart", "unless-stopped", "busybox", "sleep", "1000")
    mortal.docker("stop", "-t", "0", "stopped")
    mortal.docker(*run, "paused", "busybox", "sleep", "1000")
    mortal.docker("pause", "paused")
    mortal.docker("create", "--name", "created", "busybox", "true")
    eventually(lambda: mortal.docker("logs", "plain").stdout == "said\n")


ALL = ("plain", "always", "unless-stopped", "on-failure", "stopped", "paused", "created")


def test_after_a_reboot_255_and_the_restart_policies(mortal: Wherryd) -> None:
    start_some(mortal)
    mortal.docker("unpause", "paused")
    power_off(mortal)
    mortal.start()
    for name in ("plain", "paused"):
        assert (mortal.state(name)["Status"], mortal.state(name)["ExitCode"]) == ("exited", 255)
    for name in ("always", "unless-stopped", "on-failure"):
        eventually(partial(runs, mortal, name))
    assert mortal.state("stopped")["Status"] == "exited"
    assert mortal.state("created")["Status"] == "created"
    eventually(lambda: mortal.get("/containers/goes/json").status == 404)
    assert mortal.docker("logs", "plain").stdout == "said\n"
    mortal.docker("start", "plain")
    eventually(lambda: mortal.docker("logs", "plain").stdout == "said\nsaid\n")
    mortal.docker("rm", "-f", *ALL)


def test_a_cleared_run_directory_ends_what_ran(mortal: Wherryd) -> None:
    """The containers live while their directory goes: never two of one, never one that nobody knows."""
    start_some(mortal)
    before = {name: mortal.state(name)["Pid"] for name in ("plain", "always", "paused")}
    mortal.kill9()
    clear(mortal.exec_root)
    mortal.start()
    for name in ("plain", "paused"):
        found = mortal.state(name)
        assert (found["Status"], found["ExitCode"]) == ("exited", 137)
        assert "runtime directory was removed" in found["Error"]
    for pid in before.values():  # each is dead; whoever is its parent now has to be told so
        eventually(partial(gone, pid))
    for name in ("always", "unless-stopped", "on-failure"):
        eventually(partial(runs, mortal, name))
    mortal.docker("start", "plain")
    mortal.docker("rm", "-f", *ALL)


def test_a_run_directory_cleared_under_a_living_daemon(mortal: Wherryd) -> None:
    mortal.docker("run", "-d", "--name", "one", "busybox", "sleep", "1000")
    clear(mortal.exec_root)
    mortal.docker("kill", "one")
    assert mortal.docker("wait", "one").stdout == "137\n"
    mortal.docker("start", "one")
    assert mortal.docker("exec", "one", "echo", "in").stdout == "in\n"
    mortal.restart()
    assert mortal.state("one")["Running"]
    mortal.docker("rm", "-f", "one")


def clear(exec_root: Path) -> None:
    """What a zealous cleaner of /run does; mounts keep their mount points."""
    subprocess.run(["rm", "-rf", "--one-file-system", str(exec_root)], stderr=subprocess.DEVNULL, check=False)
