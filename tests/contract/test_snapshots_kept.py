"""What every snapshotter keeps over reopening, crashes and cancellation, and what it sweeps."""

import asyncio
import shutil
import subprocess
import sys
import time
from collections.abc import Awaitable
from pathlib import Path

import pytest

from runtime import unsettled
from runtime.mount import Mount, attach, unmount
from runtime.snapshots.copy import CopySnapshotter
from runtime.snapshots.overlay import OverlaySnapshotter
from runtime.snapshots.snapshotter import Info, Kind, Snapshotter
from tests.contract.snapshotting import Open, layer, read

pytestmark = pytest.mark.root


async def test_everything_survives_reopening(reopen: Open, snapshots: Snapshotter) -> None:
    await layer(snapshots, "sha256:a", None, {"f": "1"})
    await layer(snapshots, "build/1.2:x_y-z", "sha256:a", {"g": "2"})
    await snapshots.prepare("c", "build/1.2:x_y-z")
    await snapshots.view("v", "sha256:a")
    again = await reopen()
    assert again.walk() == snapshots.walk()
    assert [info.name for info in again.walk()] == ["sha256:a", "build/1.2:x_y-z", "v", "c"]
    info = again.info("c")
    assert info == Info(name="c", kind=Kind.ACTIVE, parent="build/1.2:x_y-z", created=info.created)
    assert read(again.upper("c").parent.parent.parent / "committed")  # layers are on disk


async def test_a_sweep_removes_what_is_not_kept_but_no_layer(snapshots: Snapshotter) -> None:
    await layer(snapshots, "a", None, {})
    for key in ("c1", "c2"):
        await snapshots.prepare(key, "a")
    await snapshots.view("v", "a")
    assert sorted(await snapshots.sweep({"c2"})) == ["c1", "v"]
    assert [info.name for info in snapshots.walk()] == ["a", "c2"]


async def test_what_a_crash_left_is_swept_at_open(
    reopen: Open, snapshots: Snapshotter, tmp_path: Path
) -> None:
    await layer(snapshots, "a", None, {"f": "1"})
    temporary = tmp_path / "snapshots" / "tmp"
    (temporary / "half" / "fs" / "d").mkdir(parents=True)
    (temporary / "half" / "fs" / "d" / "f").touch()
    again = await reopen()
    assert list(temporary.iterdir()) == []
    assert again.walk() == snapshots.walk()


async def test_what_is_damaged_goes_and_what_a_container_wrote_stays(
    reopen: Open, snapshots: Snapshotter, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("whole", "torn", "hollow"):
        await layer(snapshots, name, None, {"f": "1"})
    for key in ("c", "cut"):
        await snapshots.prepare(key, "whole")
        (snapshots.upper(key) / "mine").touch()
    root = tmp_path / "snapshots"
    (root / "committed" / "torn" / "meta").unlink()
    shutil.rmtree(root / "committed" / "hollow" / "fs")
    (root / "active" / "cut" / "meta").unlink()
    (root / "committed" / "strangers" / "fs").mkdir(parents=True)
    (root / "committed" / "strangers" / "notes").touch()
    again = await reopen()
    assert [info.name for info in again.walk()] == ["whole", "c"]
    assert sorted(each.name for each in (root / "committed").iterdir()) == ["strangers", "whole"]
    assert (root / "active" / "cut" / "fs" / "mine").exists()
    told = sorted(record.getMessage().rpartition("/")[2] for record in caplog.records)
    assert told == [
        "cut is no snapshot of this engine and is left alone",
        "hollow is damaged, and removed",
        "strangers is no snapshot of this engine and is left alone",
        "torn is damaged, and removed",
    ]


async def test_what_cannot_be_swept_or_read_does_not_stop_the_others(
    reopen: Open, snapshots: Snapshotter, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await layer(snapshots, "a", None, {"f": "1"})
    root = tmp_path / "snapshots"
    stuck = root / "tmp" / "stuck"
    stuck.mkdir()
    attach([Mount(type="tmpfs", source="tmpfs")], stuck)
    (root / "active" / "foreign").mkdir()
    again = await reopen()
    unmount(stuck)
    assert [info.name for info in again.walk()] == ["a"]
    assert "cannot remove" in caplog.text
    assert "left alone" in caplog.text


@pytest.mark.timeout(600)  # a dozen programs are started, one after the other
@pytest.mark.parametrize("kind", ["OverlaySnapshotter", "CopySnapshotter"])
def test_a_kill_at_any_moment_leaves_whole_snapshots(tmp_path: Path, kind: str) -> None:
    """A process that makes and removes snapshots without end is killed again and again."""
    root = tmp_path / "snapshots"
    for n in range(12):
        child = subprocess.Popen([sys.executable, "-c", BUSY, kind, str(root)], stdout=subprocess.PIPE)
        assert child.stdout
        with child, child.stdout:
            child.stdout.readline()
            time.sleep(0.01 + n * 0.007)
            child.kill()
        snapshots = asyncio.run(open_as(kind, root))
        assert list((root / "tmp").iterdir()) == []
        for info in snapshots.walk():
            assert info.parent is None or snapshots.info(info.parent).kind is Kind.COMMITTED
            if info.kind is Kind.COMMITTED:
                directory = root / "committed" / info.name / "fs"
                assert (directory / info.name).read_text() == info.name


async def open_as(kind: str, root: Path) -> Snapshotter:
    if kind == "OverlaySnapshotter":
        return await OverlaySnapshotter.open(root)
    return await CopySnapshotter.open(root)


BUSY = """
import asyncio, itertools, os, sys
from pathlib import Path
from runtime.snapshots.copy import CopySnapshotter
from runtime.snapshots.overlay import OverlaySnapshotter

async def main():
    snapshots = await globals()[sys.argv[1]].open(Path(sys.argv[2]))
    print("ready", flush=True)
    for n in itertools.count(os.getpid() * 100000):
        parent = None
        for name in (f"a{n}", f"b{n}", f"c{n}"):
            await snapshots.prepare("key-" + name, parent)
            (snapshots.upper("key-" + name) / name).write_text(name)
            await snapshots.commit(name, "key-" + name)
            parent = name
        if snapshots.stacks_late:
            await snapshots.prepare(f"key-d{n}", None)
            (snapshots.upper(f"key-d{n}") / f"d{n}").write_text(f"d{n}")
            await snapshots.commit(f"d{n}", f"key-d{n}", parent)
            await snapshots.remove(f"d{n}")
        await snapshots.prepare(f"container-{n}", parent)
        if n % 3:
            for name in (f"container-{n}", f"c{n}", f"b{n}", f"a{n}"):
                await snapshots.remove(name)

asyncio.run(main())
"""


async def test_who_is_cancelled_leaves_it_done_or_undone(
    reopen: Open, snapshots: Snapshotter, rootfs: Path
) -> None:
    await layer(snapshots, "a", None, {f"f{n}": "1" for n in range(50)})
    for n in range(12):
        delay = n / 2000
        await give_up(snapshots.prepare(f"c{n}", "a"), delay)
        await snapshots.prepare(f"d{n}", "a")
        await give_up(snapshots.mount(f"d{n}", rootfs), delay)
        await snapshots.unmount(rootfs)
        await give_up(snapshots.commit(f"e{n}", f"d{n}"), delay)
        assert (await reopen()).walk() == snapshots.walk()


async def give_up(call: Awaitable[None], delay: float) -> None:
    try:
        await asyncio.wait_for(call, delay)
    except TimeoutError:
        pass


async def test_who_is_cancelled_while_a_layer_gets_its_parent_leaves_it_done_or_undone(
    reopen: Open, snapshots: Snapshotter
) -> None:
    await layer(snapshots, "a", None, {})
    for n in range(20 if snapshots.stacks_late else 0):
        await snapshots.prepare(f"k{n}", None)
        await give_up(snapshots.commit(f"b{n}", f"k{n}", "a"), n / 4000)
        assert (await reopen()).walk() == snapshots.walk()
        if f"k{n}" in {info.name for info in snapshots.walk()}:
            await snapshots.commit(f"b{n}", f"k{n}", "a")
        assert snapshots.info(f"b{n}").parent == "a"


async def test_what_is_not_settled_outlives_its_process(
    reopen: Open, snapshots: Snapshotter, monkeypatch: pytest.MonkeyPatch
) -> None:
    await snapshots.prepare("key", None, durable=False)
    await snapshots.commit("sha256:a", "key", durable=False)
    again = await reopen()
    assert [info.name for info in again.walk()] == ["sha256:a"]
    await again.settle()
    monkeypatch.setattr(unsettled, "BOOT_ID", Path("/proc/version"))
    assert [info.name for info in (await reopen()).walk()] == ["sha256:a"]


@pytest.mark.usefixtures("host_crashes")
async def test_what_is_not_settled_is_gone_after_a_crash(reopen: Open, snapshots: Snapshotter) -> None:
    await layer(snapshots, "sha256:a", None, {"file": "a"})
    for name, parent in (("sha256:b", "sha256:a"), ("sha256:c", "sha256:b")):
        await snapshots.prepare("key", parent, durable=False)
        (snapshots.upper("key") / "more").write_text(name)
        await snapshots.commit(name, "key", durable=False)
    assert [info.name for info in snapshots.walk()] == ["sha256:a", "sha256:b", "sha256:c"]
    again = await reopen()
    assert [info.name for info in again.walk()] == ["sha256:a"]
    await layer(again, "sha256:b", "sha256:a", {"more": "anew"})
    assert [info.name for info in (await reopen()).walk()] == ["sha256:a", "sha256:b"]


@pytest.mark.usefixtures("host_crashes")
async def test_what_is_settled_survives(reopen: Open, snapshots: Snapshotter, rootfs: Path) -> None:
    await snapshots.settle()
    await snapshots.prepare("key", None, durable=False)
    (snapshots.upper("key") / "file").write_text("kept")
    await snapshots.commit("sha256:a", "key", durable=False)
    await snapshots.settle()
    await snapshots.prepare("key", "sha256:a", durable=False)
    await snapshots.commit("sha256:b", "key", durable=False)
    again = await reopen()
    assert [info.name for info in again.walk()] == ["sha256:a"]
    await again.view("v", "sha256:a", durable=False)
    await again.mount("v", rootfs)
    assert read(rootfs) == {"file": "kept"}
    await again.unmount(rootfs)


@pytest.mark.usefixtures("host_crashes")
async def test_what_is_removed_before_it_is_settled_may_come_again(
    reopen: Open, snapshots: Snapshotter
) -> None:
    await snapshots.prepare("key", None, durable=False)
    await snapshots.commit("sha256:a", "key", durable=False)
    await snapshots.remove("sha256:a")
    await layer(snapshots, "sha256:a", None, {"file": "durable"})
    assert [info.name for info in (await reopen()).walk()] == ["sha256:a"]
