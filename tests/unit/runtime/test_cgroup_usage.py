"""What a container uses, out of the texts of kernels: v1, v2, and files that are not there."""

from runtime.cgroups import usage
from runtime.cgroups.block import BlockLimit, file_names, line
from runtime.cgroups.usage import BLOCK_KINDS, STATS_V1, STATS_V2, BlockCounter

STAT_V2 = b"""usage_usec 1500
user_usec 1000
system_usec 500
core_sched.force_idle_usec 0
nr_periods 7
nr_throttled 2
throttled_usec 40
"""


def test_cpu_v1() -> None:
    found = usage.cpu_v1(
        b"26773531\n",
        b"14990284 11783247 \n",
        b"user 2\nsystem 1\n",
        b"nr_periods 3\nnr_throttled 1\nthrottled_time 99\n",
    )
    assert (found.total, found.per_cpu) == (26773531, (14990284, 11783247))
    assert (found.user, found.kernel) == (20_000_000, 10_000_000)
    assert (found.periods, found.throttled_periods, found.throttled_time) == (3, 1, 99)


def test_cpu_v2_counts_microseconds() -> None:
    found = usage.cpu_v2(STAT_V2)
    assert (found.total, found.user, found.kernel) == (1_500_000, 1_000_000, 500_000)
    assert (found.periods, found.throttled_periods, found.throttled_time) == (7, 2, 40_000)
    assert found.per_cpu == ()


def test_memory_v1() -> None:
    stat = b"cache 4096\nrss 8192\nswap 5\nhierarchical_memory_limit 9223372036854771712\ntotal_rss 8192\n"
    found = usage.memory_v1(b"100\n", b"200\n", b"9223372036854771712\n", b"3\n", stat)
    assert (found.usage, found.peak, found.limit, found.failures) == (100, 200, 9223372036854771712, 3)
    assert tuple(found.stats) == STATS_V1
    assert (found.stats["cache"], found.stats["total_rss"], found.stats["total_cache"]) == (4096, 8192, 0)


def test_memory_v2() -> None:
    found = usage.memory_v2(
        b"100\n", b"max\n", b"low 0\nhigh 0\nmax 4\noom 2\noom_kill 1\n", b"anon 7\nfile 8\n"
    )
    assert (found.usage, found.peak, found.limit, found.failures) == (100, 0, usage.UNLIMITED, 2)
    assert tuple(found.stats) == STATS_V2
    assert (found.stats["anon"], found.stats["slab"]) == (7, 0)


def test_block_v1_passes_over_totals() -> None:
    found = usage.block_v1(b"8:0 Read 4096\n8:0 Write 0\n8:16 Sync 7\nTotal 4103\n", b"Total 0\n")
    assert found["io_service_bytes_recursive"] == [
        BlockCounter(8, 0, "Read", 4096),
        BlockCounter(8, 0, "Write", 0),
        BlockCounter(8, 16, "Sync", 7),
    ]
    assert found["io_serviced_recursive"] == found["sectors_recursive"] == []


def test_block_v2() -> None:
    found = usage.block_v2(b"254:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n8:0 \n")
    assert found["io_service_bytes_recursive"] == [
        BlockCounter(254, 0, "read", 10),
        BlockCounter(254, 0, "write", 20),
        BlockCounter(8, 0, "read", 0),
        BlockCounter(8, 0, "write", 0),
    ]
    assert found["io_serviced_recursive"] is None


def test_files_that_are_not_there_count_as_nothing() -> None:
    assert usage.cpu_v1(b"", b"", b"", b"").total == 0
    assert usage.memory_v2(b"", b"", b"", b"").limit == 0
    assert usage.block_v2(b"") == dict.fromkeys(BLOCK_KINDS)
    assert usage.number(b"") == 0


def test_no_limit_of_processes() -> None:
    assert usage.number(b"max\n") == 0
    assert usage.number(b"max\n", usage.UNLIMITED) == 2**64 - 1


def test_system_cpu() -> None:
    stat = (
        b"cpu  1 2 3 4 5 6 7 8 9 10\ncpu0 1 0 0 0 0 0 0 0 0 0\ncpu1 0 0 0 0 0 0 0 0 0 0\nintr 5\ncpufreq 1\n"
    )
    assert usage.system_cpu(stat) == (28 * 10_000_000, 2)


def test_lines_that_limit_block_devices() -> None:
    limit, lifted = BlockLimit("read_bps", 8, 0, 1000), BlockLimit("write_iops", 8, 0, 0)
    assert (file_names(limit, 1), line(limit, 1)) == (("blkio.throttle.read_bps_device",), "8:0 1000")
    assert (file_names(limit, 2), line(limit, 2)) == (("io.max",), "8:0 rbps=1000")
    assert line(lifted, 1) == "8:0 0"
    assert line(lifted, 2) == "8:0 wiops=max"
    weight = BlockLimit("weight", 8, 0, 0)
    assert (file_names(weight, 2), line(weight, 2)) == (("io.bfq.weight",), "8:0 default")
