"""Sizes of containers, by the project quotas of ext4 and xfs."""

from collections.abc import Iterator

import pytest

from tests.vm.machine import Machine

MAKE = {
    "ext4": ("mkfs.ext4 -q -O quota,project -E quotatype=prjquota", "prjquota"),
    "xfs": ("mkfs.xfs -q", "pquota"),
}
# The kernel's module and the daemon's take a minute each to be loaded, emulated beside other work.
SLOW = 400
FILL = "dd if=/dev/zero of=/big bs=1M count=20 2>/dev/null; stat -c %s /big"


class Limited:
    """A daemon whose data root is on a file system with project quotas."""

    def __init__(self, vm: Machine, kind: str) -> None:
        self.vm = vm
        self.root = f"/srv/{kind}"
        self.socket = f"{self.root}.sock"
        self.unit = f"limited-{kind}"
        command, option = MAKE[kind]
        vm.run(f"mkdir -p {self.root} && truncate -s 400M {self.root}.img && {command} {self.root}.img")
        vm.run(f"mount -o loop,{option} {self.root}.img {self.root}", timeout=SLOW)

    def start(self, *flags: str) -> None:
        """Start it; it answers."""
        arguments = (
            f"--data-root {self.root}/data --exec-root /run/limited --host unix://{self.socket} --bridge limited0"
            f" --pidfile {self.root}.pid --config-file '' {' '.join(flags)}"
        )
        service = "Type=notify Delegate=yes KillMode=process TimeoutStartSec=infinity"
        properties = " ".join(f"-p {line}" for line in service.split())
        self.vm.run(
            f"systemd-run --quiet --collect --unit {self.unit} {properties} wherryd {arguments}", timeout=SLOW
        )

    def docker(self, command: str) -> str:
        """The command line of a call of it."""
        return f"docker -H unix://{self.socket} {command}"

    def output(self, command: str) -> str:
        """What it prints."""
        return self.vm.output(self.docker(command))

    def projects(self) -> list[str]:
        """The numbers of the projects that have a limit, as the tool of xfs tells of both file systems."""
        report = self.vm.output(f"xfs_quota -f -x -c 'report -p -n -N' {self.root}")
        rows = [line.split() for line in report.splitlines() if line.startswith("#")]
        return [number for number, _, _, hard, *_ in rows if hard != "0"]


@pytest.fixture(scope="module", params=["ext4", "xfs"])
def limited(request: pytest.FixtureRequest, installed: Machine) -> Iterator[Limited]:
    daemon = Limited(installed, request.param)
    daemon.start()
    daemon.output("import --change 'CMD [\"sh\"]' /opt/wherry/machine/busybox.tar busybox:latest")
    yield daemon
    installed.run(f"systemctl stop {daemon.unit}", check=False)
    installed.run(f"umount {daemon.root} && rm {daemon.root}.img")


def test_a_container_holds_no_more(limited: Limited) -> None:
    filled = limited.output(f"run --rm --storage-opt size=8m busybox sh -c '{FILL}; df -k / | tail -1'")
    size, free = filled.splitlines()
    assert 7 << 20 <= int(size) <= 8 << 20
    assert int(free.split()[1]) == 8 << 10
    assert int(limited.output(f"run --rm busybox sh -c '{FILL}'")) == 20 << 20
    assert limited.projects() == []


def test_volumes_hold_no_more(limited: Limited) -> None:
    limited.output("volume create -o size=8m sized")
    assert len(limited.projects()) == 1
    filled = limited.output(f"run --rm -v sized:/v busybox sh -c '{FILL.replace('/big', '/v/big')}'")
    assert 7 << 20 <= int(filled) <= 8 << 20
    assert limited.output("volume inspect -f '{{.Options}}' sized") == "map[size:8m]"
    limited.output("volume rm sized")
    assert limited.projects() == []


def test_a_daemon_that_dies(limited: Limited) -> None:
    """Limits outlive it, but for those of nothing: it died between removing a container's files and its limit.

    The next daemon has a size for all containers that ask for none.
    """
    limited.output("run -d --name box --storage-opt size=8m busybox sleep 10000")
    kept = limited.projects()
    assert len(kept) == 1
    gone = limited.output("create --name gone --storage-opt size=8m busybox")
    assert len(limited.projects()) == 2
    limited.vm.run(f"systemctl kill -s KILL --kill-whom main {limited.unit}")
    limited.vm.until(f"systemctl show -P ActiveState {limited.unit}", "failed")
    limited.unit += "-again"  # systemd keeps the name as long as the container runs
    snapshots = f"{limited.root}/data/snapshots"
    limited.vm.run(f"mv {snapshots}/active/{gone} {snapshots}/tmp/")
    limited.start("--storage-opt overlay2.size=6m")
    assert limited.projects() == kept
    assert 7 << 20 <= int(limited.output(f"exec box sh -c '{FILL}'")) <= 8 << 20
    assert int(limited.output(f"run --rm busybox sh -c '{FILL}'")) <= 6 << 20
    assert int(limited.output(f"run --rm --storage-opt size=12m busybox sh -c '{FILL}'")) > 6 << 20
    limited.output("rm -f box gone")
    assert limited.projects() == []


def test_where_there_are_no_quotas(vm: Machine) -> None:
    said = vm.run("docker create --storage-opt size=8m busybox", check=False).output
    assert "--storage-opt is supported only for overlay over xfs with 'pquota' mount option" in said
