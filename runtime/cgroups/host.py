"""Which limits this host can put on a container: what /info tells and what a create request is checked by."""

import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from runtime.cgroups.hierarchy import ROOT, UNIFIED, Hierarchy, controllers, detect, paths


class HostCapabilities(msgspec.Struct, frozen=True, kw_only=True):
    """Docker's SysInfo: the words of /info in lower case; `cpus` and `mems` as the cpuset files say."""

    memory_limit: bool = False
    swap_limit: bool = False
    memory_reservation: bool = False
    memory_swappiness: bool = False
    kernel_memory_tcp: bool = False
    oom_kill_disable: bool = False
    cpu_cfs_period: bool = False
    cpu_cfs_quota: bool = False
    cpu_shares: bool = False
    cpu_realtime: bool = False
    cpu_set: bool = False
    pids_limit: bool = False
    blkio_weight: bool = False
    blkio_weight_device: bool = False
    blkio_read_bps: bool = False
    blkio_write_bps: bool = False
    blkio_read_iops: bool = False
    blkio_write_iops: bool = False
    devices: bool = False
    cpus: str = ""
    mems: str = ""

    def warnings(self, version: int) -> list[str]:
        """Return Docker's lines for /info about what is missing on a cgroup hierarchy of that version."""
        return [f"WARNING: No {text} support" for missing, text in _missing(self, version) if missing]


def capabilities_of_host(hierarchy: Hierarchy | None = None) -> HostCapabilities:
    """Look at the mounted controllers; on v1 also at the files that kernel options add or leave out."""
    here = hierarchy or detect()
    found = controllers(here)
    return from_controllers(set(found)) if here.version == 2 else _of_v1(found.get)


def _of_v1(mount_of: Callable[[str], Path | None]) -> HostCapabilities:
    def has(controller: str, name: str) -> bool:
        mount = mount_of(controller)
        return mount is not None and (mount / name).exists()

    cpuset = mount_of("cpuset")
    quota = has("cpu", "cpu.cfs_quota_us")
    return HostCapabilities(
        memory_limit=mount_of("memory") is not None,
        swap_limit=has("memory", "memory.memsw.limit_in_bytes"),
        memory_reservation=has("memory", "memory.soft_limit_in_bytes"),
        memory_swappiness=has("memory", "memory.swappiness"),
        kernel_memory_tcp=has("memory", "memory.kmem.tcp.limit_in_bytes"),
        oom_kill_disable=has("memory", "memory.oom_control"),
        cpu_cfs_period=quota,
        cpu_cfs_quota=quota,
        cpu_shares=has("cpu", "cpu.shares"),
        cpu_realtime=has("cpu", "cpu.rt_period_us"),
        cpu_set=cpuset is not None,
        pids_limit=mount_of("pids") is not None,
        blkio_weight=has("blkio", "blkio.weight"),
        blkio_weight_device=has("blkio", "blkio.weight_device"),
        blkio_read_bps=has("blkio", "blkio.throttle.read_bps_device"),
        blkio_write_bps=has("blkio", "blkio.throttle.write_bps_device"),
        blkio_read_iops=has("blkio", "blkio.throttle.read_iops_device"),
        blkio_write_iops=has("blkio", "blkio.throttle.write_iops_device"),
        devices=mount_of("devices") is not None,
        cpus=_line(cpuset, "cpuset.cpus"),
        mems=_line(cpuset, "cpuset.mems"),
    )


def from_controllers(found: set[str]) -> HostCapabilities:
    """Return what a v2 host with these controllers can limit."""
    memory, cpu, io, cpuset = (name in found for name in ("memory", "cpu", "io", "cpuset"))
    return HostCapabilities(
        memory_limit=memory,
        swap_limit=memory and _has_swap_v2(),
        memory_reservation=memory,
        cpu_cfs_period=cpu,
        cpu_cfs_quota=cpu,
        cpu_shares=cpu,
        cpu_set=cpuset,
        pids_limit="pids" in found,
        blkio_weight=io,
        blkio_weight_device=io,
        blkio_read_bps=io,
        blkio_write_bps=io,
        blkio_read_iops=io,
        blkio_write_iops=io,
        devices=True,  # through BPF, without a controller
        cpus=_line(ROOT if cpuset else None, "cpuset.cpus.effective"),
        mems=_line(ROOT if cpuset else None, "cpuset.mems.effective"),
    )


def _has_swap_v2() -> bool:
    """Look in our own group: the root group has no memory.swap.max."""
    own = paths(os.getpid()).get(UNIFIED)
    return own is not None and (own / "memory.swap.max").exists()


def _line(folder: Path | None, name: str) -> str:
    try:
        return (folder / name).read_text().strip() if folder is not None else ""
    except OSError:
        return ""


def _missing(host: HostCapabilities, version: int) -> list[tuple[bool, str]]:
    old, new = version == 1, version == 2
    return [
        (not host.memory_limit, "memory limit"),
        (not host.swap_limit, "swap limit"),
        (not host.kernel_memory_tcp and old, "kernel memory TCP limit"),
        (not host.oom_kill_disable and old, "oom kill disable"),
        (not host.cpu_cfs_quota, "cpu cfs quota"),
        (not host.cpu_cfs_period, "cpu cfs period"),
        (not host.cpu_shares, "cpu shares"),
        (not host.cpu_set, "cpuset"),
        (not host.blkio_weight and new, "io.weight"),
        (not host.blkio_weight_device and new, "io.weight (per device)"),
        (not host.blkio_read_bps, "io.max (rbps)" if new else "blkio throttle.read_bps_device"),
        (not host.blkio_write_bps, "io.max (wbps)" if new else "blkio throttle.write_bps_device"),
        (not host.blkio_read_iops, "io.max (riops)" if new else "blkio throttle.read_iops_device"),
        (not host.blkio_write_iops, "io.max (wiops)" if new else "blkio throttle.write_iops_device"),
    ]
