"""Statistics as Docker shows them; what is zero is left out where Go's `omitempty` says so."""

from typing import Any

import msgspec

from api.schema.times import go_time
from api.versions import Version
from engine.containers.stats import Sample
from runtime.cgroups.usage import BLOCK_KINDS, CpuUsage, MemoryUsage

_NOTHING = CpuUsage()


def stats(sample: Sample, previous: Sample | None, version: Version) -> dict[str, Any]:
    """One message of `GET /containers/{id}/stats`; `previous` is the sample before, where there was one."""
    usage = sample.usage
    shown: dict[str, Any] = {
        "id": sample.id,
        "name": f"/{sample.name}",
        "read": go_time(sample.read_at),
        "preread": go_time(previous.read_at if previous else 0),
        "pids_stats": _without_zeros({"current": usage.pids, "limit": usage.pids_limit}) if usage else {},
        "blkio_stats": _block(sample),
        "num_procs": 0,  # counted on Windows only
        "storage_stats": {},
        "cpu_stats": _cpu(sample),
        "precpu_stats": _cpu(previous),
        "memory_stats": _memory(usage.memory, sample.machine_memory) if usage else {},
    }
    if sample.interfaces:
        shown["networks"] = {name: msgspec.structs.asdict(each) for name, each in sample.interfaces.items()}
    if not version.before("1.52"):
        shown["os_type"] = "linux"
    return shown


def _cpu(sample: Sample | None) -> dict[str, Any]:
    cpu = sample.usage.cpu if sample and sample.usage else _NOTHING
    used: dict[str, Any] = {
        "total_usage": cpu.total,
        "usage_in_kernelmode": cpu.kernel,
        "usage_in_usermode": cpu.user,
    }
    if cpu.per_cpu:
        used["percpu_usage"] = cpu.per_cpu
    shown: dict[str, Any] = {
        "cpu_usage": used,
        "throttling_data": {
            "periods": cpu.periods,
            "throttled_periods": cpu.throttled_periods,
            "throttled_time": cpu.throttled_time,
        },
    }
    if sample and sample.usage:
        shown |= {"system_cpu_usage": sample.system_cpu, "online_cpus": sample.online_cpus}
    return shown


def _memory(memory: MemoryUsage, machine: int) -> dict[str, Any]:
    shown = _without_zeros(
        {
            "usage": memory.usage,
            "max_usage": memory.peak,
            "failcnt": memory.failures,
            "limit": min(memory.limit, machine) if machine else memory.limit,
        }
    )
    return {**shown, "stats": memory.stats}


def _block(sample: Sample) -> dict[str, Any]:
    block = sample.usage.block if sample.usage else {}
    return {
        kind: None if (found := block.get(kind)) is None else [msgspec.structs.asdict(each) for each in found]
        for kind in BLOCK_KINDS
    }


def _without_zeros(values: dict[str, int]) -> dict[str, int]:
    return {name: value for name, value in values.items() if value}
