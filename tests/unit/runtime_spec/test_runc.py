"""What a container sees when runc has made it of our spec."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from runtime.cgroups import detect
from runtime.spec import capabilities, devices, masked
from runtime.spec.build import exec_process
from runtime.spec.mounts import Bind, Tmpfs
from runtime.spec.namespaces import HOST, Namespaces
from runtime.spec.resources import Resources, Rlimit
from runtime.spec.seccomp import parse_profile
from runtime.spec.user import User
from tests.unit.runtime_spec.conftest import Bundle, host_python

pytestmark = pytest.mark.root

STATUS = "grep -E '^(Cap|NoNew|Seccomp:|Groups|Uid)' /proc/self/status"


def status(text: str) -> dict[str, str]:
    return {name: value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}


def granted(text: str, kind: str) -> set[str]:
    return set(capabilities.decode(int(status(text)[kind], 16)))


def test_root_by_default(bundle: Bundle) -> None:
    seen = bundle.shell(STATUS)
    assert granted(seen, "CapEff") == granted(seen, "CapBnd") == set(capabilities.DEFAULT)
    assert granted(seen, "CapInh") == granted(seen, "CapAmb") == set()
    assert status(seen)["NoNewPrivs"] == "0"
    assert status(seen)["Seccomp"] == "2"


def test_another_user_has_nothing_in_hand(bundle: Bundle) -> None:
    seen = bundle.shell(STATUS, user=User(uid=33, gid=34, extra_gids=(34, 50)), no_new_privileges=True)
    assert granted(seen, "CapEff") == granted(seen, "CapPrm") == set()
    assert granted(seen, "CapBnd") == set(capabilities.DEFAULT)
    assert status(seen)["Uid"].split()[0] == "33"
    assert status(seen)["Groups"].split() == ["34", "50"]
    assert status(seen)["NoNewPrivs"] == "1"


def test_capabilities_added_and_dropped(bundle: Bundle) -> None:
    wanted = capabilities.resolve(["NET_ADMIN"], ["CHOWN"])
    assert granted(bundle.shell(STATUS, capabilities=wanted), "CapEff") == set(wanted)
    assert granted(bundle.shell(STATUS, capabilities=()), "CapBnd") == set()


def test_nothing_of_the_host_is_seen(bundle: Bundle) -> None:
    hidden = " ".join(path for path in (*masked.MASKED, *masked.thermal_paths()) if os.path.exists(path))
    assert "/proc/interrupts" in hidden
    assert bundle.shell(f"for p in {hidden}; do cat $p 2>/dev/null; ls $p | grep -v ^$p$; done; true") == ""


def test_nothing_of_the_host_is_written(bundle: Bundle) -> None:
    mounted = {line.split()[1]: line.split()[3] for line in bundle.shell("cat /proc/mounts").splitlines()}
    for path in (*masked.READONLY, "/sys"):
        if path in mounted or Path(path).is_dir():
            assert mounted[path].split(",")[0] == "ro"
    controllers = [path for path in mounted if path.startswith("/sys/fs/cgroup/")] or ["/sys/fs/cgroup"]
    assert {mounted[path].split(",")[0] for path in controllers} == {"ro"}


def test_devices_of_its_own(bundle: Bundle) -> None:
    nodes = bundle.shell("cd /dev && find . -type c | sort").split()
    wanted = {f"./{name}" for name in ("full", "null", "random", "tty", "urandom", "zero")}
    assert wanted <= set(nodes) <= {*wanted, "./pts/ptmx", "./console"}
    assert bundle.run(
        bundle.options("sh", "-c", "mknod /kmsg c 1 11; cat /kmsg"), check=False
    ).stderr.endswith("Operation not permitted\n")


def test_a_device_that_was_asked_for(bundle: Bundle) -> None:
    nodes, rules = devices.from_host("/dev/zero", "/dev/mine", "r")
    script = "head -c 3 /dev/mine | wc -c; echo x > /dev/mine || echo refused"
    seen = bundle.shell(script, devices=tuple(nodes), device_rules=tuple(rules))
    # The default rules let everybody write to 1:5; a rule adds, it never takes away.
    assert seen.split() == ["3"]


def test_privileged(bundle: Bundle) -> None:
    everything = capabilities.resolve(privileged=True)
    seen = bundle.shell(
        f"{STATUS}; mkdir /sys/fs/cgroup/{'freezer/' if detect().version == 1 else ''}x-$$ && echo writable;"
        "head -c 1 /proc/interrupts | wc -c; find /dev -type b | wc -l; grep ' /sys ' /proc/mounts;"
        f"rmdir /sys/fs/cgroup/{'freezer/' if detect().version == 1 else ''}x-$$",
        privileged=True,
        capabilities=everything,
        seccomp=None,
        devices=tuple(devices.host_devices()),
    )
    assert granted(seen, "CapEff") == set(everything)
    assert status(seen)["Seccomp"] == "0"
    lines = seen.splitlines()
    assert "writable" in lines
    assert any(line.startswith("sysfs /sys sysfs rw") for line in lines)
    blocks = sum(device.kind == "b" for device in devices.host_devices())
    assert lines[-3:-1] == ["1", str(blocks)]


def test_mounts(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "shared" / "deep").mkdir(parents=True)
    seen = bundle.shell(
        "grep -E ' /(ro|rw|t|dev/shm) ' /proc/mounts | cut -d' ' -f2,4; touch /rw/made; touch /ro/no; df -k /t",
        mounts=(
            Bind(source=str(tmp_path / "shared"), destination="/rw"),
            Bind(
                source=str(tmp_path / "shared"), destination="/ro", read_only=True, recursive_read_only=True
            ),
            Tmpfs(destination="/t", options="size=1m,exec"),
        ),
        shm_size=1 << 20,
    )
    options = {line.split()[0]: line.split()[1].split(",") for line in seen.splitlines()[:4]}
    assert options["/ro"][0] == "ro"
    assert options["/rw"][0] == "rw"
    assert "noexec" not in options["/t"]
    assert "size=1024k" in options["/t"]
    assert {"noexec", "size=1024k"} <= set(options["/dev/shm"])
    assert {path.name for path in (tmp_path / "shared").iterdir()} == {"deep", "made"}


def test_a_read_only_root(bundle: Bundle) -> None:
    seen = bundle.shell(
        "for p in / /etc /proc/sys /dev /dev/shm /t; do touch $p/x 2>/dev/null && echo $p; done; true",
        readonly_rootfs=True,
        mounts=(Tmpfs(destination="/t"),),
    )
    assert seen.split() == ["/dev", "/dev/shm", "/t"]


def test_init_reaps(bundle: Bundle) -> None:
    seen = bundle.shell(
        "cat /proc/1/cmdline | tr '\\0' ' '; ls -l /sbin/docker-init", init_path="/usr/bin/tini-static"
    )
    assert seen.startswith("/sbin/docker-init -- sh -c")


def test_limits(bundle: Bundle) -> None:
    limits = Resources(
        memory=64 << 20, memory_swap=64 << 20, pids_limit=42, cpu_shares=512, cpu_quota=50_000, cpu_period=100_000
    )  # fmt: skip
    files = {
        1: "memory/memory.limit_in_bytes pids/pids.max cpu/cpu.shares cpu/cpu.cfs_quota_us",
        2: "memory.max pids.max cpu.weight cpu.max",
    }[detect().version]
    seen = bundle.shell(f"cd /sys/fs/cgroup && cat {files}; cat /proc/self/oom_score_adj; ulimit -n; ulimit -c",
        resources=limits, oom_score_adj=7,
        rlimits=(Rlimit(name="nofile", soft=50, hard=60), Rlimit(name="core", soft=0, hard=0)),
    ).splitlines()  # fmt: skip
    wanted = {1: ["67108864", "42", "512", "50000"], 2: ["67108864", "42", "20", "50000 100000"]}
    assert seen == [*wanted[detect().version], "7", "50", "0"]


def test_names_and_sysctls(bundle: Bundle) -> None:
    seen = bundle.shell(
        "hostname; cat /proc/sys/kernel/domainname /proc/sys/net/ipv4/ip_unprivileged_port_start"
        " /proc/sys/net/ipv4/ping_group_range /proc/sys/net/ipv4/ip_forward; id -u; env | grep -c HOME=/root",
        domainname="d.example",
        sysctls={"net.ipv4.ip_forward": "1"},
    )
    assert seen.splitlines() == ["inside", "d.example", "0", "0\t2147483647", "1", "0", "1"]


def test_namespaces_of_the_host(bundle: Bundle) -> None:
    shared = Namespaces(network=HOST, own_network=False, pid=HOST, ipc=HOST, uts=HOST)
    seen = bundle.shell("for n in net pid ipc uts mnt; do readlink /proc/self/ns/$n; done", namespaces=shared)
    here = [os.readlink(f"/proc/self/ns/{name}") for name in ("net", "pid", "ipc", "uts", "mnt")]
    assert seen.splitlines()[:4] == here[:4]
    assert seen.splitlines()[4] != here[4]
    private = bundle.shell("for n in net pid ipc uts mnt; do readlink /proc/self/ns/$n; done")
    assert not set(private.splitlines()) & set(here)


PROBE = """
import ctypes, json, os, platform, socket
libc = ctypes.CDLL(None, use_errno=True)
numbers = {"x86_64": {"keyctl": 250, "bpf": 321}, "aarch64": {"keyctl": 219, "bpf": 280}}[platform.machine()]
def call(number, *args):
    ctypes.set_errno(0)
    result = libc.syscall(number, *(ctypes.c_long(arg) for arg in args))
    return 0 if result >= 0 else ctypes.get_errno()
def sock(family, kind=socket.SOCK_STREAM):
    try:
        socket.socket(family, kind).close()
        return 0
    except OSError as error:
        return error.errno
print(json.dumps({
    "clone3": call(435, 0, 0), "io_uring_setup": call(425, 0, 0), "pidfd_getfd": call(438, -1, -1, 0),
    "openat2": call(437, -100, 0, 0, 0), "bpf": call(numbers["bpf"], 9999, 0, 0),
    "keyctl": call(numbers["keyctl"], 9999),
    "AF_UNIX": sock(socket.AF_UNIX), "AF_ALG": sock(38, socket.SOCK_SEQPACKET), "AF_VSOCK": sock(40),
    "AF_39": sock(39), "AF_PACKET": sock(socket.AF_PACKET, socket.SOCK_DGRAM),
    "personality": 0 if libc.personality(0x40000) >= 0 else ctypes.get_errno(),
    "ask": 0 if libc.personality(ctypes.c_ulong(0xffffffff)) >= 0 else ctypes.get_errno(),
    "unshare": 0 if libc.unshare(0x08000000) == 0 else ctypes.get_errno(),
    "fork": 0 if os.waitpid(os.fork() or os._exit(0), 0) else 1,
}))
"""


def probe(bundle: Bundle, **changes: Any) -> dict[str, int]:
    python, binds = host_python(bundle)
    done = bundle.run(bundle.options(python, "-I", "-c", PROBE, mounts=binds, **changes))
    result: dict[str, int] = json.loads(done.stdout)
    return result


def test_the_kernel_refuses_what_the_profile_does(bundle: Bundle) -> None:
    seen = probe(bundle)
    assert seen["clone3"] == errno.ENOSYS
    refused = (
        "io_uring_setup",
        "pidfd_getfd",
        "keyctl",
        "bpf",
        "AF_ALG",
        "AF_VSOCK",
        "personality",
        "unshare",
    )
    assert {name: seen[name] for name in refused} == dict.fromkeys(refused, errno.EPERM)
    allowed = ("AF_UNIX", "AF_PACKET", "ask", "fork")
    assert {name: seen[name] for name in allowed} == dict.fromkeys(allowed, 0)
    # Let through to the kernel, which finds the arguments wanting.
    assert seen["openat2"] == errno.EINVAL
    assert seen["AF_39"] == errno.EAFNOSUPPORT


def test_capabilities_open_calls(bundle: Bundle) -> None:
    seen = probe(bundle, capabilities=capabilities.resolve(["SYS_ADMIN", "SYS_PTRACE"]))
    assert seen["clone3"] == errno.EINVAL
    assert seen["pidfd_getfd"] == errno.EBADF
    assert seen["unshare"] == 0
    assert seen["bpf"] != errno.EPERM
    assert seen["AF_ALG"] == seen["keyctl"] == errno.EPERM


def test_a_profile_of_the_users_own(bundle: Bundle) -> None:
    text = b"""{"defaultAction": "SCMP_ACT_ALLOW", "archMap": [
        {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}],
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}]}"""
    done = bundle.run(bundle.options("mkdir", "/x", seccomp=parse_profile(text, ())), check=False)
    assert "No space left on device" in done.stderr


def test_exec(bundle: Bundle) -> None:
    everything = capabilities.resolve(privileged=True)
    container = bundle.options("sleep", "1000", no_new_privileges=True)
    bundle.start(container)
    plain = execute(bundle, exec_process(container, args=("sh", "-c", STATUS), env=container.env))
    assert granted(plain, "CapEff") == set(capabilities.DEFAULT)
    assert (status(plain)["Seccomp"], status(plain)["NoNewPrivs"]) == ("2", "1")
    process = exec_process(
        container, args=("sh", "-c", f"{STATUS}; pwd"), env=container.env, cwd="/tmp",
        user=User(uid=33, gid=33), privileged_capabilities=everything,
    )  # fmt: skip
    seen = execute(bundle, process)
    assert granted(seen, "CapBnd") == set(everything)
    assert status(seen)["Uid"].split()[0] == "33"
    assert seen.endswith("/tmp\n")


def execute(bundle: Bundle, process: dict[str, Any]) -> str:
    path = bundle.folder / "process.json"
    path.write_text(json.dumps(process))
    return bundle.runc("exec", "--process", str(path), bundle.id).stdout
