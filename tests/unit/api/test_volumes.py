"""The routes of volumes: what is asked of the engine, and what clients are shown."""

from engine.volumes.prune import Pruned, Usage
from tests.unit.api.conftest import Served
from volumes.volume import Volume

SHOWN = {
    "CreatedAt": "2023-11-14T22:13:20Z",
    "Driver": "local",
    "Labels": {"a": "b"},
    "Mountpoint": "/data/volumes/v1/_data",
    "Name": "v1",
    "Options": None,
    "Scope": "local",
}


async def test_create(served: Served) -> None:
    body = {"Name": "v1", "Driver": "local", "DriverOpts": {"x": "y"}, "Labels": {"a": "b"}}
    assert await served.ask("POST", "/volumes/create", json=body) == (201, SHOWN)
    assert served.engine.volumes.asked == [("create", "v1", "local", {"x": "y"}, {"a": "b"})]
    status, shown = await served.ask("POST", "/volumes/create", json={})
    assert (status, shown["Name"], shown["Labels"]) == (201, "given", None)


async def test_cluster_volumes_need_a_swarm(served: Served) -> None:
    body = {"Name": "v1", "ClusterVolumeSpec": {}}
    assert (await served.ask("POST", "/v1.42/volumes/create", json=body))[0] == 503
    assert (await served.ask("POST", "/v1.41/volumes/create", json=body))[0] == 201
    assert (await served.ask("PUT", "/volumes/v1", json={}))[0] == 503


async def test_list_inspect_and_remove(served: Served) -> None:
    await served.ask("POST", "/volumes/create", json={"Name": "v1", "Labels": {"a": "b"}})
    assert await served.ask("GET", "/volumes") == (200, {"Volumes": [SHOWN], "Warnings": None})
    assert await served.ask("GET", "/volumes/v1") == (200, SHOWN)
    assert await served.ask("DELETE", "/volumes/v1") == (204, "")
    assert await served.ask("DELETE", "/volumes/v1") == (404, {"message": "get v1: no such volume"})
    assert await served.ask("DELETE", "/volumes/v1?force=1") == (204, "")
    said = (400, {"message": "error reading volume filters: invalid filter"})
    assert await served.ask("GET", "/volumes?filters=x") == said


async def test_prune_takes_named_volumes_before_1_42(served: Served) -> None:
    served.engine.volume_prune.pruned = Pruned(["v1"], 7)
    expected = {"VolumesDeleted": ["v1"], "SpaceReclaimed": 7}
    for version in ("1.41", "1.42"):
        assert await served.ask("POST", f"/v{version}/volumes/prune") == (200, expected)
    assert served.engine.volume_prune.asked == [([], True), ([], False)]


async def test_disk_usage(served: Served) -> None:
    volume = Volume(name="v1", created=1_700_000_000_000_000_000, labels={"a": "b"})
    served.engine.volume_prune.used = [Usage(volume, 5, 2)]
    _, shown = await served.ask("GET", "/v1.45/system/df?type=volume")
    assert shown["Volumes"] == [{**SHOWN, "UsageData": {"RefCount": 2, "Size": 5}}]
