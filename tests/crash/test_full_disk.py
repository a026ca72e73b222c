"""Disks that fill up, and logs that vanish: clear errors, a daemon that answers, removals that work, nothing torn."""

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.crash.small_disk import SmallDisk, small_disks
from tests.daemon import Wherryd
from tests.waiting import eventually

pytestmark = pytest.mark.root

COUNT = (
    "n=0; while [ $n -lt 3000 ]; do n=$((n+1)); echo line-$n-0123456789012345678901234567890123456789; done"
)


@pytest.fixture(scope="module", params=["tmpfs", "ext4"])
def mortal(busybox_tar: Path, request: pytest.FixtureRequest) -> Iterator[SmallDisk]:
    yield from small_disks(busybox_tar, request.param, 32)


def log_path(mortal: Wherryd, name: str) -> Path:
    return Path(mortal.get(f"/containers/{name}/json").json["LogPath"])


def refused_for_want_of_room(
    mortal: SmallDisk, method: str, target: str, body: dict[str, Any] | None
) -> None:
    mortal.fill()
    answer = mortal.call(method, target, body)
    assert answer.status == 500, answer.body
    assert "no space left on device" in answer.json["message"].lower()


def test_everything_on_a_full_disk(mortal: SmallDisk) -> None:
    """What fails says why; what ends, ends; what removes, makes room."""
    for name in ("ends", "runs", "goes"):
        mortal.docker("run", "-d", "--name", name, "busybox", "sh", "-c", "read x </dev/null; sleep 1000")
    mortal.docker("create", "--name", "idle", "busybox", "true")
    refused_for_want_of_room(mortal, "POST", "/containers/create?name=new", {"Image": "busybox"})
    refused_for_want_of_room(mortal, "POST", "/containers/runs/rename?name=else", None)
    refused_for_want_of_room(mortal, "POST", "/containers/idle/start", None)
    assert mortal.get("/containers/new/json").status == 404
    assert mortal.get("/info").status == 200
    assert mortal.call("POST", "/containers/ends/kill").status == 204
    eventually(lambda: mortal.state("ends")["Status"] == "exited")
    assert mortal.state("ends")["ExitCode"] == 137
    assert mortal.call("POST", "/containers/runs/pause").status == 204
    assert mortal.call("POST", "/containers/runs/unpause").status == 204
    for name in ("goes", "idle", "ends"):
        mortal.fill()
        removed = mortal.call("DELETE", f"/containers/{name}?force=1")
        assert removed.status == 204, removed.body
    assert mortal.state("runs")["Running"]
    mortal.free()
    assert mortal.docker("run", "--rm", "busybox", "echo", "fine").stdout == "fine\n"
    mortal.restart()
    assert mortal.state("runs")["Running"]
    mortal.docker("rm", "-f", "runs")
    whole(mortal)


def whole(mortal: Wherryd) -> None:
    """The database is; nothing is stored for containers that are not."""
    with closing(sqlite3.connect(mortal.data_root / "state.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert os.listdir(mortal.data_root / "containers") == []
    for place in ("snapshots/active", "snapshots/tmp", "content/ingests"):
        assert os.listdir(mortal.data_root / place) == []


@pytest.mark.parametrize("end", ["terminate", "kill9"])
def test_a_daemon_that_starts_on_a_full_disk(mortal: SmallDisk, end: str) -> None:
    """It serves what is there, and lets it be removed; the image too."""
    mortal.docker("run", "-d", "--name", "runs", "busybox", "sleep", "1000")
    mortal.docker("create", "--name", "idle", "busybox", "true")
    mortal.docker("volume", "create", "data")
    mortal.docker("tag", "busybox", "busybox:again")
    mortal.fill()
    getattr(mortal, end)()
    mortal.fill()
    mortal.start()
    assert mortal.state("runs")["Running"]
    for target in ("/containers/runs?force=1", "/containers/idle", "/volumes/data", "/images/busybox:again"):
        mortal.fill()
        removed = mortal.call("DELETE", target)
        assert removed.status in (200, 204), removed.body
    mortal.restart()
    assert mortal.get("/containers/json?all=1").json == []
    mortal.free()
    assert mortal.docker("run", "--rm", "busybox", "echo", "fine").stdout == "fine\n"
    whole(mortal)


def test_removals_while_somebody_takes_every_byte(mortal: SmallDisk) -> None:
    """A log that grows without end takes what a removal gives back before the removal is recorded."""
    for number in range(12):
        mortal.docker("create", "--name", f"idle{number}", "busybox", "true")
    mortal.docker("run", "-d", "--name", "loud", "busybox", "sh", "-c", "exec yes")
    eventually(lambda: os.statvfs(mortal.data_root).f_bavail < 16)
    for number in range(12):
        removed = mortal.call("DELETE", f"/containers/idle{number}")
        assert removed.status == 204, removed.body
    assert mortal.state("loud")["Running"]
    assert mortal.call("DELETE", "/containers/loud?force=1").status == 204
    assert mortal.docker("run", "--rm", "busybox", "echo", "fine").stdout == "fine\n"
    whole(mortal)


def test_an_end_that_could_not_be_stored_is_known_to_the_next_daemon(mortal: SmallDisk) -> None:
    mortal.docker(
        "run", "-d", "--name", "ends", "busybox", "sh", "-c", "while [ ! -e /go ]; do sleep 0.1; done; exit 9"
    )
    # No new file is needed for the signal: the directory entry of an empty file costs no page.
    mortal.docker("exec", "ends", "sh", "-c", "(sleep 1.5; touch /go) >/dev/null 2>&1 &")
    mortal.fill()
    eventually(lambda: mortal.state("ends")["Status"] == "exited")
    mortal.kill9()
    mortal.free()
    mortal.start()
    assert (mortal.state("ends")["Status"], mortal.state("ends")["ExitCode"]) == ("exited", 9)
    mortal.docker("rm", "ends")


def test_a_log_that_finds_no_room(mortal: SmallDisk) -> None:
    """The container goes on; what is kept are whole records; when there is room again, it is logged again."""
    wait = "until [ -e /dev/shm/{} ]; do sleep 0.1; done"
    script = f"{wait.format('go')}; {COUNT}; touch /dev/shm/said; {wait.format('more')}; echo last; exit 3"
    mortal.docker("run", "-d", "--name", "loud", "busybox", "sh", "-c", script)
    shm = Path(f"/proc/{mortal.state('loud')['Pid']}/root/dev/shm")
    mortal.fill()
    (shm / "go").touch()
    eventually((shm / "said").exists)  # all but what a pipe holds was taken from it, and there was no room
    mortal.free()
    (shm / "more").touch()
    assert mortal.docker("wait", "loud").stdout == "3\n"
    records = [json.loads(line) for line in log_path(mortal, "loud").read_text().splitlines()]
    assert len(records) < 3000, "the disk was full"
    assert records[-1]["log"] == "last\n"
    assert mortal.docker("logs", "--tail", "1", "loud").stdout == "last\n"
    mortal.docker("rm", "loud")


def test_a_log_that_is_deleted_or_truncated(mortal: SmallDisk) -> None:
    loop = "n=0; while :; do n=$((n+1)); echo $n; sleep 0.05; done"
    mortal.docker("run", "-d", "--name", "loud", "busybox", "sh", "-c", loop)
    path = log_path(mortal, "loud")
    eventually(lambda: path.stat().st_size > 200)
    os.truncate(path, 0)
    eventually(lambda: path.stat().st_size > 200)
    assert all(json.loads(line) for line in path.read_text().splitlines())
    assert mortal.docker("logs", "--tail", "1", "loud").stdout.strip().isdigit()
    path.unlink()
    assert mortal.get("/containers/loud/logs?stdout=1").status == 200
    assert mortal.state("loud")["Running"]
    mortal.docker("restart", "-t", "0", "loud")
    eventually(lambda: path.exists() and path.stat().st_size > 200)
    mortal.docker("rm", "-f", "loud")


def test_images_on_a_full_disk(mortal: SmallDisk, busybox_tar: Path) -> None:
    mortal.fill()
    done = mortal.docker("import", str(busybox_tar), "more:1", check=False)
    assert done.returncode == 1
    assert "no space left" in done.stderr.lower()
    assert mortal.docker("images", "-q").stdout.count("\n") == 1
    mortal.free()
    mortal.docker("import", str(busybox_tar), "more:1")
    mortal.fill()
    assert mortal.call("DELETE", "/images/more:1").status == 200
    mortal.free()
    assert mortal.docker("images", "-q").stdout.count("\n") == 1


def test_volumes_on_a_full_disk(mortal: SmallDisk) -> None:
    """What cannot be made or filled leaves nothing; what is removed makes room."""
    mortal.docker(
        "run", "--name", "fat", "-v", "fat:/f", "busybox", "sh", "-c", "head -c 100000 /dev/zero > /f/x"
    )
    mortal.docker("rm", "fat")
    mortal.fill()
    failed = mortal.docker("volume", "create", "new", check=False)
    assert "no space left on device" in failed.stderr.lower()
    mortal.docker("volume", "rm", "fat")
    names = mortal.docker("volume", "ls", "-q").stdout.split()
    assert "fat" not in names
    filling = mortal.docker("create", "-v", "filled:/bin", "busybox", "true", check=False)
    assert filling.returncode != 0
    mortal.free()
    mortal.restart()
    assert mortal.docker("volume", "ls", "-q").stdout == ""
    assert os.listdir(mortal.data_root / "volumes") == []
    mortal.docker("create", "--name", "now", "-v", "filled:/bin", "busybox", "true")
    mortal.docker("rm", "now")
    mortal.docker("volume", "rm", "filled")
