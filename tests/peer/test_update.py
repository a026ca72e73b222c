"""Updates: the same texts, the same record and the same limits in the kernel as by a real dockerd."""

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.peer.comparison import JSON, same
from tests.peer.peer import Both
from tests.unix_http import call

pytestmark = pytest.mark.root

RESOURCES = (
    "Memory", "MemorySwap", "MemoryReservation", "NanoCpus", "CpuShares", "CpuPeriod", "CpuQuota", "CpusetCpus",
    "CpusetMems", "PidsLimit", "BlkioWeight", "RestartPolicy",
)  # fmt: skip
FILES = (
    "memory/memory.limit_in_bytes", "memory/memory.memsw.limit_in_bytes", "memory/memory.soft_limit_in_bytes",
    "cpu/cpu.shares", "cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us", "cpuset/cpuset.cpus", "pids/pids.max",
)  # fmt: skip


@pytest.fixture
def box(both: Both) -> Iterator[str]:
    """A running container on both sides."""
    for side in (both.wherryd, both.peer):
        side.docker("run", "-d", "--name", "peer-updated", "--net", "none", "busybox", "sleep", "600")
    yield "peer-updated"
    for side in (both.wherryd, both.peer):
        side.docker("rm", "-f", "peer-updated")


def facts(both: Both, name: str) -> list[tuple[dict[str, Any], dict[str, str]]]:
    """Of both sides: the resources as inspect shows them, and as the kernel has them."""
    found = []
    for side in (both.wherryd, both.peer):
        shown = call(side.socket, "GET", f"/v1.45/containers/{name}/json").json
        group = Path("docker", shown["Id"])
        kernel = {
            file: (Path("/sys/fs/cgroup") / Path(file).parent / group / Path(file).name).read_text()
            for file in FILES
        }
        found.append(({key: shown["HostConfig"][key] for key in RESOURCES}, kernel))
    return found


GOOD: list[dict[str, Any]] = [
    {},
    {"Memory": 50_000_000, "MemorySwap": 100_000_000},
    {"Memory": 50_000_000, "MemorySwap": -1},
    {"MemoryReservation": 20_000_000},
    {"CpuShares": 512},
    {"NanoCpus": 500_000_000},
    {"CpuPeriod": 50_000, "CpuQuota": 25_000},
    {"CpusetCpus": "0"},
    {"PidsLimit": 50},
    {"PidsLimit": 0},
    {"PidsLimit": -7},
    {"PidsLimit": None},
    {"BlkioWeight": 300},
    {"OomKillDisable": True},
    {"CpuPercent": 5},
    {"KernelMemory": 1},
    {"Ulimits": [{"Name": "x"}], "Devices": [{"PathOnHost": "/nope"}]},
    {"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 4}},
    {"RestartPolicy": {"MaximumRetryCount": 3}},
    {"RestartPolicy": {"Name": "always"}},
    {"RestartPolicy": {"Name": ""}},
    {"BlkioDeviceReadBps": [{"Path": "/nope", "Rate": 5}]},
]


@pytest.mark.parametrize("body", GOOD, ids=json.dumps)
def test_what_can_be(both: Both, box: str, body: dict[str, Any]) -> None:
    if (
        "BlkioDeviceReadBps" in body
    ):  # told to the newest versions only; dockerd 26 looks at it in all of them
        assert both.wherryd.call("POST", f"/v1.45/containers/{box}/update", body).status == 200
        return
    same(both, "POST", f"/containers/{box}/update", body)
    (record, kernel), (their_record, their_kernel) = facts(both, box)
    assert record == their_record
    if body.get("MemorySwap") == -1:  # dockerd 26 leaves the limit of both where it was
        kernel.pop("memory/memory.memsw.limit_in_bytes")
        their_kernel.pop("memory/memory.memsw.limit_in_bytes")
    assert kernel == their_kernel


BAD: list[bytes] = [
    b"{",
    b'{"Memory":1}',
    b'{"Memory":-1}',
    b'{"Memory":50000000}',
    b'{"Memory":50000000,"MemorySwap":20000000}',
    b'{"MemoryReservation":1}',
    b'{"Memory":10000000,"MemorySwap":20000000,"MemoryReservation":15000000}',
    b'{"MemorySwappiness":200}',
    b'{"NanoCpus":-1}',
    b'{"NanoCpus":900000000000}',
    b'{"NanoCpus":1,"CpuPeriod":1000}',
    b'{"NanoCpus":1,"CpuQuota":1000}',
    b'{"CpuQuota":5}',
    b'{"CpuPeriod":5}',
    b'{"CpusetCpus":"99"}',
    b'{"CpusetCpus":"a"}',
    b'{"CpusetMems":"9"}',
    b'{"IOMaximumIOps":5}',
    b'{"RestartPolicy":{"Name":"nope"}}',
    b'{"RestartPolicy":{"Name":"always","MaximumRetryCount":3}}',
    b'{"RestartPolicy":{"Name":"on-failure","MaximumRetryCount":-3}}',
]


@pytest.mark.parametrize("body", BAD, ids=bytes.decode)
def test_what_cannot_be(both: Both, box: str, body: bytes) -> None:
    before = facts(both, box)
    same(both, "POST", f"/containers/{box}/update", body, headers=JSON)
    assert facts(both, box) == before


def test_what_the_runtime_refuses(both: Both, box: str) -> None:
    """The text is the runtime's; dockerd 26 has a line end in the middle of it."""
    before = facts(both, box)
    ours, theirs = both("POST", f"/containers/{box}/update", {"MemorySwap": 100_000_000})
    assert ours.status == theirs.status == 500
    assert ours.body["message"] == theirs.body["message"].replace("\n", "")
    assert facts(both, box) == before


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ({"NanoCpus": 500_000_000}, {"CpuQuota": 50_000}),
        ({"NanoCpus": 500_000_000}, {"CpuPeriod": 50_000}),
        ({"CpuPeriod": 50_000}, {"NanoCpus": 500_000_000}),
        ({"CpuQuota": 50_000}, {"NanoCpus": 500_000_000}),
        ({"Memory": 50_000_000, "MemorySwap": 60_000_000}, {"Memory": 70_000_000}),
    ],
)
def test_conflicts_with_what_was_set(
    both: Both, box: str, first: dict[str, Any], then: dict[str, Any]
) -> None:
    for body in (first, then):
        same(both, "POST", f"/containers/{box}/update", body)


@pytest.mark.parametrize("version", ["1.24", "1.40", "1.45"])
def test_versions(both: Both, box: str, version: str) -> None:
    """Before 1.40 there is no limit of processes to update."""
    same(both, "POST", f"/containers/{box}/update", {"PidsLimit": 33}, version=version)
    assert facts(both, box)[0] == facts(both, box)[1]


def test_requests_that_are_wrong(both: Both, box: str) -> None:
    for path, body, headers in (
        ("/containers/nope/update", b"{}", {"Content-Type": "application/json"}),
        (f"/containers/{box}/update", b"{}", {"Content-Type": "text/plain"}),
        (f"/containers/{box}/update", b"", {}),
        (f"/containers/{box}/update", b"null", {"Content-Type": "application/json"}),
    ):
        same(both, "POST", path, body, headers=headers)


def test_auto_remove_and_a_stopped_container(both: Both) -> None:
    for side in (both.wherryd, both.peer):
        side.docker("create", "--name", "peer-stopped", "--rm", "busybox", "true")
    try:
        for body in (
            {"RestartPolicy": {"Name": "always"}},
            {"CpuShares": 100},
            {"RestartPolicy": {"Name": "no"}},
        ):
            same(both, "POST", "/containers/peer-stopped/update", body)
    finally:
        for side in (both.wherryd, both.peer):
            side.docker("rm", "-f", "peer-stopped")


def test_cli(both: Both, box: str) -> None:
    """The CLI says the same, and the event is the same."""
    told: list[subprocess.CompletedProcess[Any]] = [
        side.docker("update", "--cpu-shares", "300", "--restart", "no", box)
        for side in (both.wherryd, both.peer)
    ]
    assert told[0].stdout == str(told[1].stdout, "utf-8") == f"{box}\n"
    events = []
    for side in (both.wherryd, both.peer):
        filters = '{"container":["peer-updated"],"event":["update"]}'
        answer = call(
            side.socket, "GET", f"/v1.45/events?since=1&until={int(time.time()) + 1}&filters={filters}"
        )
        events.append([json.loads(line)["Actor"]["Attributes"] for line in answer.body.splitlines()][-1])
    assert events[0] == events[1] == {"image": "busybox", "name": "peer-updated"}
