"""What a container uses, out of the texts of its control group: pure, for v1 and v2.

Times are nanoseconds, sizes bytes. The names in `MemoryUsage.stats` are the kernel's, those that Docker tells.
"""

from collections.abc import Iterable, Mapping

import msgspec

UNLIMITED = (1 << 64) - 1
"""What v2 means by "max"."""
_TICK = 10_000_000  # nanoseconds in a clock tick: the kernel's USER_HZ is 100 on every architecture we run on
_MICROSECOND = 1000
_SYSTEM_FIELDS = slice(1, 8)  # user nice system idle iowait irq softirq; guests are in user already

_STATS_V1 = (
    "cache", "rss", "rss_huge", "mapped_file", "dirty", "writeback", "pgpgin", "pgpgout", "pgfault", "pgmajfault",
    "inactive_anon", "active_anon", "inactive_file", "active_file", "unevictable",
)  # fmt: skip
_LIMITS_V1 = ("hierarchical_memory_limit", "hierarchical_memsw_limit")
STATS_V1 = (*_STATS_V1, *_LIMITS_V1, *(f"total_{name}" for name in _STATS_V1))
STATS_V2 = (
    "anon", "file", "kernel_stack", "slab", "sock", "shmem", "file_mapped", "file_dirty", "file_writeback",
    "anon_thp", "inactive_anon", "active_anon", "inactive_file", "active_file", "unevictable", "slab_reclaimable",
    "slab_unreclaimable", "pgfault", "pgmajfault", "workingset_refault", "workingset_activate",
    "workingset_nodereclaim", "pgrefill", "pgscan", "pgsteal", "pgactivate", "pgdeactivate", "pglazyfree",
    "pglazyfreed", "thp_fault_alloc", "thp_collapse_alloc",
)  # fmt: skip

BLOCK_KINDS = (
    "io_service_bytes_recursive", "io_serviced_recursive", "io_queue_recursive", "io_service_time_recursive",
    "io_wait_time_recursive", "io_merged_recursive", "io_time_recursive", "sectors_recursive",
)  # fmt: skip
"""Docker's lists of block device counters; only the first two are counted on today's kernels."""


class CpuUsage(msgspec.Struct, frozen=True, kw_only=True):
    """CPU time since the group was made. `per_cpu` is empty on v2, which does not count it."""

    total: int = 0
    kernel: int = 0
    user: int = 0
    per_cpu: tuple[int, ...] = ()
    periods: int = 0
    throttled_periods: int = 0
    throttled_time: int = 0


class MemoryUsage(msgspec.Struct, frozen=True, kw_only=True):
    """Memory now. `peak` is 0 on v2; `failures` counts refused charges on v1, out-of-memory events on v2."""

    usage: int = 0
    peak: int = 0
    limit: int = 0
    failures: int = 0
    stats: Mapping[str, int] = msgspec.field(default_factory=dict)


class BlockCounter(msgspec.Struct, frozen=True):
    """A counter of one block device; `op` as the kernel writes it ("Read" on v1, "read" on v2)."""

    major: int
    minor: int
    op: str
    value: int


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """One moment of one group. `block` has a list for each of BLOCK_KINDS, None where there is nothing to count.

    `pids_limit` is 0 for none on v1 and UNLIMITED on v2, as Docker tells it.
    """

    cpu: CpuUsage
    memory: MemoryUsage
    block: Mapping[str, list[BlockCounter] | None]
    pids: int
    pids_limit: int


def number(text: bytes, limitless: int = 0) -> int:
    """The one number of a file; `limitless` for "max", 0 for an empty text: the file is not there."""
    text = text.strip()
    if text == b"max":
        return limitless
    return int(text) if text else 0


def pairs(text: bytes) -> dict[str, int]:
    """A file of lines "name number"."""
    words = text.split()
    return {name.decode(): int(value) for name, value in zip(words[::2], words[1::2], strict=False)}


def cpu_v1(usage: bytes, per_cpu: bytes, stat: bytes, throttling: bytes) -> CpuUsage:
    """From cpuacct.usage, cpuacct.usage_percpu, cpuacct.stat and cpu.stat."""
    ticks, throttled = pairs(stat), pairs(throttling)
    return CpuUsage(
        total=number(usage),
        kernel=ticks.get("system", 0) * _TICK,
        user=ticks.get("user", 0) * _TICK,
        per_cpu=tuple(map(int, per_cpu.split())),
        periods=throttled.get("nr_periods", 0),
        throttled_periods=throttled.get("nr_throttled", 0),
        throttled_time=throttled.get("throttled_time", 0),
    )


def cpu_v2(stat: bytes) -> CpuUsage:
    """From cpu.stat."""
    values = pairs(stat)
    return CpuUsage(
        total=values.get("usage_usec", 0) * _MICROSECOND,
        kernel=values.get("system_usec", 0) * _MICROSECOND,
        user=values.get("user_usec", 0) * _MICROSECOND,
        periods=values.get("nr_periods", 0),
        throttled_periods=values.get("nr_throttled", 0),
        throttled_time=values.get("throttled_usec", 0) * _MICROSECOND,
    )


def memory_v1(usage: bytes, peak: bytes, limit: bytes, failures: bytes, stat: bytes) -> MemoryUsage:
    """From memory.{usage_in_bytes,max_usage_in_bytes,limit_in_bytes,failcnt,stat}."""
    return MemoryUsage(
        usage=number(usage),
        peak=number(peak),
        limit=number(limit),
        failures=number(failures),
        stats=_chosen(STATS_V1, stat),
    )


def memory_v2(usage: bytes, limit: bytes, events: bytes, stat: bytes) -> MemoryUsage:
    """From memory.{current,max,events,stat}."""
    return MemoryUsage(
        usage=number(usage),
        limit=number(limit, UNLIMITED),
        failures=pairs(events).get("oom", 0),
        stats=_chosen(STATS_V2, stat),
    )


def _chosen(names: Iterable[str], stat: bytes) -> dict[str, int]:
    values = pairs(stat)
    return {name: values.get(name, 0) for name in names}


def block_v1(service_bytes: bytes, serviced: bytes) -> dict[str, list[BlockCounter] | None]:
    """From blkio.throttle.io_service_bytes and .io_serviced: "8:0 Read 4096" lines and a total at the end."""
    found: dict[str, list[BlockCounter] | None] = {kind: [] for kind in BLOCK_KINDS}
    found["io_service_bytes_recursive"] = _counters_v1(service_bytes)
    found["io_serviced_recursive"] = _counters_v1(serviced)
    return found


def _counters_v1(text: bytes) -> list[BlockCounter]:
    counters = []
    for line in text.decode().splitlines():
        device, _, rest = line.partition(" ")
        major, colon, minor = device.partition(":")
        if colon:
            op, _, value = rest.rpartition(" ")
            counters.append(BlockCounter(int(major), int(minor), op, int(value)))
    return counters


def block_v2(stat: bytes) -> dict[str, list[BlockCounter] | None]:
    """From io.stat: "8:0 rbytes=1 wbytes=2 …" lines; None for what v2 does not count, and for no device."""
    counters = []
    for line in stat.decode().splitlines():
        device, *words = line.split()
        values = dict(word.split("=", 1) for word in words if "=" in word)
        major, _, minor = device.partition(":")
        for op, name in (("read", "rbytes"), ("write", "wbytes")):
            counters.append(BlockCounter(int(major), int(minor), op, int(values.get(name, 0))))
    return dict.fromkeys(BLOCK_KINDS) | {"io_service_bytes_recursive": counters or None}


def system_cpu(stat: bytes) -> tuple[int, int]:
    """From /proc/stat: the CPU time of the whole host, idle included, and how many CPUs are online."""
    total = online = 0
    for line in stat.splitlines():
        if not line.startswith(b"cpu"):
            break
        words = line.split()
        if words[0] == b"cpu":
            total = sum(map(int, words[_SYSTEM_FIELDS])) * _TICK
        else:
            online += 1
    return total, online
