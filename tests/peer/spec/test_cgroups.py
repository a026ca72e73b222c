"""What /info tells of this host's limits equals dockerd's."""

import pytest

from errdefs import InvalidArgument
from runtime import cgroups
from tests.peer.peer import Peer
from tests.peer.spec.conftest import Capturing
from tests.unix_http import call

pytestmark = pytest.mark.root

FIELDS = {
    "MemoryLimit": "memory_limit",
    "SwapLimit": "swap_limit",
    "KernelMemoryTCP": "kernel_memory_tcp",
    "OomKillDisable": "oom_kill_disable",
    "CpuCfsPeriod": "cpu_cfs_period",
    "CpuCfsQuota": "cpu_cfs_quota",
    "CPUShares": "cpu_shares",
    "CPUSet": "cpu_set",
    "PidsLimit": "pids_limit",
}


def test_info(peer: Peer) -> None:
    theirs = call(peer.socket, "GET", "/v1.45/info").json
    host, hierarchy = cgroups.capabilities_of_host(), cgroups.detect()
    assert {name: getattr(host, ours) for name, ours in FIELDS.items()} == {
        name: theirs.get(name, False) for name in FIELDS
    }
    assert str(hierarchy.version) == theirs["CgroupVersion"]
    assert cgroups.default_driver(hierarchy) == theirs["CgroupDriver"]
    limits = [line for line in theirs["Warnings"] or () if line.startswith("WARNING: No ")]
    assert host.warnings(hierarchy.version) == limits


@pytest.mark.parametrize("asked", ["99", "0-9", "0-99999", "3-1", "x", "0,"])
@pytest.mark.parametrize(("field", "what"), [("CpusetCpus", "cpus"), ("CpusetMems", "mems")])
def test_cpusets(capturing: Capturing, asked: str, field: str, what: str) -> None:
    host = cgroups.capabilities_of_host()
    with pytest.raises(InvalidArgument) as caught:
        cgroups.check_cpuset(asked, getattr(host, what), what)
    assert capturing.create({}, {field: asked}) == (400, {"message": caught.value.message})


def test_what_this_host_cannot_limit(capturing: Capturing, peer: Peer) -> None:
    fields = {"blkio_weight": 300, "cpu_shares": 5, "memory_swappiness": 5}
    status, theirs = capturing.create({}, {"BlkioWeight": 300, "CpuShares": 5, "MemorySwappiness": 5})
    assert status == 201
    call(peer.socket, "DELETE", f"/v1.45/containers/{theirs['Id']}?force=1")
    _, warnings = cgroups.discard(fields, cgroups.capabilities_of_host())
    assert warnings == theirs["Warnings"]
