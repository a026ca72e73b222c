"""wherry where users have it: systemd, cgroup v2, unit files, socket activation, a reboot and a power cut.

One machine for all: a test leaves it as the next may find it, without containers, with the daemon serving.
Within the machine `docker` is the official CLI on /run/docker.sock.
"""

import json
import time

import pytest

from tests.vm.machine import Machine

COUNT = "i=0; while :; do echo $i; i=$((i+1)); sleep 0.1; done"
# Ends with 7 when asked to.
POLITE = "trap 'exit 7' TERM; while :; do sleep 0.2; done"


def inspect(vm: Machine, name: str, field: str) -> str:
    return vm.output(f"docker inspect -f '{{{{{field}}}}}' {name}")


def cgroup(vm: Machine, name: str) -> str:
    """The control group of a container's init process, as the machine sees it."""
    return vm.output(f"cat /proc/$(docker inspect -f '{{{{.State.Pid}}}}' {name})/cgroup").removeprefix("0::")


def counted(vm: Machine, name: str) -> list[int]:
    return [int(line) for line in vm.output(f"docker logs {name}").split()]


def test_the_machine_has_cgroup_v2_and_systemd(machine: Machine) -> None:
    assert machine.output("stat -fc %T /sys/fs/cgroup") == "cgroup2fs"
    assert machine.output("systemctl is-system-running --wait") == "running"


def test_runs_under_its_unit(vm: Machine) -> None:
    assert vm.output("systemctl show -P Type -P ActiveState -P SubState wherry.service").split() == [
        *("notify", "active", "running")
    ]
    assert vm.output("docker info -f '{{.CgroupDriver}} {{.CgroupVersion}}'") == "systemd 2"
    assert vm.output("docker run --rm busybox echo hello from wherry") == "hello from wherry"
    assert vm.run("docker run --rm busybox sh -c 'exit 3'", check=False).code == 3
    assert vm.output("stat -c '%a %G' /run/docker.sock") == "660 docker"


def test_a_call_starts_the_daemon(vm: Machine) -> None:
    vm.run("systemctl stop wherry.service")
    assert vm.run("systemctl is-active wherry.service", check=False).output.strip() == "inactive"
    assert vm.output("docker run --rm busybox echo woken") == "woken"
    assert vm.output("systemctl is-active wherry.service") == "active"


def test_nothing_of_systemds_reaches_a_container(vm: Machine) -> None:
    environment = vm.output("docker run --rm busybox cat /proc/1/environ").replace("\0", "\n")
    assert "NOTIFY_SOCKET" not in environment
    assert "LISTEN_" not in environment
    # The last is the one by which ls reads the directory.
    assert vm.output("docker run --rm busybox ls /proc/self/fd").split() == ["0", "1", "2", "3"]


def test_limits_on_cgroup_v2(vm: Machine) -> None:
    read = "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/cpu.max /sys/fs/cgroup/pids.max"
    limits = vm.output(f"docker run --rm -m 64m --cpus 0.5 --pids-limit 50 busybox sh -c '{read}'").split()
    assert limits == [str(64 << 20), "50000", "100000", "50"]
    assert vm.run("docker run --name oom -m 16m busybox tail /dev/zero", check=False).code == 137
    assert inspect(vm, "oom", ".State.OOMKilled") == "true"


def test_fields_of_host_config_on_cgroup_v2(vm: Machine) -> None:
    """Docker's units as the unified hierarchy has them, at the start and after an update."""
    vm.run(
        "docker run -d --name box --cpu-shares 512 --cpu-period 50000 --cpu-quota 25000 --cpuset-cpus 1 "
        "--cpuset-mems 0 -m 64m --memory-swap 96m --memory-reservation 32m --pids-limit 55 --oom-score-adj 77 "
        "--ulimit nofile=100:200 --shm-size 3m --ipc shareable --sysctl kernel.shmmax=1000000 --group-add 777 "
        "busybox sleep 1000"
    )
    names = (
        "cpu.weight",
        "cpu.max",
        "cpuset.cpus",
        "cpuset.mems",
        "memory.max",
        "memory.swap.max",
        "memory.low",
    )
    files = " ".join(f"/sys/fs/cgroup{cgroup(vm, 'box')}/{name}" for name in (*names, "pids.max"))
    mib = 1 << 20
    assert vm.output(f"cat {files}").splitlines() == [
        *("20", "25000 50000", "1", "0", str(64 * mib), str(32 * mib), str(32 * mib), "55")
    ]
    inside = "cat /proc/sys/kernel/shmmax /proc/1/oom_score_adj; ulimit -n; id -G; stat -f -c %b /dev/shm"
    shown = vm.output(f"docker exec box sh -c '{inside}'").split()
    assert shown == ["1000000", "77", "100", "0", "777", str(3 * mib // 4096)]
    vm.run(
        "docker update --cpu-shares 1024 --cpu-quota 10000 --cpuset-cpus 0 -m 80m --memory-swap 128m "
        "--memory-reservation 40m --pids-limit -1 box"
    )
    assert vm.output(f"cat {files}").splitlines() == [
        *("39", "10000 50000", "0", "0", str(80 * mib), str(48 * mib), str(40 * mib), "max")
    ]
    # What there is no file for on v2 is dropped, and said.
    told = vm.output("docker run --rm -m 64m --memory-swappiness 5 --oom-kill-disable busybox echo ran 2>&1")
    assert "does not support memory swappiness" in told
    assert "does not support OomKillDisable" in told
    assert told.splitlines()[-1] == "ran"
    # A cgroup namespace of its own is the default there, of privileged containers as well.
    for options in ("", "--privileged"):
        assert vm.output(f"docker run --rm {options} busybox cat /proc/self/cgroup") == "0::/"
    assert "docker-" in vm.output("docker run --rm --cgroupns host busybox cat /proc/self/cgroup")


def test_pause_on_cgroup_v2(vm: Machine) -> None:
    vm.run(f"docker run -d --name paused busybox sh -c '{COUNT}'")
    vm.run("docker pause paused")
    assert vm.output(f"cat /sys/fs/cgroup{cgroup(vm, 'paused')}/cgroup.freeze") == "1"
    vm.run("docker unpause paused")
    assert vm.output(f"cat /sys/fs/cgroup{cgroup(vm, 'paused')}/cgroup.freeze") == "0"


def test_a_container_has_a_scope_of_its_own(vm: Machine) -> None:
    vm.run("docker run -d --name scoped busybox sleep 1000")
    full_id = inspect(vm, "scoped", ".Id")
    assert cgroup(vm, "scoped") == f"/system.slice/docker-{full_id}.scope"
    vm.run("docker rm -f scoped")
    vm.until(f"ls -d /sys/fs/cgroup/system.slice/docker-{full_id}.scope 2>/dev/null", "")


def test_the_cgroupfs_driver(vm: Machine) -> None:
    config = json.dumps({"exec-opts": ["native.cgroupdriver=cgroupfs"]})
    vm.run(f"mkdir -p /etc/docker && echo '{config}' >/etc/docker/daemon.json")
    vm.run("systemctl restart wherry.service")
    try:
        assert vm.output("docker info -f '{{.CgroupDriver}} {{.CgroupVersion}}'") == "cgroupfs 2"
        vm.run("docker run -d --name plain -m 64m busybox sleep 1000")
        assert cgroup(vm, "plain") == f"/docker/{inspect(vm, 'plain', '.Id')}"
        assert vm.output("docker exec plain cat /sys/fs/cgroup/memory.max") == str(64 << 20)
    finally:
        vm.run("rm /etc/docker/daemon.json && systemctl restart wherry.service")


@pytest.mark.parametrize("how", ["systemctl restart wherry.service", "systemctl kill -s KILL wherry.service"])
def test_containers_outlive_the_daemon(vm: Machine, how: str) -> None:
    vm.run(f"docker run -d --name counter busybox sh -c '{COUNT}'")
    vm.run("docker run -d --rm --name short busybox sh -c 'sleep 1; exit 5'")
    container, daemon = (
        inspect(vm, "counter", ".State.Pid"),
        vm.output("systemctl show -P MainPID wherry.service"),
    )
    vm.run(how.replace("kill -s", "kill --kill-whom=main -s"))
    vm.until(
        f"p=$(systemctl show -P MainPID wherry.service); [ $p != 0 ] && [ $p != {daemon} ] && "
        "systemctl is-active wherry.service",
        "active",
    )
    assert inspect(vm, "counter", ".State.Pid") == container
    assert vm.output("docker exec counter echo inside") == "inside"
    time.sleep(1)
    numbers = counted(vm, "counter")
    assert numbers == list(range(len(numbers)))
    # It ended meanwhile or soon after, and was to be removed.
    vm.until("docker ps -aq -f name=short", "")


def test_ports_and_the_bridge(vm: Machine) -> None:
    vm.run("docker run -d --name web -p 8080:80 busybox httpd -f -h /etc")
    for address in ("127.0.0.1", "10.99.0.1"):
        vm.run("ip address replace 10.99.0.1/32 dev lo")
        vm.until(f"busybox wget -q -T 5 -O - http://{address}:8080/passwd | head -c 4", "root")
    vm.run("systemctl restart wherry.service")
    vm.until("busybox wget -q -T 5 -O - http://127.0.0.1:8080/passwd | head -c 4", "root")


def test_an_orderly_reboot_stops_containers_and_restarts_by_policy(vm: Machine) -> None:
    vm.run(f'docker run -d --name polite busybox sh -c "{POLITE}"')
    vm.run(f"docker run -d --restart always --name always busybox sh -c '{COUNT}'")
    vm.run(
        "docker run -d --restart unless-stopped --name stopped busybox sleep 1000 && docker stop -t 0 stopped"
    )
    before = inspect(vm, "always", ".State.StartedAt")
    vm.reboot()
    vm.until("docker inspect -f '{{.State.Status}}' always", "running")
    assert inspect(vm, "always", ".State.StartedAt") > before
    assert inspect(vm, "polite", ".State.Status") == "exited"
    assert inspect(vm, "polite", ".State.ExitCode") == "7"
    assert inspect(vm, "stopped", ".State.Status") == "exited"
    assert vm.output("docker exec always echo inside") == "inside"


def test_a_power_cut_is_exit_255_or_a_restart_by_policy(vm: Machine) -> None:
    vm.run(f"docker run -d --name counter busybox sh -c '{COUNT}'")
    vm.run(f"docker run -d --restart always --name always busybox sh -c '{COUNT}'")
    # As if they had run for a while: the kernel writes back within half a minute.
    vm.run("sync")
    vm.power_cut()
    vm.until("docker inspect -f '{{.State.Status}}' always", "running")
    assert inspect(vm, "counter", ".State.Status") == "exited"
    assert inspect(vm, "counter", ".State.ExitCode") == "255"
    assert vm.output("docker start counter && docker exec counter echo again").split() == ["counter", "again"]
    assert vm.output("docker run --rm busybox echo whole") == "whole"
