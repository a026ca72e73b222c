"""What /info tells of this host's limits equals dockerd's."""

import pytest

from runtime import cgroups
from tests.peer.peer import Peer
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
