"""The spec as a value; what dockerd would say to the same wishes is compared in tests/peer/spec."""

import os
from pathlib import Path
from typing import Any

import pytest

from errdefs import InvalidArgument
from runtime.spec import devices, masked
from runtime.spec.build import build, exec_process
from runtime.spec.devices import Device, DeviceRule
from runtime.spec.mounts import Bind, Tmpfs
from runtime.spec.namespaces import HOST, Namespaces
from runtime.spec.options import SpecOptions
from runtime.spec.resources import Resources, Rlimit, cpu_bandwidth
from runtime.spec.user import User


def options(**changes: Any) -> SpecOptions:
    plain: dict[str, Any] = {
        "args": ("sh",),
        "env": ("A=1",),
        "rootfs": "rootfs",
        "cgroups_path": "/docker/x",
        "thermal_paths": ("/sys/devices/system/cpu/cpu0/thermal_throttle",),
    }
    return SpecOptions(**(plain | changes))


def mount_options(spec: dict[str, Any], destination: str) -> list[str]:
    return next(list(entry["options"]) for entry in spec["mounts"] if entry["destination"] == destination)


def test_the_host_is_hidden_unless_it_is_asked_for() -> None:
    assert build(options())["linux"]["maskedPaths"] == [
        *masked.MASKED,
        "/sys/devices/system/cpu/cpu0/thermal_throttle",
    ]
    assert build(options())["linux"]["readonlyPaths"] == list(masked.READONLY)
    privileged = build(options(privileged=True))["linux"]
    assert (privileged["maskedPaths"], privileged["readonlyPaths"]) == ([], [])
    asked = build(options(privileged=True, masked_paths=("/x",), readonly_paths=()))["linux"]
    assert (asked["maskedPaths"], asked["readonlyPaths"]) == (["/x"], [])


def test_thermal_paths_are_in_the_order_of_cpus(tmp_path: Path) -> None:
    for name in ("cpu10", "cpu2", "cpufreq", "cpu3"):
        (tmp_path / name / "thermal_throttle").mkdir(parents=True)
    (tmp_path / "cpu3/thermal_throttle").rmdir()
    assert [Path(path).parent.name for path in masked.thermal_paths(tmp_path)] == ["cpu2", "cpu10"]


def test_init_comes_before_the_command() -> None:
    spec = build(options(init_path="/usr/bin/tini-static", readonly_rootfs=True))
    assert spec["process"]["args"] == ["/sbin/docker-init", "--", "sh"]
    assert spec["mounts"][-1] == {
        "destination": "/sbin/docker-init",
        "type": "bind",
        "source": "/usr/bin/tini-static",
        "options": ["bind", "ro"],
    }


def test_console_size_needs_a_terminal_and_a_size() -> None:
    assert "consoleSize" not in build(options(console_size=(24, 80)))["process"]
    assert "consoleSize" not in build(options(terminal=True, console_size=(0, 0)))["process"]
    spec = build(options(terminal=True, console_size=(24, 80)))
    assert spec["process"]["consoleSize"] == {"height": 24, "width": 80}


@pytest.mark.parametrize(
    ("namespaces", "has_sysctls"),
    [
        (Namespaces(), True),
        (Namespaces(network="/proc/7/fd/9"), True),
        (Namespaces(network="/proc/7/ns/net", own_network=False), False),
        (Namespaces(network=HOST), False),
    ],
)
def test_network_sysctls_are_for_a_network_of_its_own(namespaces: Namespaces, has_sysctls: bool) -> None:
    sysctls = build(options(namespaces=namespaces))["linux"]["sysctl"]
    assert ("net.ipv4.ip_unprivileged_port_start" in sysctls) is has_sysctls
    assert ("net.ipv4.ping_group_range" in sysctls) is has_sysctls


def test_the_hosts_uts_namespace_keeps_its_names() -> None:
    """The runtime refuses to set a domain name there, which is better than not to say that it is not set."""
    spec = build(options(hostname="h", domainname="d", namespaces=Namespaces(uts=HOST)))
    assert "hostname" not in spec
    assert spec["linux"]["sysctl"]["kernel.domainname"] == "d"


def test_namespaces_by_path() -> None:
    joined = Namespaces(network="/n", ipc="/i", pid="/p", cgroup="new", uts=HOST)
    assert build(options(namespaces=joined))["linux"]["namespaces"] == [
        {"type": "mount"},
        {"type": "network", "path": "/n"},
        {"type": "pid", "path": "/p"},
        {"type": "ipc", "path": "/i"},
        {"type": "cgroup"},
    ]


def test_read_only_root_spares_what_the_user_mounted() -> None:
    spec = build(
        options(
            readonly_rootfs=True,
            mounts=(Bind(source="/s", destination="/data"), Tmpfs(destination="/sys/fs/cgroup")),
        )
    )
    assert "ro" not in mount_options(spec, "/data")
    assert "ro" not in mount_options(spec, "/sys/fs/cgroup")
    assert "ro" not in mount_options(spec, "/dev")
    assert mount_options(spec, "/sys").count("ro") == 1


@pytest.mark.parametrize(
    ("privileged", "writable", "sys_ro", "cgroup_ro"),
    [
        (False, None, True, True),
        (True, None, False, False),
        (True, False, False, True),
        (False, True, True, False),
    ],
)
def test_writable_cgroups(privileged: bool, writable: bool | None, sys_ro: bool, cgroup_ro: bool) -> None:
    spec = build(options(privileged=privileged, writable_cgroups=writable))
    assert ("ro" in mount_options(spec, "/sys")) is sys_ro
    assert ("ro" in mount_options(spec, "/sys/fs/cgroup")) is cgroup_ro


def test_a_privileged_container_has_one_device_rule() -> None:
    spec = build(options(privileged=True, device_rules=(DeviceRule(kind="c", major=1),)))
    assert spec["linux"]["resources"]["devices"] == [{"allow": True, "access": "rwm"}]


def test_unlimited_is_unsigned() -> None:
    spec = build(options(rlimits=(Rlimit(name="core", soft=-1, hard=-1),)))
    assert spec["process"]["rlimits"] == [
        {"type": "RLIMIT_CORE", "soft": 2**64 - 1, "hard": 2**64 - 1},
    ]


def test_resources_that_say_nothing_are_absent() -> None:
    assert Resources().to_oci() == {}
    assert Resources(pids_limit=0).to_oci() == {"pids": {"limit": -1}}
    assert Resources(memory_swappiness=0).to_oci() == {"memory": {"swappiness": 0}}
    assert Resources(memory_swap=-1).to_oci() == {}
    assert cpu_bandwidth(1) == (0, 100_000)
    assert cpu_bandwidth(1_500_000_000) == (150_000, 100_000)


def test_exec_shares_what_the_container_is() -> None:
    container = options(
        user=User(uid=5, gid=6, extra_gids=(6, 7)),
        no_new_privileges=True,
        apparmor_profile="docker-default",
        oom_score_adj=3,
        rlimits=(Rlimit(name="nofile", soft=1, hard=2),),
        cwd="/elsewhere",
        terminal=True,
    )
    process = exec_process(container, args=("id",), env=("B=2",))
    of_container = build(container)["process"]
    for same in ("user", "capabilities", "noNewPrivileges", "apparmorProfile", "oomScoreAdj", "rlimits"):
        assert process[same] == of_container[same]
    assert process["args"] == ["id"]
    assert process["env"] == ["B=2"]
    assert process["cwd"] == "/"
    assert process["terminal"] is False


def test_privileged_exec_changes_capabilities_alone() -> None:
    container = options(no_new_privileges=True, apparmor_profile="docker-default")
    plain = exec_process(container, args=("id",), env=())
    process = exec_process(
        container, args=("id",), env=(), user=User(uid=9), privileged_capabilities=("CAP_SYS_ADMIN",)
    )
    assert process["capabilities"] == {
        kind: ["CAP_SYS_ADMIN"] for kind in ("bounding", "effective", "permitted")
    }
    assert process["user"] == {"uid": 9, "gid": 0, "additionalGids": [0]}
    for key in ("capabilities", "user"):
        del plain[key], process[key]
    assert plain == process


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("c 10:200 rwm", DeviceRule(kind="c", major=10, minor=200)),
        ("a *:* m", DeviceRule(kind="a", major=-1, minor=-1, access="m")),
        ("b 8:* rw", DeviceRule(kind="b", major=8, minor=-1, access="rw")),
    ],
)
def test_device_rules(text: str, expected: DeviceRule) -> None:
    assert devices.parse_rule(text) == expected


@pytest.mark.parametrize("text", ["", "c 1:2", "d 1:2 r", "c 1:2 x", "c 1:2 r\n", "c -1:2 r", "c ١:2 r"])
def test_bad_device_rules(text: str) -> None:
    with pytest.raises(InvalidArgument, match=r"^invalid device cgroup rule format: "):
        devices.parse_rule(text)


def test_numbers_of_devices_are_bounded() -> None:
    with pytest.raises(InvalidArgument, match=r"^invalid minor value in device cgroup rule format"):
        devices.parse_rule(f"c 1:{'9' * 5000} r")


def test_devices_of_the_host() -> None:
    nodes, rules = devices.from_host("/dev/null", "/dev/nothing", "r")
    assert [(d.path, d.kind, d.major, d.minor) for d in nodes] == [("/dev/nothing", "c", 1, 3)]
    assert rules == [DeviceRule(kind="c", major=1, minor=3, access="r")]
    every = devices.host_devices()
    assert {"/dev/null", "/dev/zero"} <= {device.path for device in every}
    assert not {device.path for device in every} & {"/dev/console", "/dev/ptmx/x"}
    assert all(device.kind in "cb" for device in every)


@pytest.mark.root
def test_a_directory_of_devices_and_links(tmp_path: Path) -> None:
    inner = tmp_path / "real" / "sub"
    inner.mkdir(parents=True)
    os.mknod(inner / "zero", 0o600 | 0o020000, os.makedev(1, 5))
    (inner / "file").write_text("")
    (tmp_path / "link").symlink_to("real")
    nodes, _ = devices.from_host(str(tmp_path / "link"), "/dev/all")
    assert nodes == [Device(path="/dev/all/sub/zero", kind="c", major=1, minor=5, mode=0o600)]


@pytest.mark.parametrize(
    ("path", "reason"),
    [("/proc/self/status", "not a device node"), ("/nope", "no such file or directory")],
)
def test_what_is_no_device(path: str, reason: str) -> None:
    text = f'error gathering device information while adding custom device "{path}": {reason}'
    with pytest.raises(InvalidArgument) as caught:
        devices.from_host(path, "/dev/x")
    assert caught.value.message == text
