"""Statistics, updates, prunes and disk usage by the docker CLI, against real containers."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.daemon import Wherryd
from tests.unix_http import UnixConnection
from tests.waiting import eventually

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("no_leftovers")]


@pytest.fixture
def box(wherryd: Wherryd) -> Iterator[str]:
    """The name of a container that runs."""
    wherryd.docker("run", "-d", "--name", "upkept", "--net", "none", "busybox", "sleep", "600")
    yield "upkept"
    wherryd.docker("rm", "-f", "upkept")


def group(wherryd: Wherryd, name: str, controller: str) -> Path:
    """The control group of a container."""
    identifier = wherryd.docker("inspect", "-f", "{{.Id}}", name).stdout.strip()
    return Path("/sys/fs/cgroup", controller, "docker", identifier)


def open_files(wherryd: Wherryd) -> set[str]:
    """What of the kernel's control groups the daemon holds open."""
    found = set()
    for entry in Path(f"/proc/{wherryd.pid}/fd").iterdir():
        try:
            target = str(entry.readlink())
        except OSError:
            continue
        if "/cgroup/" in target:
            found.add(target)
    return found


def test_stats_of_running_and_stopped_ones(wherryd: Wherryd, box: str) -> None:
    wherryd.docker("create", "--name", "idle", "busybox", "true")
    try:
        lines = wherryd.docker(
            "stats", "--no-stream", "-a", "--format", "{{.Name}} {{.MemUsage}} {{.PIDs}}"
        ).stdout
        shown = dict(line.split(" ", 1) for line in lines.splitlines())
        assert shown["idle"] == "0B / 0B 0"
        assert shown[box].endswith(" 1")
        assert not shown[box].startswith("0B")
    finally:
        wherryd.docker("rm", "idle")


def test_stats_tell_who_works(wherryd: Wherryd) -> None:
    """As much as the kernel counts: how much that is in a second, a busy host decides."""
    wherryd.docker(
        "run", "-d", "--name", "busy", "--net", "none", "busybox", "sh", "-c", "while :; do :; done"
    )
    try:
        used = group(wherryd, "busy", "cpuacct") / "cpuacct.usage"
        eventually(lambda: int(used.read_text()) > 100_000_000)
        before = int(used.read_text())
        told = wherryd.get("/containers/busy/stats?stream=0&one-shot=1").json["cpu_stats"]
        assert before <= told["cpu_usage"]["total_usage"] <= int(used.read_text())
        text = wherryd.docker("stats", "--no-stream", "--format", "{{.CPUPerc}}", "busy").stdout
        assert 0 < float(text.strip().rstrip("%")) < 130
    finally:
        wherryd.docker("rm", "-f", "busy")


def test_one_sampler_for_all_streams(wherryd: Wherryd, box: str) -> None:
    """Two clients of one container get the same samples; when both have gone, nothing is read any more."""
    eventually(lambda: not open_files(wherryd))  # of who looked before
    clients = [UnixConnection(wherryd.socket, 20) for _ in range(2)]
    for client in clients:
        client.request("GET", f"/v1.45/containers/{box}/stats")
    answers = [client.getresponse() for client in clients]
    told = [[json.loads(answer.readline())["read"] for _ in range(3)] for answer in answers]
    assert set(told[0]) & set(told[1])
    assert len(set(told[0])) == 3
    assert open_files(wherryd)
    for answer, client in zip(answers, clients, strict=True):
        answer.close()
        client.close()
    eventually(lambda: not open_files(wherryd))


def test_a_stream_goes_on_over_a_restart_and_ends_with_a_removal(wherryd: Wherryd) -> None:
    wherryd.docker("run", "-d", "--name", "watched", "--net", "none", "busybox", "sleep", "600")
    client = UnixConnection(wherryd.socket, 30)
    client.request("GET", "/v1.45/containers/watched/stats")
    answer = client.getresponse()

    def next_pids() -> int:
        return int(json.loads(answer.readline())["pids_stats"].get("current", 0))

    eventually(lambda: next_pids() == 1)
    wherryd.docker("kill", "watched")
    eventually(lambda: next_pids() == 0)
    wherryd.docker("start", "watched")
    eventually(lambda: next_pids() == 1)
    wherryd.docker("rm", "-f", "watched")
    assert all(json.loads(line) for line in answer.read().splitlines())
    client.close()
    eventually(lambda: not open_files(wherryd))


def test_update_lives_and_lasts(wherryd: Wherryd, box: str) -> None:
    """The kernel has it at once; the record has it for the next start."""
    wherryd.docker("update", "-m", "48m", "--memory-swap", "96m", "--pids-limit", "77", "--cpus", "0.5", box)
    for _ in range(2):
        assert (group(wherryd, box, "memory") / "memory.limit_in_bytes").read_text() == f"{48 << 20}\n"
        assert (group(wherryd, box, "pids") / "pids.max").read_text() == "77\n"
        assert (group(wherryd, box, "cpu") / "cpu.cfs_quota_us").read_text() == "50000\n"
        wherryd.docker("restart", "-t", "0", box)


def test_update_of_a_paused_and_of_a_stopped_container(wherryd: Wherryd, box: str) -> None:
    wherryd.docker("pause", box)
    wherryd.docker("update", "--cpu-shares", "200", box)
    assert wherryd.docker("inspect", "-f", "{{.State.Status}}", box).stdout == "paused\n"
    assert (group(wherryd, box, "cpu") / "cpu.shares").read_text() == "200\n"
    wherryd.docker("unpause", box)
    wherryd.docker("kill", box)
    wherryd.docker("update", "--cpu-shares", "300", box)
    wherryd.docker("start", box)
    assert (group(wherryd, box, "cpu") / "cpu.shares").read_text() == "300\n"


def test_restart_policy_of_a_running_container(wherryd: Wherryd) -> None:
    """It decides about the end that comes next."""
    script = "trap 'exit 3' USR1; touch /ready; while :; do sleep 0.1; done"
    wherryd.docker("run", "-d", "--name", "again", "--net", "none", "busybox", "sh", "-c", script)
    try:
        wherryd.docker("update", "--restart", "on-failure:3", "again")
        kill = "until [ -e /ready ]; do sleep 0.05; done; kill -USR1 1"
        wherryd.docker("exec", "again", "sh", "-c", kill)
        eventually(lambda: wherryd.docker("inspect", "-f", "{{.RestartCount}}", "again").stdout == "1\n")
    finally:
        wherryd.docker("rm", "-f", "again")


def block_device() -> tuple[str, str]:
    """A disk of this host as path and "major:minor"."""
    for name in sorted(Path("/sys/block").iterdir()):
        device = Path("/dev", name.name)
        if device.is_block_device() and not name.name.startswith(("ram", "loop", "zram")):
            return str(device), (name / "dev").read_text().strip()
    pytest.skip("no disk")


def test_limits_of_devices_since_155(wherryd: Wherryd, box: str) -> None:
    """runc cannot change them; null keeps them, an empty list lifts them (API history 1.55)."""
    path, device = block_device()
    file = group(wherryd, box, "blkio") / "blkio.throttle.read_bps_device"

    def update(version: str, body: dict[str, Any]) -> str:
        assert wherryd.call("POST", f"/v{version}/containers/{box}/update", body).status == 200
        return file.read_text().strip()

    limit = {"BlkioDeviceReadBps": [{"Path": path, "Rate": 1 << 20}]}
    assert update("1.54", limit) == ""
    assert update("1.55", limit) == f"{device} {1 << 20}"
    assert update("1.55", {"CpuShares": 99}) == f"{device} {1 << 20}"
    assert update("1.55", {"BlkioDeviceReadBps": []}) == ""
    refused = wherryd.call(
        "POST", f"/v1.55/containers/{box}/update", {"BlkioDeviceReadBps": [{"Path": "/nope", "Rate": 1}]}
    )
    assert refused.status == 400


def test_prune_and_df(wherryd: Wherryd, box: str) -> None:
    wherryd.docker(
        "run", "--name", "over", "--net", "none", "busybox", "sh", "-c", "head -c 5000 /dev/zero > /x"
    )
    rows = wherryd.docker(
        "system", "df", "--format", "{{.Type}}: {{.TotalCount}} {{.Active}} {{.Size}}"
    ).stdout
    assert "Containers: 2 1 5kB" in rows
    assert "Images: 1 1 " in rows
    assert "over" in wherryd.docker("system", "df", "-v").stdout
    assert "Total reclaimed space: 5kB" in wherryd.docker("container", "prune", "-f").stdout
    assert wherryd.docker("ps", "-aq", "--filter", f"name={box}").stdout
    assert (
        "Total reclaimed space: 0B" in wherryd.docker("image", "prune", "-a", "-f").stdout
    )  # busybox is in use


async def test_websocket(wherryd: Wherryd) -> None:
    """A browser's way: input to a container that starts after the attach, both outputs back."""
    script = "cat; echo err >&2; echo out"
    created = wherryd.docker(
        "create", "-i", "--name", "browser", "--net", "none", "busybox", "sh", "-c", script
    )
    assert created.stdout
    connector = aiohttp.UnixConnector(str(wherryd.socket))
    try:
        async with aiohttp.ClientSession(connector=connector) as session:
            url = "http://d/v1.45/containers/browser/attach/ws?stream=1&stdin=1&stdout=1&stderr=1"
            async with session.ws_connect(url) as socket:
                await asyncio.to_thread(wherryd.docker, "start", "browser")
                await socket.send_bytes(b"typed\n")
                assert await socket.receive_bytes(timeout=10) == b"typed\n"
            await asyncio.to_thread(wherryd.docker, "wait", "browser")
        logged = wherryd.docker("logs", "browser")
        assert (logged.stdout, logged.stderr) == ("typed\nout\n", "err\n")
    finally:
        wherryd.docker("rm", "-f", "browser")


def test_history(wherryd: Wherryd) -> None:
    lines = wherryd.docker("history", "--no-trunc", "--format", "{{.Comment}} {{.Size}}", "busybox").stdout
    assert lines.startswith("Imported from - ")
