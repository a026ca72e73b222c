"""Statistics, updates, prunes, disk usage and the registry's address, by API version."""

from typing import Any

import pytest
from msgspec.structs import replace

from api.schema import disk_usage
from api.schema import stats as stats_schema
from api.schema import update as update_schema
from api.versions import Version
from engine.build import cache_filters
from engine.build.cache_prune import Pruned, Wanted
from engine.build.solver.records import Record
from engine.containers import prune as containers
from engine.containers.stats import Sample
from engine.images import prune as images
from engine.images.remove import Removed
from network.counters import Counters
from runtime.cgroups.usage import UNLIMITED, BlockCounter, CpuUsage, MemoryUsage, Usage, block_v2
from tests.unit.api.conftest import Served
from tests.unit.api.samples import ID

SECOND = 1_000_000_000
COUNTERS = Counters(
    rx_bytes=1, rx_packets=2, rx_errors=3, rx_dropped=4, tx_bytes=5, tx_packets=6, tx_errors=7, tx_dropped=8
)
# As on cgroup v2: no list of CPUs, no peak, no limit.
SAMPLE = Sample(
    id=ID,
    name="box",
    read_at=1_700_000_000 * SECOND,
    usage=Usage(
        cpu=CpuUsage(total=30, kernel=10, user=20),
        memory=MemoryUsage(usage=7, limit=UNLIMITED, stats={"anon": 7}),
        block=block_v2(b"8:0 rbytes=1 wbytes=2\n"),
        pids=3,
        pids_limit=UNLIMITED,
    ),
    interfaces={"eth0": COUNTERS},
    system_cpu=1000,
    online_cpus=2,
    machine_memory=4096,
)


def test_a_sample_of_cgroup_v2() -> None:
    shown = stats_schema.stats(SAMPLE, None, Version("1.45"))
    assert shown["memory_stats"] == {"usage": 7, "limit": 4096, "stats": {"anon": 7}}
    assert shown["pids_stats"] == {"current": 3, "limit": 2**64 - 1}
    assert "percpu_usage" not in shown["cpu_stats"]["cpu_usage"]
    assert shown["blkio_stats"]["io_service_bytes_recursive"] == [
        {"major": 8, "minor": 0, "op": "read", "value": 1},
        {"major": 8, "minor": 0, "op": "write", "value": 2},
    ]
    assert shown["blkio_stats"]["sectors_recursive"] is None
    assert shown["networks"]["eth0"]["tx_dropped"] == 8
    assert shown["preread"] == "0001-01-01T00:00:00Z"
    assert "system_cpu_usage" not in shown["precpu_stats"]


def test_the_sample_before_is_told_with_it() -> None:
    later = replace(SAMPLE, read_at=SAMPLE.read_at + SECOND, system_cpu=3000)
    shown = stats_schema.stats(later, SAMPLE, Version("1.45"))
    assert shown["precpu_stats"] == stats_schema.stats(SAMPLE, None, Version("1.45"))["cpu_stats"]
    assert shown["preread"] == "2023-11-14T22:13:20Z"


@pytest.mark.parametrize(("version", "told"), [("1.51", None), ("1.52", "linux")])
def test_the_system_is_told_since_152(version: str, told: str | None) -> None:
    """API history 1.52: `GET /containers/{id}/stats` has `os_type`."""
    assert stats_schema.stats(SAMPLE, None, Version(version)).get("os_type") == told


async def test_a_stream_ends_with_its_container(served: Served) -> None:
    served.engine.stats.samples = [SAMPLE, replace(SAMPLE, read_at=SAMPLE.read_at + SECOND)]
    answer = await served.raw(
        b"GET /v1.45/containers/box/stats HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n"
    )
    assert answer.count(b'"name":"/box"') == 2
    assert served.engine.stats.watched == 0


async def test_two_samples_or_one(served: Served) -> None:
    served.engine.stats.samples = [SAMPLE, replace(SAMPLE, read_at=SAMPLE.read_at + SECOND)]
    for version, compared in (("1.41", False), ("1.40", True)):  # no one-shot before 1.41
        path = f"/v{version}/containers/box/stats?stream=0&one-shot=1"
        status, body = await served.ask("GET", path)
        assert status == 200
        assert (body["preread"] != "0001-01-01T00:00:00Z") is compared


async def test_one_sample_is_no_stream(served: Served) -> None:
    status, body = await served.ask("GET", "/v1.41/containers/box/stats?one-shot=1")
    assert (status, body["message"]) == (400, "cannot have stream=true and one-shot=true")


@pytest.mark.parametrize(
    ("version", "pids", "lists"),
    [("1.39", None, None), ("1.40", 0, None), ("1.54", 0, None), ("1.55", 0, [])],
)
def test_what_versions_update(version: str, pids: int | None, lists: list[Any] | None) -> None:
    """Processes since 1.40, lists of block devices since 1.55 (moby, router/container/container_routes.go)."""
    asked = update_schema.parse(b'{"PidsLimit": -3, "BlkioDeviceReadBps": []}', Version(version))
    assert asked.pids_limit == pids
    assert asked.blkio_device_read_bps == lists


async def test_update_answers_null_for_no_warnings(served: Served) -> None:
    assert await served.ask("POST", "/containers/box/update", json={"CpuShares": 5}) == (
        200,
        {"Warnings": None},
    )
    served.engine.updates.warnings = ["slow"]
    assert await served.ask("POST", "/containers/box/update", json={}) == (200, {"Warnings": ["slow"]})
    assert [asked.cpu_shares for asked in served.engine.updates.asked] == [5, 0]


async def test_prunes(served: Served) -> None:
    served.engine.container_prune.pruned = containers.Pruned(ids=[ID], reclaimed=7)
    assert await served.ask("POST", "/containers/prune") == (
        200,
        {"ContainersDeleted": [ID], "SpaceReclaimed": 7},
    )
    served.engine.image_prune.pruned = images.Pruned(removed=[Removed(untagged="a:1"), Removed(deleted="x")])
    status, body = await served.ask("POST", "/images/prune")
    assert status == 200
    assert body == {"ImagesDeleted": [{"Untagged": "a:1"}, {"Deleted": "x"}], "SpaceReclaimed": 0}
    served.engine.network_prune.pruned = ["n"]
    assert await served.ask("POST", "/networks/prune") == (200, {"NetworksDeleted": ["n"]})
    served.engine.build_cache.pruned = Pruned([cached("b", size=3), cached("c", size=9, shared=True)])
    status, body = await served.ask("POST", "/build/prune?all=1&keep-storage=5")
    assert (status, body) == (200, {"CachesDeleted": ["b", "c"], "SpaceReclaimed": 3})
    assert served.engine.build_cache.wanted == [Wanted(all=True, reserved=5)]


@pytest.mark.parametrize(("version", "counts"), [("1.47", False), ("1.48", True)])
async def test_sizes_of_a_build_prune(served: Served, version: str, counts: bool) -> None:
    """Since 1.48 there are several (moby, router/build)."""
    for size in ("reserved-space", "max-used-space", "min-free-space"):
        status, body = await served.ask("POST", f"/v{version}/build/prune?{size}=x")
        assert status == (400 if counts else 200)
        if counts:
            text = (
                f'{size} is in bytes and expects an integer, got x: strconv.Atoi: parsing "x": invalid syntax'
            )
            assert body == {"message": text}
    assert (await served.ask("POST", f"/v{version}/build/prune?keep-storage=x"))[0] == 400


def test_disk_usage_of_volumes() -> None:
    """A size of -1 is not known, and counts for nothing (moby, daemon/disk_usage.go)."""
    shown = [{"UsageData": {"Size": size, "RefCount": count}} for size, count in ((5, 1), (7, 0), (-1, 0))]
    usage = disk_usage.volumes(shown)
    assert (usage.size, usage.reclaimable, usage.active) == (12, 7, 2)


def cached(name: str, *, size: int, shared: bool = False, in_use: bool = False) -> cache_filters.Usage:
    """A record of the build cache."""
    second = 10**9
    record = Record(id=name, parent="p", description="RUN x", created=second, used=2 * second, uses=4)
    return cache_filters.Usage(
        record=record, in_use=in_use, shared=shared, size=size, own=0 if shared else size
    )


def test_disk_usage_of_builds() -> None:
    """What images have as well counts there (moby, builder-next); parents have had two names."""
    usages = [cached("a", size=5, in_use=True), cached("b", size=7), cached("c", size=9, shared=True)]
    usage = disk_usage.build_cache(usages, Version("1.42"))
    assert (usage.size, usage.reclaimable, usage.active) == (12, 7, 1)
    assert usage.items[1] == {
        "ID": "b", "Parents": ["p"], "Type": "regular", "Description": "RUN x", "InUse": False, "Shared": False,
        "Size": 7, "CreatedAt": "1970-01-01T00:00:01Z", "LastUsedAt": "1970-01-01T00:00:02Z", "UsageCount": 4,
    }  # fmt: skip
    old = {"build-cache": disk_usage.build_cache(usages, Version("1.41"))}
    assert old["build-cache"].items[0]["Parent"] == "p"
    assert disk_usage.answer(old, Version("1.41"), verbose=False)["BuilderSize"] == 21
    assert "BuilderSize" not in disk_usage.answer(old, Version("1.42"), verbose=False)


def test_disk_usage_by_version() -> None:
    found = {"volume": disk_usage.volumes([])}
    assert disk_usage.answer(found, Version("1.51"), verbose=True) == {
        "LayersSize": 0, "Images": None, "Containers": None, "Volumes": [], "BuildCache": None,
    }  # fmt: skip
    assert disk_usage.answer(found, Version("1.52"), verbose=False) == {"Volumes": [], "VolumeUsage": {}}
    assert disk_usage.answer(found, Version("1.52"), verbose=True) == {"VolumeUsage": {}}


def test_counters_of_v1_are_shown_as_they_are() -> None:
    assert SAMPLE.usage is not None
    block = {"io_service_bytes_recursive": [BlockCounter(8, 0, "Read", 1)], "sectors_recursive": []}
    sample = replace(SAMPLE, usage=replace(SAMPLE.usage, block=block))
    shown = stats_schema.stats(sample, None, Version("1.45"))["blkio_stats"]
    assert shown["io_service_bytes_recursive"] == [{"major": 8, "minor": 0, "op": "Read", "value": 1}]
    assert shown["sectors_recursive"] == []
