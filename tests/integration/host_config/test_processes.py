"""What the first process of a container is given: limits, sysctls, groups, devices, an init, a signal to stop by."""

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from runtime import cgroups
from tests import kernel
from tests.daemon import Wherryd
from tests.integration.host_config.conftest import Run, refused, require_refused, words

pytestmark = pytest.mark.root


def test_ulimits(run: Run) -> None:
    asked = {
        "nofile": (100, 200),
        "core": (0, -1),
        "memlock": (4096, 8192),
        "NPROC": (500, 600),
        "as": (1 << 40, 1 << 40),
    }
    box = run(
        {"Ulimits": [{"Name": name, "Soft": soft, "Hard": hard} for name, (soft, hard) in asked.items()]}
    )
    found = kernel.limits(box.pid)
    assert found["Max open files"] == ("100", "200")
    assert found["Max core file size"] == ("0", kernel.UNLIMITED)
    assert found["Max locked memory"] == ("4096", "8192")
    assert found["Max processes"] == ("500", "600")
    assert found["Max address space"] == (str(1 << 40), str(1 << 40))
    assert box.shell("ulimit -n; ulimit -Hn") == "100\n200\n"


def test_ulimits_of_the_daemon(start_daemon: Any) -> None:
    """They are given, to an exec as well, and are no part of what the container asked for."""
    daemon: Wherryd = start_daemon("--default-ulimit", "nofile=300:400", "--default-ulimit", "core=0")
    daemon.docker("run", "-d", "--name", "box", "--ulimit", "core=7:8", "busybox", "sleep", "1000")
    shown = daemon.get("/containers/box/json").json
    found = kernel.limits(shown["State"]["Pid"])
    assert (found["Max open files"], found["Max core file size"]) == (("300", "400"), ("7", "8"))
    assert shown["HostConfig"]["Ulimits"] == [{"Name": "core", "Soft": 7, "Hard": 8}]
    assert daemon.docker("exec", "box", "sh", "-c", "ulimit -n").stdout == "300\n"


def test_ulimits_that_cannot_be(wherryd: Wherryd) -> None:
    for limit, status, text in (
        (("nofile", 10, 5), 400, "ulimit soft limit must be less than or equal to hard limit: 10 > 5"),
        (("nofile", -1, 5), 400, "ulimit soft limit must be less than or equal to hard limit: -1 > 5"),
        (("nosuch", 1, 1), 400, "invalid ulimit type: nosuch"),
        (("nofile", 1 << 40, 1 << 40), 500, "error setting rlimit"),  # the kernel's word, through the runtime
    ):
        asked = {"Ulimits": [dict(zip(("Name", "Soft", "Hard"), limit, strict=True))]}
        found, told = refused(wherryd, asked)
        assert (found, text in told) == (status, True), told


def test_sysctls(run: Run) -> None:
    asked = {
        "kernel.shmmax": "1000000", "fs.mqueue.msg_max": "20", "net.ipv4.ip_forward": "1",
        "net.ipv4.ip_unprivileged_port_start": "80", "kernel.domainname": "other",
    }  # fmt: skip
    box = run({"Sysctls": asked}, Domainname="example")
    paths = " ".join("/proc/sys/" + name.replace(".", "/") for name in asked)
    assert box.shell(f"cat {paths}").split() == list(asked.values())
    assert run().shell("cat /proc/sys/net/ipv4/ip_unprivileged_port_start") == "0\n"


def test_sysctls_that_cannot_be(wherryd: Wherryd) -> None:
    for asked, text in (
        (
            {"Sysctls": {"kernel.pid_max": "1000"}},
            'sysctl "kernel.pid_max" is not in a separate kernel namespace',
        ),
        ({"Sysctls": {"vm.swappiness": "1"}}, 'sysctl "vm.swappiness" is not in a separate kernel namespace'),
        ({"Sysctls": {"net.nope": "1"}}, "open /proc/sys/net/nope: no such file or directory"),
        ({"Sysctls": {"net.ipv4.ip_forward": "x"}}, "write /proc/sys/net/ipv4/ip_forward: invalid argument"),
        (
            {"Sysctls": {"net.ipv4.ip_forward": "1"}, "NetworkMode": "host"},
            "not allowed in host network namespace",
        ),
        (
            {"Sysctls": {"kernel.shmmax": "1000"}, "IpcMode": "host"},
            "is not allowed in the hosts ipc namespace",
        ),
    ):
        status, told = refused(wherryd, asked)
        # A file that is not there looks like a command that is not there, to dockerd too.
        assert (status, text in told) == (400 if "no such file" in text else 500, True), told


def test_groups(run: Run) -> None:
    box = run({"GroupAdd": ["staff", "777"]}, User="1000:5")
    found = kernel.status(box.pid)
    assert found["Uid"].split()[0] == "1000"
    assert found["Gid"].split()[0] == "5"
    assert sorted(map(int, found["Groups"].split())) == [5, 50, 777]
    assert box.shell("id -G") == "5 50 777\n"


def test_groups_that_are_none(wherryd: Wherryd) -> None:
    require_refused(
        wherryd,
        ({"GroupAdd": ["nosuch"]}, "unable to find group nosuch: no matching entries in group file"),
        ({"GroupAdd": ["-5"]}, "uids and gids must be in range 0-2147483647"),
        ({"GroupAdd": ["4294967295"]}, "uids and gids must be in range 0-2147483647"),
    )


def test_devices(run: Run) -> None:
    box = run(
        {
            "Devices": [
                {"PathOnHost": "/dev/loop0", "PathInContainer": "/dev/mine", "CgroupPermissions": "r"},
                {"PathOnHost": "/dev/null", "PathInContainer": "/dev/deep/null"},
            ]
        }
    )
    node = os.stat(f"/proc/{box.pid}/root/dev/mine")
    assert stat.S_ISBLK(node.st_mode)
    assert node.st_rdev == os.stat("/dev/loop0").st_rdev
    assert (
        box.shell("echo x > /dev/deep/null && echo written; (: > /dev/mine) 2>/dev/null || echo denied")
        == "written\ndenied\n"
    )
    if cgroups.detect().version == 1:
        allowed = kernel.cgroup(box.pid, "devices.list").splitlines()
        assert f"b {os.major(node.st_rdev)}:{os.minor(node.st_rdev)} r" in allowed
    assert not os.path.exists(f"/proc/{box.pid}/root/dev/loop0")


def test_directories_links_and_permissions_of_devices(run: Run, tmp_path: Path) -> None:
    """A directory is given with all nodes below it, a link as what it leads to; the mode is the host's."""
    tree = tmp_path / "tree"
    (tree / "deep").mkdir(parents=True)
    for path, minor, mode in ((tree / "null", 3, 0o640), (tree / "deep" / "zero", 5, 0o604)):
        os.mknod(path, stat.S_IFCHR, os.makedev(1, minor))
        path.chmod(mode)
        os.chown(path, 7, 8)
    (tree / "file").write_text("no device")
    (tmp_path / "link").symlink_to(tree / "null")
    box = run(
        {
            "Devices": [
                {"PathOnHost": str(tree), "PathInContainer": "/dev/tree", "CgroupPermissions": "rm"},
                {"PathOnHost": str(tmp_path / "link"), "PathInContainer": "/dev/linked"},
            ]
        }
    )
    root = Path(f"/proc/{box.pid}/root/dev")
    found = {
        str(path.relative_to(root)): path.lstat() for path in root.glob("tree/**/*") if path.is_char_device()
    }
    found["linked"] = (root / "linked").lstat()
    assert {name: (os.minor(node.st_rdev), stat.S_IMODE(node.st_mode)) for name, node in found.items()} == {
        "tree/null": (3, 0o640),
        "tree/deep/zero": (5, 0o604),
        "linked": (3, 0o640),
    }
    assert {(node.st_uid, node.st_gid) for node in found.values()} == {(7, 8)}


def test_rules_of_the_device_cgroup(run: Run) -> None:
    """They allow what has no node: one that is made inside can be opened."""
    without, box = run(), run({"DeviceCgroupRules": ["b 7:0 r", "c *:* m"]})
    if cgroups.detect().version == 1:
        assert {"b 7:0 r", "c *:* m"} <= set(kernel.cgroup(box.pid, "devices.list").splitlines())
    script = "mknod /dev/disk b 7 0 && (: < /dev/disk) 2>/dev/null && echo opened || echo denied"
    assert (without.shell(script), box.shell(script)) == ("denied\n", "opened\n")


def test_rules_that_are_none(wherryd: Wherryd) -> None:
    for rule in ("c 1:3", "x 1:3 r", "c 1:3 rwx", "c a:3 r", "c 1:3 rwm extra", ""):
        require_refused(
            wherryd, ({"DeviceCgroupRules": [rule]}, f"invalid device cgroup rule format: '{rule}'")
        )


def test_all_devices_of_the_host(run: Run) -> None:
    box = run({"Privileged": True})
    assert {"a *:* rwm"} == set(kernel.cgroup(box.pid, "devices.list").splitlines()) or (
        cgroups.detect().version == 2
    )
    assert os.stat(f"/proc/{box.pid}/root/dev/loop0").st_rdev == os.stat("/dev/loop0").st_rdev
    assert kernel.status(box.pid)["CapEff"] == kernel.status(box.daemon.pid)["CapEff"]
    assert kernel.mounts(box.pid)["/sys"].options.split(",")[0] == "rw"


def test_a_device_that_is_gone_from_the_host(run: Run, tmp_path: Path) -> None:
    """What runs has it still, and an exec does not look for it again."""
    node = tmp_path / "node"
    os.mknod(node, 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    box = run({"Devices": [{"PathOnHost": str(node), "PathInContainer": "/dev/x"}]})
    node.unlink()
    assert box.shell("echo y > /dev/x && echo written") == "written\n"


def test_devices_that_are_none(wherryd: Wherryd) -> None:
    prefix = "error gathering device information while adding custom device"
    require_refused(
        wherryd,
        ({"Devices": [{"PathOnHost": "/nope"}]}, f'{prefix} "/nope": no such file or directory'),
        ({"Devices": [{"PathOnHost": "/etc/passwd"}]}, f'{prefix} "/etc/passwd": not a device node'),
        ({"Devices": [{"PathOnHost": "/dev/\0"}]}, f'{prefix} "/dev/\0": invalid argument'),
        ({"BlkioDeviceReadBps": [{"Path": "/dev/\0", "Rate": 1}]}, "stat /dev/\0: invalid argument"),
        ({"BlkioDeviceReadBps": [{"Path": "/nope", "Rate": 1}]}, "stat /nope: no such file or directory"),
    )


def test_an_init(run: Run) -> None:
    box = run({"Init": True}, Cmd=["sh", "-c", "sleep 0.1 & exec sleep 1000"])
    assert words(box.pid, "cmdline")[:3] == ["/sbin/docker-init", "--", "sh"]
    assert words(run({"Init": False}).pid, "cmdline")[0] == "sleep"


def test_the_signal_to_stop_by(run: Run) -> None:
    trap = 'for i in 1 10 12 15; do trap "exit $((100 + i))" $i; done; touch /ready; while :; do sleep 0.05; done'
    for word, number in (("SIGUSR1", 10), ("usr2", 12), ("1", 1), ("", 15)):
        box = run({}, Cmd=["sh", "-c", trap], StopSignal=word)
        box.shell("until test -e /ready; do sleep 0.02; done")
        assert box.daemon.call("POST", f"/containers/{box.id}/stop?t=10").status == 204
        assert box.inspect()["State"]["ExitCode"] == 100 + number, word


def test_annotations(run: Run) -> None:
    """They are what the runtime is told, and are dropped for clients of before 1.43."""
    asked = {"org.example.one": "1", "two": ""}
    told = {}
    for version in ("1.42", "1.43"):
        box = run({"Annotations": asked}, version=version)
        bundle = box.daemon.exec_root / "containers" / box.id / "config.json"
        told[version] = json.loads(bundle.read_text()).get("annotations")
        assert box.inspect()["HostConfig"].get("Annotations") == told[version]
    assert told == {"1.42": None, "1.43": asked}
