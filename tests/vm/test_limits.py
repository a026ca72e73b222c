"""Fields of HostConfig on the unified hierarchy: block devices, memory, CPU, slices; live after an update."""

import json
import shlex

import pytest

from tests.vm.machine import Machine

MIB = 1 << 20
DISK = "/dev/vda"


def start(vm: Machine, options: str) -> str:
    """Run a container called box; the directory of its control group."""
    vm.run(f"docker run -d --name box {options} busybox sleep 1000")
    return group_of_box(vm)


def group_of_box(vm: Machine) -> str:
    """The directory of the control group of the container called box, which runs."""
    group = vm.output("cat /proc/$(docker inspect -f '{{.State.Pid}}' box)/cgroup").removeprefix("0::")
    return f"/sys/fs/cgroup{group}"


def read(vm: Machine, group: str, *names: str) -> list[str]:
    """The texts of files of it, blanks for line ends; "-" for one that the kernel has not."""
    return [vm.output(f"cat {group}/{name} 2>/dev/null || echo -").replace("\n", " ") for name in names]


_POST = """
import http.client, socket, sys
connection = http.client.HTTPConnection("docker")
connection.sock = socket.socket(socket.AF_UNIX)
connection.sock.connect("/run/docker.sock")
connection.request("POST", sys.argv[1], sys.argv[2], {"Content-Type": "application/json"})
print(connection.getresponse().read().decode())
"""


def call(vm: Machine, path: str, body: object) -> str:
    """POST to the API; the answer."""
    return vm.output(shlex.join(["python3", "-c", _POST, path, json.dumps(body)]))


def number(vm: Machine) -> str:
    """The disk's major and minor number."""
    return vm.output(f"echo $((0x$(stat -c %t {DISK}))):$((0x$(stat -c %T {DISK})))")


def test_block_devices(vm: Machine) -> None:
    """Asked for by the API: Debian's docker 26.1.5 loses --device-read-bps and its kin (docker/cli issue 5321)."""
    rates = {"ReadBps": MIB, "WriteBps": 2 * MIB, "ReadIOps": 300, "WriteIOps": 400}
    throttles = {f"BlkioDevice{name}": [{"Path": DISK, "Rate": rate}] for name, rate in rates.items()}
    body = {"Image": "busybox", "Cmd": ["sleep", "1000"], "HostConfig": throttles}
    assert json.loads(call(vm, "/containers/create?name=box", body))["Warnings"] == []
    vm.run("docker start box")
    group = group_of_box(vm)
    limits = f"{number(vm)} rbps=1048576 wbps=2097152 riops=300 wiops=400"
    assert read(vm, group, "io.max") == [limits]
    asked = {"BlkioDeviceReadBps": [{"Path": DISK, "Rate": 5_000_000}], "BlkioDeviceWriteIOps": []}
    assert json.loads(call(vm, "/containers/box/update", asked)) == {"Warnings": None}
    assert read(vm, group, "io.max") == [f"{number(vm)} rbps=5000000 wbps=2097152 riops=300 wiops=max"]
    call(vm, "/containers/box/update", {name: [] for name in throttles})
    assert read(vm, group, "io.max") == [""]


def test_weights(vm: Machine) -> None:
    """By the scheduler that knows them; without it one of 10 to 1000 is one of 1 to 10000 for all devices."""
    weights = f"--blkio-weight 300 --blkio-weight-device {DISK}:400"
    vm.run("modprobe -r bfq", check=False)
    assert read(vm, start(vm, weights), "io.weight", "io.bfq.weight") == ["default 2930", "-"]
    vm.run("docker rm -f box")
    scheduler = "/sys/block/vda/queue/scheduler"
    before = vm.output(f"sed 's/.*\\[\\(.*\\)\\].*/\\1/' {scheduler}")
    vm.run(f"modprobe bfq && echo bfq > {scheduler}")
    try:
        group = start(vm, weights)
        assert read(vm, group, "io.bfq.weight") == [f"default 300 {number(vm)} 400"]
        asked = {"BlkioWeight": 500, "BlkioWeightDevice": [{"Path": DISK, "Weight": 600}]}
        assert json.loads(call(vm, "/containers/box/update", asked)) == {"Warnings": None}
        assert read(vm, group, "io.bfq.weight") == [f"default 500 {number(vm)} 600"]
    finally:
        vm.run(f"docker rm -f box; echo {before} > {scheduler}")


def test_memory(vm: Machine) -> None:
    names = ("memory.max", "memory.swap.max", "memory.low", "memory.high")
    group = start(vm, "-m 64m --memory-swap 64m --memory-reservation 32m")
    assert read(vm, group, *names) == [str(64 * MIB), "0", str(32 * MIB), "max"]
    for options, swap in (
        ("-m 96m --memory-swap 128m", str(32 * MIB)),
        ("-m 64m --memory-swap -1", "max"),
        ("--memory-reservation 16m -m 80m --memory-swap 80m", "0"),
    ):
        vm.run(f"docker update {options} box")
        assert read(vm, group, "memory.swap.max") == [swap]
    assert read(vm, group, *names) == [str(80 * MIB), "0", str(16 * MIB), "max"]


def test_cpu(vm: Machine) -> None:
    group = start(vm, "--cpus 0.75 --cpuset-cpus 0 -c 2")
    assert read(vm, group, "cpu.max", "cpu.weight", "cpuset.cpus.effective") == ["75000 100000", "1", "0"]
    vm.run("docker update --cpus 1.5 --cpuset-cpus 0-1 -c 262144 box")
    assert read(vm, group, "cpu.max", "cpu.weight", "cpuset.cpus.effective") == [
        "150000 100000",
        "10000",
        "0-1",
    ]
    vm.run("docker rm -f box")
    # The real-time scheduler's groups are v1's.
    told = vm.run("docker run --rm --cpu-rt-runtime 1000 busybox true", check=False)
    assert told.code == 125
    assert "kernel does not support CPU real-time scheduler" in told.output


@pytest.mark.parametrize(
    ("parent", "path"),
    [
        ("", "/system.slice"),
        ("wherrytest.slice", "/wherrytest.slice"),
        ("wherrytest-deep.slice", "/wherrytest.slice/wherrytest-deep.slice"),
    ],
)
def test_slices(vm: Machine, parent: str, path: str) -> None:
    group = start(vm, f"--cgroup-parent {parent}" if parent else "")
    full_id = vm.output("docker inspect -f '{{.Id}}' box")
    assert group == f"/sys/fs/cgroup{path}/docker-{full_id}.scope"
    assert vm.output("docker exec box echo inside") == "inside"
    vm.run("docker rm -f box")
    vm.until(f"ls -d {group} 2>/dev/null", "")


def test_what_is_no_slice(vm: Machine) -> None:
    told = vm.run("docker run --rm --cgroup-parent /a busybox true", check=False)
    assert told.code == 125
    assert 'cgroup-parent for systemd cgroup should be a valid slice named as "xxx.slice"' in told.output


def test_rules_of_devices_by_bpf(vm: Machine) -> None:
    """There are no files of them: what can be opened tells."""
    options = f"--device {DISK}:/dev/mine:r --device-cgroup-rule 'c 1:1 r'"
    start(vm, options)
    script = (
        "head -c 1 /dev/mine >/dev/null && echo read; (: >/dev/mine) 2>/dev/null || echo not written; "
        "mknod /dev/other b 254 99; (: </dev/other) 2>/dev/null || echo not opened"
    )
    assert vm.output(f"docker exec box sh -c '{script}'").splitlines() == [
        "read",
        "not written",
        "not opened",
    ]
