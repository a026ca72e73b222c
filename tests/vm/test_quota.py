"""Sizes of containers, by the project quotas of ext4 and xfs."""

from collections.abc import Iterator

import pytest

from tests.vm.machine import Machine

MAKE = {
    "ext4": ("mkfs.ext4 -q -O quota,project -E quotatype=prjquota", "prjquota"),
    "xfs": ("mkfs.xfs -q", "pquota"),
}
FILL = "dd if=/dev/zero of=/big bs=1M count=20 2>/dev/null; stat -c %s /big"


class Limited:
    """A daemon whose data root is on a file system with project quotas."""

    def __init__(self, vm: Machine, kind: str) -> None:
        self.vm = vm
        self.root = f"/srv/{kind}"
        self.socket = f"{self.root}.sock"
        command, option = MAKE[kind]
        vm.run(f"mkdir -p {self.root} && truncate -s 400M {self.root}.img && {command} {self.root}.img")
        vm.run(f"mount -o loop,{option} {self.root}.img {self.root}")

    def start(self, *flags: str) -> None:
        """Start it; it answers."""
        arguments = (
            f"--data-root {self.root}/data --exec-root /run/limited --host unix://{self.socket} --bridge limited0"
            f" --pidfile {self.root}.pid --config-file '' {' '.join(flags)}"
        )
        self.vm.run(
            f"systemd-run --quiet --collect --unit limited -p Delegate=yes -p KillMode=process wherryd {arguments}"
        )
        self.vm.run(f"timeout 60 sh -c 'until {self.docker('version')} >/dev/null 2>&1; do sleep 0.2; done'")

    def docker(self, command: str) -> str:
        """The command line of a call of it."""
        return f"docker -H unix://{self.socket} {command}"

    def output(self, command: str) -> str:
        """What it prints."""
        return self.vm.output(self.docker(command))

    def projects(self) -> list[str]:
        """The numbers of the projects that have a limit, of the containers that there are."""
        code = (
            "import sys; sys.path.insert(0, '/opt/wherry/lib/python3.13/site-packages'); "
            "from pathlib import Path; from runtime import quota; "
            f"q = quota.ProjectQuota.of(Path('{self.root}')); print(*q.limits())"
        )
        return self.vm.output(f'python3 -Ic "{code}"').split()


@pytest.fixture(scope="module", params=["ext4", "xfs"])
def limited(request: pytest.FixtureRequest, installed: Machine) -> Iterator[Limited]:
    daemon = Limited(installed, request.param)
    daemon.start()
    daemon.output("import --change 'CMD [\"sh\"]' /opt/wherry/machine/busybox.tar busybox:latest")
    yield daemon
    installed.run("systemctl stop limited", check=False)
    installed.run(f"umount {daemon.root} && rm {daemon.root}.img")


def test_a_container_holds_no_more(limited: Limited) -> None:
    shell = "run --rm --storage-opt size=8m busybox sh -c"
    assert 7 << 20 <= int(limited.output(f"{shell} '{FILL}'")) <= 8 << 20
    total = limited.output(f"{shell} 'df -k / | tail -1'").split()[1]
    assert int(total) == 8 << 10
    assert int(limited.output(f"run --rm busybox sh -c '{FILL}'")) == 20 << 20
    assert limited.projects() == []


def test_it_is_kept_and_goes_with_the_container(limited: Limited) -> None:
    limited.output("run -d --name box --storage-opt size=8m busybox sleep 1000")
    kept = limited.projects()
    assert len(kept) == 1
    limited.vm.run("systemctl kill -s KILL limited; systemctl reset-failed limited", check=False)
    limited.start()
    assert limited.projects() == kept
    assert int(limited.output(f"exec box sh -c '{FILL}'")) <= 8 << 20
    limited.output("restart -t 0 box")
    assert int(limited.output("exec box stat -c %s /big")) <= 8 << 20
    limited.output("rm -f box")
    assert limited.projects() == []


def test_a_limit_of_nothing_goes_at_boot(limited: Limited) -> None:
    """As a daemon leaves it that dies between the removal of a container's files and of its limit."""
    limited.output("create --name box --storage-opt size=8m busybox")
    limited.vm.run("systemctl stop limited")
    limited.vm.run(f"mv {limited.root}/data/snapshots/active/* {limited.root}/data/snapshots/tmp/")
    limited.start()
    assert limited.projects() == []
    limited.vm.run(limited.docker("rm -f box"), check=False)


def test_the_daemons_size(limited: Limited) -> None:
    limited.vm.run("systemctl stop limited")
    limited.start("--storage-opt overlay2.size=6m")
    assert int(limited.output(f"run --rm busybox sh -c '{FILL}'")) <= 6 << 20
    assert int(limited.output(f"run --rm --storage-opt size=12m busybox sh -c '{FILL}'")) > 6 << 20


def test_volumes_hold_no_more(limited: Limited) -> None:
    limited.output("volume create -o size=8m sized")
    assert len(limited.projects()) == 1
    shell = "run --rm -v sized:/v busybox sh -c"
    assert int(limited.output(f"{shell} '{FILL.replace('/big', '/v/big')}'")) <= 8 << 20
    assert limited.output("volume inspect -f '{{.Options}}' sized") == "map[size:8m]"
    limited.output("volume rm sized")
    assert limited.projects() == []


def test_where_there_are_no_quotas(vm: Machine) -> None:
    said = vm.run("docker create --storage-opt size=8m busybox", check=False).output
    assert "--storage-opt is supported only for overlay over xfs with 'pquota' mount option" in said
