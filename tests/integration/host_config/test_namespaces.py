"""Whose namespaces a container is in, as the kernel has them."""

import os
from typing import Any

import pytest

from tests import kernel
from tests.daemon import Wherryd
from tests.integration.host_config.conftest import SLEEP, Run, create, refused, require_refused

pytestmark = pytest.mark.root

KINDS = ("ipc", "pid", "uts", "net", "mnt", "cgroup")


def of_host(pid: int) -> set[str]:
    return {kind for kind in KINDS if kernel.of_host(pid, kind)}


def test_its_own_but_for_cgroups_on_v1(run: Run) -> None:
    box = run()
    assert of_host(box.pid) == (
        {"cgroup"} if box.inspect()["HostConfig"]["CgroupnsMode"] == "host" else set()
    )


@pytest.mark.parametrize(
    ("asked", "kinds"),
    [
        ({"IpcMode": "host"}, {"ipc"}),
        ({"PidMode": "host"}, {"pid"}),
        ({"UTSMode": "host"}, {"uts"}),
        ({"NetworkMode": "host"}, {"net"}),
        ({"PidMode": "host", "UTSMode": "host", "IpcMode": "host", "CgroupnsMode": "host"},
         {"pid", "uts", "ipc", "cgroup"}),
    ],
)  # fmt: skip
def test_those_of_the_host(run: Run, asked: dict[str, str], kinds: set[str]) -> None:
    box = run({"CgroupnsMode": "private"} | asked)
    assert of_host(box.pid) == kinds
    if "UTSMode" in asked:
        assert box.shell("hostname") == os.uname().nodename + "\n"
    if "PidMode" in asked:
        assert kernel.status(box.pid)["NSpid"] == str(box.pid)


def test_the_processes_of_another(run: Run) -> None:
    donor = run()
    box = run({"PidMode": f"container:{donor.id}", "Init": True})
    assert kernel.namespace(box.pid, "pid") == kernel.namespace(donor.pid, "pid")
    assert box.shell("cat /proc/1/cmdline").split("\0")[:2] == [
        "sleep",
        "1000",
    ]  # the donor's, and no init before it
    donor.daemon.call("POST", f"/containers/{donor.id}/stop?t=0")
    answer = donor.daemon.call("POST", f"/containers/{box.id}/wait")
    assert answer.json["StatusCode"] == 137  # the namespace ends with its first process


@pytest.mark.parametrize("kind", ["IPC", "PID"])
def test_donors_that_are_none(wherryd: Wherryd, run: Run, kind: str) -> None:
    field = {"IPC": "IpcMode", "PID": "PidMode"}[kind]
    prefix = f"failed to join {kind} namespace: "
    idle = create(wherryd, {"IpcMode": "shareable"})
    status, told = refused(wherryd, {field: f"container:{idle}"})
    assert (status, told) == (409, f"{prefix}container {idle} is not running")
    waiting = create(wherryd, {field: f"container:{idle}"})
    wherryd.call("DELETE", f"/containers/{idle}")
    answer = wherryd.call("POST", f"/containers/{waiting}/start")
    assert (answer.status, answer.json["message"]) == (400, f"{prefix}No such container: {idle}")
    wherryd.call("DELETE", f"/containers/{waiting}")
    restarting = until_it_waits_long(run)
    status, told = refused(wherryd, {field: f"container:{restarting}"})
    assert status == 409
    assert told == f"{prefix}Container {restarting} is restarting, wait until the container is running"


def until_it_waits_long(run: Run) -> str:
    """A container whose restart policy waits for more than a second by now."""
    box = run({"IpcMode": "shareable", "RestartPolicy": {"Name": "always"}}, Cmd=["false"])
    box.until(lambda shown: shown["RestartCount"] >= 5 and shown["State"]["Restarting"])
    return box.id


def test_modes_that_are_none(wherryd: Wherryd) -> None:
    require_refused(
        wherryd,
        ({"IpcMode": "bad"}, "invalid IPC mode: bad"),
        ({"PidMode": "private"}, "invalid PID mode: private"),
        ({"UTSMode": "private"}, "invalid UTS mode: private"),
        ({"CgroupnsMode": "shared"}, "invalid cgroup namespace mode: shared"),
        ({"PidMode": "container:nosuch"}, "No such container: nosuch"),
    )


def test_the_cgroup_namespace_by_version(start_daemon: Any) -> None:
    """Clients of before 1.41 expect the host's on cgroup v1, whatever the daemon's default."""
    daemon: Wherryd = start_daemon("--default-cgroupns-mode", "private", "--default-ipc-mode", "shareable")
    shown = {}
    for version in ("1.40", "1.41"):
        identifier = create(daemon, {}, version)
        shown[version] = daemon.get(f"/containers/{identifier}/json").json["HostConfig"]
    privileged = create(daemon, {"Privileged": True})
    alone = daemon.get(f"/containers/{privileged}/json").json["HostConfig"]["CgroupnsMode"]
    on_v1 = daemon.get("/info").json["CgroupVersion"] == "1"
    assert shown["1.40"]["CgroupnsMode"] == ("host" if on_v1 else "private")
    assert shown["1.41"]["CgroupnsMode"] == "private"
    assert alone == ("host" if on_v1 else "private")
    assert {each["IpcMode"] for each in shown.values()} == {"shareable"}


def test_the_ipc_namespace_by_version(run: Run) -> None:
    modes = [run({}, version=version).inspect()["HostConfig"]["IpcMode"] for version in ("1.39", "1.40")]
    assert modes == ["shareable", "private"]


def test_names_of_the_host(run: Run) -> None:
    box = run({}, Hostname="web", Domainname="example")
    assert box.shell("hostname; cat /proc/sys/kernel/domainname /etc/hostname") == "web\nexample\nweb\n"
    assert box.inspect()["Args"] == list(SLEEP[1:])
