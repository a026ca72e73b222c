"""Containers that write as fast as they can, lines without an end, and what is no text: each harms itself alone."""

import asyncio
import json
import os
import time
from pathlib import Path

import pytest

from tests.daemon import Wherryd
from tests.integration.load.crowd import Crowd, parent, rss, settles, ticks

pytestmark = pytest.mark.root

LOG = {"Type": "json-file", "Config": {"max-size": "4m", "max-file": "2"}}
KEPT = {"NetworkMode": "none", "LogConfig": LOG}
FLOODS = {
    "lines": "exec yes",
    "long": "tr '\\0' x < /dev/zero",
    "binary": "cat /dev/urandom",
    "invalid": "tr '\\0' '\\377' < /dev/zero",
    "escaped": "tr '\\0' '\\1' < /dev/zero",
}
SHIM = 8 * 1024  # KiB: a read of 64 KiB becomes six times as much where each byte is escaped
RECORD = 16384  # bytes of a line in one record


def private(pid: int) -> int:
    """Memory that is a process's alone, in KiB."""
    with open(f"/proc/{pid}/smaps_rollup") as rollup:
        return sum(int(line.split()[1]) for line in rollup if line.startswith("Private"))


async def test_floods_harm_nobody_else(wherryd: Wherryd, crowd: Crowd) -> None:
    memory = rss(wherryd.pid)
    floods = await asyncio.gather(
        *(
            crowd.run(f"flood-{kind}", Cmd=["sh", "-c", script], HostConfig=KEPT)
            for kind, script in FLOODS.items()
        )
    )
    async with crowd.listening(f"containers/{floods[0]}/logs?follow=1&stdout=1"):  # and never reads
        worked, begun = ticks(wherryd.pid), time.monotonic()
        other = await crowd.run("other", Cmd=["sh", "-c", "echo began; exec sleep 1000"])
        await settles(lambda: wherryd.get("/containers/other/logs?stdout=1").body)
        for number in range(5):
            body = {"Cmd": ["echo", str(number)], "AttachStdout": True}
            exec_id = (await crowd.done("POST", f"containers/{other}/exec", body))["Id"]
            assert await crowd.hijack(f"exec/{exec_id}/start", {}) == [(1, f"{number}\n".encode())]
            logs = await crowd.call("GET", f"containers/{other}/logs?stdout=1")
            assert logs.body == b"\x01\0\0\0\0\0\0\x06began\n"
        share = (ticks(wherryd.pid) - worked) / os.sysconf("SC_CLK_TCK") / (time.monotonic() - begun)
        assert share < 0.5, "the daemon has no part in the floods"
        assert rss(wherryd.pid) - memory < 16 * 1024
        for each in floods:
            assert private(parent((await crowd.state(each))["Pid"])) < SHIM
    await crowd.remove([*floods, other])


def records(wherryd: Wherryd, name: str) -> list[str]:
    path = Path(wherryd.get(f"/containers/{name}/json").json["LogPath"])
    with path.open() as log:
        return [json.loads(line)["log"] for line in log]


async def test_a_line_of_100_mb(wherryd: Wherryd, crowd: Crowd) -> None:
    """It becomes full records and a last one; the line after it is one of its own."""
    script = "head -c 100000000 /dev/zero | tr '\\0' x; echo; echo after"
    whole = {"Type": "json-file", "Config": {"max-size": "1p"}}
    container = await crowd.run("long", Cmd=["sh", "-c", script], HostConfig={"LogConfig": whole})
    await crowd.done("POST", f"containers/{container}/wait")
    *full, last, after = await asyncio.to_thread(records, wherryd, "long")
    assert set(full) == {"x" * RECORD}
    assert len(full) == 100_000_000 // RECORD
    assert (last, after) == ("x" * (100_000_000 % RECORD) + "\n", "after\n")
    await crowd.remove([container])


async def test_what_is_no_text(wherryd: Wherryd, crowd: Crowd) -> None:
    """One U+FFFD for each byte that is none; whole characters stay, also where a read cuts them in two."""
    script = "printf 'a\\377\\376b\\n'; for i in $(seq 30000); do printf 'aé\\n'; done | cat; printf '\\303'"
    container = await crowd.run("none", Cmd=["sh", "-c", script])
    await crowd.done("POST", f"containers/{container}/wait")
    found = await asyncio.to_thread(records, wherryd, "none")
    assert found == ["a\ufffd\ufffdb\n", *["aé\n"] * 30000, "\ufffd"]
    await crowd.remove([container])


async def test_a_flood_can_be_stopped_at_once(wherryd: Wherryd, crowd: Crowd) -> None:
    """And all that it wrote is there: what it had written before it was killed."""
    container = await crowd.run(
        "flood", Cmd=["sh", "-c", "n=0; while :; do n=$((n+1)); echo $n; done"], HostConfig=KEPT
    )
    follower = asyncio.get_running_loop().create_task(
        crowd.call("GET", f"containers/{container}/logs?stdout=1&follow=1")
    )
    await settles(
        lambda: Path(wherryd.get("/containers/flood/json").json["LogPath"]).stat().st_size > 1 << 20
    )
    await crowd.done("POST", f"containers/{container}/kill")
    body = (await follower).body
    frames = [frame[4:] for frame in body.split(b"\x01\0\0\0")[1:]]
    numbers = [int(frame) for frame in frames]
    assert numbers == list(range(1, len(numbers) + 1))
    await crowd.remove([container])
