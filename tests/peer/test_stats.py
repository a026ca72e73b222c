"""Statistics: the same shapes, and numbers of the same things, as a real dockerd's."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.peer.peer import Both, shape
from tests.unix_http import UnixConnection, call

pytestmark = pytest.mark.root

KINDS = {"peer-none": "none", "peer-bridge": "bridge", "peer-host": "host"}
# One sample alone: dockerd 26 forgets to say whose it is, later ones say it (moby, daemon/stats_unix.go).
SAID_SINCE_28 = {"id", "name"}


@pytest.fixture(scope="module")
def running(peer_wherryd: Any, peer: Any) -> Iterator[Both]:
    """A container of each kind of network on both sides, and one that never ran."""
    both = Both(peer_wherryd, peer)
    for side in (both.wherryd, both.peer):
        for name, network in KINDS.items():
            side.docker(
                "run", "-d", "--name", name, "--net", network, "--memory", "64m", "busybox", "sleep", "600"
            )
        side.docker("create", "--name", "peer-idle", "busybox", "true")
    yield both
    for side in (both.wherryd, both.peer):
        side.docker("rm", "-f", *KINDS, "peer-idle")


def bodies(both: Both, path: str) -> tuple[Any, Any]:
    """Both bodies as they are, but for what was read from disks: that is up to what the page cache still has."""
    ours, theirs = (call(side.socket, "GET", path).json for side in (both.wherryd, both.peer))
    for said in (ours, theirs):
        blocks = said.get("blkio_stats") or {}
        blocks.update({name: [] for name, entries in blocks.items() if entries})
    return ours, theirs


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("version", ["1.24", "1.40", "1.43", "1.45"])
def test_two_samples(running: Both, name: str, version: str) -> None:
    ours, theirs = bodies(running, f"/v{version}/containers/{name}/stats?stream=0")
    assert shape(ours) == shape(theirs)
    assert ours["name"] == theirs["name"] == f"/{name}"
    assert ours["memory_stats"]["limit"] == theirs["memory_stats"]["limit"] == 64 << 20
    assert ours["pids_stats"] == theirs["pids_stats"] == {"current": 1}
    assert ours["cpu_stats"]["online_cpus"] == theirs["cpu_stats"]["online_cpus"]
    for said in (ours, theirs):
        assert said["preread"] < said["read"]
        passed = said["cpu_stats"]["system_cpu_usage"] - said["precpu_stats"]["system_cpu_usage"]
        assert 0.5e9 < passed / said["cpu_stats"]["online_cpus"] < 5e9


@pytest.mark.parametrize("name", KINDS)
def test_one_sample(running: Both, name: str) -> None:
    ours, theirs = bodies(running, f"/v1.45/containers/{name}/stats?stream=false&one-shot=true")
    assert ours.keys() - theirs.keys() == SAID_SINCE_28
    assert {key: shape(value) for key, value in ours.items() if key in theirs} == shape(theirs)
    assert ours["preread"] == theirs["preread"] == "0001-01-01T00:00:00Z"


@pytest.mark.parametrize("name", ["peer-bridge", "peer-idle", "peer-absent"])
def test_one_sample_is_no_stream(running: Both, name: str) -> None:
    ours, theirs = bodies(running, f"/v1.41/containers/{name}/stats?one-shot=true")
    assert ours == theirs


def test_numbers_are_of_the_same_things(running: Both) -> None:
    """The same work on both sides: memory and CPU time within bounds of each other."""
    script = "dd if=/dev/zero of=/dev/shm/x bs=1M count=16 2>/dev/null; i=0; "
    script += "while [ $i -lt 200000 ]; do i=$((i+1)); done"
    for side in (running.wherryd, running.peer):
        side.docker("exec", "peer-none", "sh", "-c", script)
    ours, theirs = bodies(running, "/v1.45/containers/peer-none/stats?stream=0")
    for said in (ours, theirs):
        assert 16 << 20 < said["memory_stats"]["usage"] < 32 << 20
        used = said["cpu_stats"]["cpu_usage"]
        assert used["total_usage"] == sum(used["percpu_usage"])
    assert (
        0.3
        < ours["cpu_stats"]["cpu_usage"]["total_usage"] / theirs["cpu_stats"]["cpu_usage"]["total_usage"]
        < 3
    )


@pytest.mark.parametrize("name", ["peer-bridge", "peer-idle"])
def test_stream(running: Both, name: str) -> None:
    """The first message has nothing to compare with, the second has the first."""
    told = []
    for side in (running.wherryd, running.peer):
        connection = UnixConnection(side.socket, 20)
        connection.request("GET", f"/v1.45/containers/{name}/stats")
        answer = connection.getresponse()
        told.append([json.loads(answer.readline()) for _ in range(3)])
        connection.close()
    ours, theirs = told
    assert shape(ours[:1]) == shape(theirs[:1])
    assert shape(ours[1:]) == shape(theirs[1:])
    for messages in told:
        assert messages[1]["preread"] == messages[0]["read"]
        assert messages[2]["precpu_stats"] == messages[1]["cpu_stats"]
