"""Control groups of real containers."""

import os
import secrets
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from errdefs import InvalidArgument, NotFound, SystemFailure
from runtime import cgroups
from runtime.cgroups import host
from runtime.cgroups.hierarchy import parse_membership
from runtime.spec.namespaces import HOST, Namespaces
from runtime.spec.resources import Resources
from tests.unit.runtime_spec.conftest import Bundle
from tests.waiting import eventually

HOST_PIDS = Namespaces(pid=HOST)
FORKS = "for i in 1 2 3 4; do sleep 1000 & done; (while :; do sleep 0.01; done) & wait"


@pytest.mark.parametrize(
    ("parent", "driver", "expected"),
    [
        ("", "cgroupfs", "/docker/x"),
        ("/mine", "cgroupfs", "/mine/x"),
        ("mine/deep/", "cgroupfs", "mine/deep/x"),
        ("", "systemd", "system.slice:docker:x"),
        ("my-own.slice", "systemd", "my-own.slice:docker:x"),
    ],
)
def test_names(parent: str, driver: cgroups.Driver, expected: str) -> None:
    assert cgroups.path_for("x", parent, driver) == expected


def test_a_parent_that_is_no_slice() -> None:
    with pytest.raises(InvalidArgument, match="should be a valid slice"):
        cgroups.path_for("x", "/mine", "systemd")


def test_a_parent_that_leads_up() -> None:
    with pytest.raises(InvalidArgument, match="invalid cgroup parent"):
        cgroups.path_for("x", "/a/../../b", "cgroupfs")


def test_membership() -> None:
    text = "9:name=systemd:/\n8:cpu,cpuacct:/a:b\n0::/docker/x\n"
    assert parse_membership(text) == {
        "name=systemd": "/",
        "cpu": "/a:b",
        "cpuacct": "/a:b",
        "": "/docker/x",
    }


@pytest.mark.parametrize(
    ("version", "systemd", "driver"), [(1, True, "cgroupfs"), (2, False, "cgroupfs"), (2, True, "systemd")]
)
def test_the_driver_is_dockers_choice(version: int, systemd: bool, driver: str) -> None:
    found = cgroups.Hierarchy(version=2 if version == 2 else 1, systemd=systemd)
    assert cgroups.default_driver(found) == driver


def test_this_host() -> None:
    hierarchy = cgroups.detect()
    assert hierarchy.version == (2 if Path("/sys/fs/cgroup/cgroup.controllers").exists() else 1)
    for path in cgroups.paths(os.getpid()).values():
        assert str(os.getpid()) in (path / "cgroup.procs").read_text().split()
    here = cgroups.capabilities_of_host()
    assert here.pids_limit
    assert here.cpus
    assert cgroups.HostCapabilities().warnings(1) == [
        "WARNING: No memory limit support",
        "WARNING: No swap limit support",
        "WARNING: No kernel memory TCP limit support",
        "WARNING: No oom kill disable support",
        "WARNING: No cpu cfs quota support",
        "WARNING: No cpu cfs period support",
        "WARNING: No cpu shares support",
        "WARNING: No cpuset support",
        "WARNING: No blkio throttle.read_bps_device support",
        "WARNING: No blkio throttle.write_bps_device support",
        "WARNING: No blkio throttle.read_iops_device support",
        "WARNING: No blkio throttle.write_iops_device support",
    ]
    assert "WARNING: No io.weight (per device) support" in cgroups.HostCapabilities().warnings(2)


@pytest.mark.parametrize("controllers", [set(), {"memory"}, {"cpu", "cpuset", "io", "memory", "pids"}])
def test_a_host_of_version_two(controllers: set[str]) -> None:
    found = host.from_controllers(controllers)
    assert found.memory_limit is found.memory_reservation is ("memory" in controllers)
    assert found.cpu_shares is found.cpu_cfs_quota is ("cpu" in controllers)
    assert (found.pids_limit, found.cpu_set) == ("pids" in controllers, "cpuset" in controllers)
    assert found.blkio_weight is found.blkio_write_iops is ("io" in controllers)
    # What v2 has not got, whatever the controllers.
    assert (found.oom_kill_disable, found.memory_swappiness, found.cpu_realtime) == (False, False, False)


@pytest.mark.root
def test_freeze_and_thaw(bundle: Bundle) -> None:
    pid = bundle.start(bundle.options("sh", "-c", FORKS))
    assert not cgroups.frozen(pid)
    cgroups.freeze(pid)
    assert cgroups.frozen(pid)
    before = cgroups.pids(pid)
    time.sleep(0.1)
    assert cgroups.pids(pid) == before
    cgroups.freeze(pid)
    cgroups.thaw(pid)
    cgroups.thaw(pid)
    assert not cgroups.frozen(pid)


@pytest.mark.root
def test_an_init_in_a_group_of_its_own_making(bundle: Bundle) -> None:
    container_id = secrets.token_hex(32)
    freezer = "freezer" if cgroups.detect().version == 1 else ""
    inner = f"{Path('/sys/fs/cgroup', freezer)}/init.scope"
    moves = f"sleep 1000 & mkdir {inner} && echo 0 > {inner}/cgroup.procs && exec sleep 1000"
    pid = bundle.start(
        bundle.options(
            "sh", "-c", moves, writable_cgroups=True, cgroups_path=f"/{bundle.group}/{container_id}"
        )
    )
    eventually(lambda: cgroups.paths(pid)[freezer].name == "init.scope")
    assert cgroups.of(pid).path.name == container_id
    assert len(cgroups.pids(pid)) == 2
    cgroups.kill_all(pid)


@pytest.mark.root
def test_pids(bundle: Bundle) -> None:
    pid = bundle.start(bundle.options("sh", "-c", "for i in 1 2 3; do sleep 1000 & done; wait"))
    eventually(lambda: len(cgroups.pids(pid)) == 4)
    assert cgroups.pids(pid)[0] == pid


@pytest.mark.root
@pytest.mark.parametrize("frozen", [False, True])
def test_kill_all_leaves_nobody(bundle: Bundle, frozen: bool) -> None:
    pid = bundle.start(bundle.options("sh", "-c", FORKS))
    group = cgroups.of(pid)
    eventually(lambda: len(group.pids()) > 5)
    if frozen:
        group.freeze()
    group.kill_all()
    assert group.pids() == []
    assert not group.frozen()


@pytest.mark.root
def test_many_that_fork_all_the_time(bundle: Bundle) -> None:
    loops = "for i in $(seq 40); do (while :; do /bin/sleep 0; done) & done; wait"
    pid = bundle.start(bundle.options("sh", "-c", loops, resources=Resources(pids_limit=200)))
    group = cgroups.of(pid)
    eventually(lambda: len(group.pids()) > 40)
    group.freeze()
    standing = group.pids()
    time.sleep(0.1)
    assert group.pids() == standing
    group.thaw()
    group.kill_all()
    assert group.pids() == []


@pytest.mark.root
def test_kill_all_without_init(bundle: Bundle) -> None:
    """With the host's pid namespace the kernel ends nobody when init does."""
    shared = bundle.options("sh", "-c", "sleep 1000 & sleep 1000 & exec sleep 1000", namespaces=HOST_PIDS)
    pid = bundle.start(shared)
    group = cgroups.of(pid)
    eventually(lambda: len(group.pids()) == 3)
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: pid not in group.pids())
    assert len(group.pids()) == 2
    group.kill_all()
    assert group.pids() == []


@pytest.mark.root
def test_a_group_that_is_gone(bundle: Bundle) -> None:
    pid = bundle.start(bundle.options("sleep", "1000"))
    group = cgroups.of(pid)
    bundle.runc("delete", "--force", bundle.id)
    group.kill_all()
    group.freeze()
    group.thaw()
    assert group.pids() == []
    assert not group.frozen()
    # Nobody may have collected the process yet: a zombie counts to the root group.
    with pytest.raises((NotFound, SystemFailure)):
        cgroups.of(pid)


@pytest.fixture(params=[1, 2])
def group(request: pytest.FixtureRequest) -> Iterator[cgroups.Cgroup]:
    """A bare group of either version, with another below; a hybrid host has both."""
    hybrid = {1: Path("/sys/fs/cgroup/freezer"), 2: Path("/sys/fs/cgroup/unified")}
    root = hybrid[request.param] if cgroups.detect().version == 1 else Path("/sys/fs/cgroup")
    if not root.is_dir() or (cgroups.detect().version, request.param) == (2, 1):
        pytest.skip(f"no hierarchy of version {request.param} here")
    made = cgroups.Cgroup(root / f"wherry-spec-{secrets.token_hex(4)}", request.param)
    (made.path / "below").mkdir(parents=True)
    yield made
    (made.path / "below").rmdir()
    made.path.rmdir()


@pytest.fixture
def join(group: cgroups.Cgroup) -> Iterator[Callable[[Path], subprocess.Popen[bytes]]]:
    """Put a process that forks all the time into a group."""
    children: list[subprocess.Popen[bytes]] = []

    def start(folder: Path) -> subprocess.Popen[bytes]:
        script = f"echo 0 > {folder}/cgroup.procs; while :; do sleep 0.01; done"
        children.append(subprocess.Popen(["sh", "-c", script], start_new_session=True))
        return children[-1]

    yield start
    for child in children:
        child.kill()
        child.wait()


@pytest.mark.root
def test_groups_of_both_versions(
    group: cgroups.Cgroup, join: Callable[[Path], subprocess.Popen[bytes]]
) -> None:
    children = [join(group.path), join(group.path / "below")]
    eventually(lambda: {child.pid for child in children} <= set(group.pids()))
    group.freeze()
    assert group.frozen()
    standing = group.pids()
    time.sleep(0.1)
    assert group.pids() == standing
    group.thaw()
    assert not group.frozen()
    group.freeze()
    group.kill_all()
    assert group.pids() == []
    assert {child.wait(10) for child in children} == {-signal.SIGKILL}


@pytest.mark.root
def test_an_empty_group(group: cgroups.Cgroup) -> None:
    group.freeze()
    group.thaw()
    group.kill_all()
    assert group.pids() == []


def test_the_host_is_never_acted_on() -> None:
    with pytest.raises(SystemFailure, match=r"with the host$"):
        cgroups.kill_all(os.getpid())
    with pytest.raises(SystemFailure, match=r"with the host$"):
        cgroups.freeze(1)
