"""/dev/shm of containers that share their IPC namespace, and of those that do not."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests import kernel
from tests.daemon import Wherryd
from tests.integration.host_config.conftest import Box, Run, create, refused

pytestmark = pytest.mark.root

MIB = 1 << 20
NOT_SHAREABLE = (
    "failed to join IPC namespace: container {}: non-shareable IPC "
    "(hint: use IpcMode:shareable for the donor container)"
)


def on_host(box: Box) -> Path:
    """Where the daemon has it."""
    return box.daemon.exec_root / "containers" / box.id / "shm"


def device(box: Box) -> str:
    """Which file system is there."""
    return kernel.mounts(box.pid)["/dev/shm"].device


def test_a_shareable_one_and_who_joins(run: Run) -> None:
    donor = run({"IpcMode": "shareable", "ShmSize": 3 * MIB})
    joined = run({"IpcMode": f"container:{donor.id}", "ShmSize": 7 * MIB})
    assert kernel.namespace(donor.pid, "ipc") == kernel.namespace(joined.pid, "ipc")
    assert not kernel.of_host(donor.pid, "ipc")
    assert device(donor) == device(joined)
    options = kernel.flags(joined.pid, "/dev/shm")
    assert {
        "rw",
        "nosuid",
        "nodev",
        "noexec",
        "size=3072k",
    } <= options  # the donor's size, whatever was asked
    assert not [option for option in options if option.startswith("shared")]
    donor.shell("echo from the donor > /dev/shm/a")
    assert joined.shell("cat /dev/shm/a; echo back > /dev/shm/b") == "from the donor\n"
    assert donor.shell("cat /dev/shm/b; stat -c %a /dev/shm") == "back\n1777\n"


def test_those_who_joined_outlive_the_donor(run: Run, wherryd: Wherryd) -> None:
    donor = run({"IpcMode": "shareable"})
    second = run({"IpcMode": f"container:{donor.id}"})
    donor.shell("echo kept > /dev/shm/a")
    wherryd.call("DELETE", f"/containers/{donor.id}?force=1")
    assert not on_host(donor).exists()
    third = run({"IpcMode": f"container:{second.id}"})
    assert third.shell("cat /dev/shm/a") == "kept\n"
    assert kernel.namespace(third.pid, "ipc") == kernel.namespace(second.pid, "ipc")


def test_it_is_new_at_each_start(run: Run, wherryd: Wherryd) -> None:
    box = run({"IpcMode": "shareable"})
    box.shell("echo x > /dev/shm/a")
    assert wherryd.call("POST", f"/containers/{box.id}/restart?t=0").status == 204
    assert box.shell("ls /dev/shm") == ""
    assert wherryd.call("POST", f"/containers/{box.id}/stop?t=0").status == 204
    assert not os.path.ismount(on_host(box))


def test_the_hosts(run: Run) -> None:
    box = run({"IpcMode": "host"})
    assert kernel.of_host(box.pid, "ipc")
    here = os.stat("/dev/shm").st_dev
    assert device(box) == f"{os.major(here)}:{os.minor(here)}"
    joined = run({"IpcMode": f"container:{box.id}"})
    assert device(joined) == device(box)
    assert device(run({"IpcMode": f"container:{joined.id}"})) == device(box)


@pytest.mark.parametrize("mode", ["private", "none"])
def test_one_that_shares_with_nobody(run: Run, wherryd: Wherryd, mode: str) -> None:
    box = run({"IpcMode": mode, "ShmSize": 2 * MIB})
    assert not kernel.of_host(box.pid, "ipc")
    assert not on_host(box).exists()
    if mode == "private":
        assert "size=2048k" in kernel.flags(box.pid, "/dev/shm")
    else:
        assert "/dev/shm" not in kernel.mounts(box.pid)
    told = refused(wherryd, {"IpcMode": f"container:{box.id}"})
    assert told == (400, NOT_SHAREABLE.format(box.id))


@pytest.mark.parametrize(
    "cover", [{"Tmpfs": {"/dev/shm": "size=1m"}}, {"Mounts": [{"Type": "tmpfs", "Target": "/dev/shm"}]}]
)
def test_one_that_the_user_covers(run: Run, wherryd: Wherryd, cover: dict[str, object]) -> None:
    box = run({"IpcMode": "shareable", **cover})
    assert [entry for entry in kernel.mounts(box.pid) if entry == "/dev/shm"]
    told = refused(wherryd, {"IpcMode": f"container:{box.id}"})
    assert told == (400, NOT_SHAREABLE.format(box.id))


def test_a_read_only_root_leaves_it_writable(run: Run) -> None:
    box = run({"IpcMode": "shareable", "ReadonlyRootfs": True})
    assert box.shell("touch /dev/shm/x; touch /x || echo ro") == "ro\n"


def test_a_start_that_fails_leaves_none(wherryd: Wherryd) -> None:
    status, _ = refused(wherryd, {"IpcMode": "shareable"}, Cmd=["/nosuch"])
    assert status == 400


def test_restarts_of_the_daemon(start_daemon: object) -> None:
    """What runs keeps it, whether the daemon ends in order or is killed; afterwards it can be joined still."""
    assert callable(start_daemon)
    daemon: Wherryd = start_daemon()
    daemon.docker("run", "-d", "--name", "donor", "--ipc", "shareable", "busybox", "sleep", "1000")
    daemon.docker("exec", "donor", "sh", "-c", "echo kept > /dev/shm/a")
    daemon.restart()
    daemon.docker("run", "-d", "--name", "second", "--ipc", "container:donor", "busybox", "sleep", "1000")
    daemon.kill9()
    daemon.start()
    for name in ("donor", "second"):
        joined = daemon.docker("run", "--rm", "--ipc", f"container:{name}", "busybox", "cat", "/dev/shm/a")
        assert joined.stdout == "kept\n"
    daemon.docker("rm", "-f", "donor", "second")
    assert f"{daemon.exec_root}/" not in Path("/proc/self/mountinfo").read_text()


@pytest.mark.parametrize("field", ["IpcMode", "PidMode"])
def test_a_donor_that_ends_while_others_join(run: Run, wherryd: Wherryd, field: str) -> None:
    """Each is let in, and then shares it, or is told that the donor does not run; whatever comes first."""
    for delay in (0.0, 0.03, 0.06, 0.09):
        donor = run({"IpcMode": "shareable"})
        joining = [create(wherryd, {field: f"container:{donor.id}"}) for _ in range(3)]
        with ThreadPoolExecutor(4) as pool:
            starts = [pool.submit(wherryd.call, "POST", f"/containers/{each}/start") for each in joining]
            time.sleep(delay)
            ended = wherryd.call("POST", f"/containers/{donor.id}/kill")
        told = {each.result().status: each.result().body.decode() for each in starts}
        assert ended.status == 204
        assert told.keys() <= {204, 409}
        assert f"container {donor.id} is not running" in told.get(409, f"container {donor.id} is not running")
        for each in joining:
            wherryd.call("DELETE", f"/containers/{each}?force=1")
