"""What every snapshotter must do: run against real filesystems and real mounts."""

import asyncio
import os
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from errdefs import Conflict, InvalidArgument, NotFound, SystemFailure
from runtime.layers.lower import OPAQUE
from runtime.mount import Mount, attach, mountinfo, unmount
from runtime.snapshots.copy import CopySnapshotter
from runtime.snapshots.overlay import OverlaySnapshotter
from runtime.snapshots.snapshotter import Info, Kind, Snapshotter, Usage

pytestmark = pytest.mark.root
Open = Callable[[], Awaitable[Snapshotter]]


@pytest.fixture(params=[OverlaySnapshotter, CopySnapshotter])
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    return lambda: request.param.open(tmp_path / "snapshots")


@pytest.fixture
async def snapshots(reopen: Open, tmp_path: Path) -> AsyncIterator[Snapshotter]:
    (tmp_path / "rootfs").mkdir()
    yield await reopen()
    left = [entry.target for entry in mountinfo() if entry.target.startswith(str(tmp_path))]
    for target in left:
        unmount(Path(target))
    assert left == []


@pytest.fixture
def rootfs(tmp_path: Path) -> Path:
    return tmp_path / "rootfs"


async def layer(snapshots: Snapshotter, name: str, parent: str | None, files: dict[str, str]) -> None:
    key = f"unpack-{name}"
    await snapshots.prepare(key, parent)
    for path, text in files.items():
        file = snapshots.upper(key) / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    await snapshots.commit(name, key)


def read(root: Path) -> dict[str, str]:
    return {str(path.relative_to(root)): path.read_text() for path in root.rglob("*") if path.is_file()}


async def test_layers_stack_and_a_container_writes_to_its_own(snapshots: Snapshotter, rootfs: Path) -> None:
    await layer(snapshots, "sha256:a", None, {"etc/os": "one", "both": "lower"})
    await layer(snapshots, "sha256:b", "sha256:a", {"both": "upper", "bin/sh": "sh"})
    await snapshots.prepare("c1", "sha256:b")
    await snapshots.mount("c1", rootfs)
    assert read(rootfs) == {"etc/os": "one", "both": "upper", "bin/sh": "sh"}
    (rootfs / "etc/os").write_text("mine")
    (rootfs / "bin/sh").unlink()
    await snapshots.unmount(rootfs)

    await snapshots.prepare("c2", "sha256:b")
    await snapshots.mount("c2", rootfs)
    assert read(rootfs) == {"etc/os": "one", "both": "upper", "bin/sh": "sh"}
    await snapshots.unmount(rootfs)

    await snapshots.commit("image", "c1")
    await snapshots.view("v", "image")
    await snapshots.mount("v", rootfs)
    assert read(rootfs) == {"etc/os": "mine", "both": "upper"}
    await snapshots.unmount(rootfs)


@pytest.mark.parametrize("parents", [0, 1, 2])
async def test_a_view_cannot_be_written_to(snapshots: Snapshotter, rootfs: Path, parents: int) -> None:
    parent = None
    for n in range(parents):
        await layer(snapshots, f"l{n}", parent, {f"f{n}": str(n)})
        parent = f"l{n}"
    await snapshots.view("v", parent)
    await snapshots.mount("v", rootfs)
    assert read(rootfs) == {f"f{n}": str(n) for n in range(parents)}
    with pytest.raises(OSError, match="Read-only"):
        (rootfs / "x").touch()
    await snapshots.unmount(rootfs)


async def test_the_root_directory_keeps_what_its_layer_says(snapshots: Snapshotter, rootfs: Path) -> None:
    await snapshots.prepare("k", None)
    assert stat.S_IMODE(snapshots.upper("k").stat().st_mode) == 0o755
    os.chown(snapshots.upper("k"), 12, 34)
    snapshots.upper("k").chmod(0o1710)
    await snapshots.commit("l", "k")
    for make in (snapshots.prepare, snapshots.view):
        await make("c", "l")
        await snapshots.mount("c", rootfs)
        found = os.stat(rootfs)
        assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (12, 34, 0o1710)
        await snapshots.unmount(rootfs)
        await snapshots.remove("c")


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


async def test_what_is_not_allowed(snapshots: Snapshotter, rootfs: Path) -> None:
    await layer(snapshots, "a", None, {})
    await snapshots.prepare("c", "a")
    await snapshots.view("v", "a")
    for make in (snapshots.prepare, snapshots.view):
        with pytest.raises(Conflict):
            await make("c", "a")
        with pytest.raises(Conflict):
            await make("a", None)
        with pytest.raises(NotFound):
            await make("new", "missing")
        with pytest.raises(InvalidArgument):
            await make("new", "c")
        for name in ("", ".", "..", "../x", "/x", "a\0", "a b", "x" * 129, "a\n"):
            with pytest.raises(InvalidArgument):
                await make(name, "a")
    with pytest.raises(InvalidArgument):
        await snapshots.commit("b", "v")
    with pytest.raises(InvalidArgument):
        await snapshots.commit("b", "a")
    with pytest.raises(Conflict):
        await snapshots.commit("a", "c")
    with pytest.raises(Conflict, match="has children"):
        await snapshots.remove("a")
    with pytest.raises(InvalidArgument):
        await snapshots.mount("a", rootfs)
    with pytest.raises(InvalidArgument):
        snapshots.upper("v")
    with pytest.raises(SystemFailure):
        await snapshots.mount("c", rootfs / "missing")
    for call in (snapshots.info, snapshots.mounts, snapshots.upper):
        with pytest.raises(NotFound):
            call("missing")
    for coroutine in (
        snapshots.remove("missing"),
        snapshots.usage("missing"),
        snapshots.commit("b", "missing"),
    ):
        with pytest.raises(NotFound):
            await coroutine


async def test_removal_leaves_nothing_however_deep(snapshots: Snapshotter, tmp_path: Path) -> None:
    await layer(snapshots, "a", None, {"f": "1"})
    await snapshots.prepare("c", "a")
    await asyncio.to_thread(nest, snapshots.upper("c"), 3000)
    await snapshots.remove("c")
    await snapshots.remove("a")
    assert snapshots.walk() == []
    left = [
        path for path in (tmp_path / "snapshots").rglob("*") if path.parent.parent == tmp_path / "snapshots"
    ]
    assert left == []


def nest(root: Path, depth: int) -> None:
    fd = os.open(root, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("directory", dir_fd=fd)
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
        below = os.open("directory", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)


async def test_usage_counts_what_a_snapshot_adds(snapshots: Snapshotter) -> None:
    await layer(snapshots, "a", None, {"big": "x" * 1000, "d/f": "y" * 10})
    assert await snapshots.usage("a") == Usage(size=1010, inodes=3)
    await snapshots.prepare("c", "a")
    assert await snapshots.usage("c") == Usage(size=0, inodes=0)
    upper = snapshots.upper("c")
    (upper / "new").mkdir()
    (upper / "new" / "one").write_text("z" * 100)
    os.link(upper / "new" / "one", upper / "new" / "two")
    os.symlink("12345", upper / "link")
    await asyncio.to_thread(nest, upper / "new", 1200)
    assert await snapshots.usage("c") == Usage(size=105, inodes=3 + 2400)
    await snapshots.remove("c")  # deeper than pytest can remove


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


async def test_mounting_over_a_mount_is_undone_by_one_unmount(snapshots: Snapshotter, rootfs: Path) -> None:
    await layer(snapshots, "a", None, {})
    await snapshots.prepare("c", "a")
    await snapshots.view("v", "a")
    await snapshots.mount("c", rootfs)
    await snapshots.mount("v", rootfs)
    await snapshots.unmount(rootfs)
    await snapshots.unmount(rootfs)
    await snapshots.unmount(rootfs / "missing")
    assert str(rootfs) not in {entry.target for entry in mountinfo()}


async def test_concurrent_changes_have_one_winner(snapshots: Snapshotter) -> None:
    await layer(snapshots, "a", None, {"f": "1"})
    results = await asyncio.gather(*(snapshots.prepare("c", "a") for _ in range(5)), return_exceptions=True)
    assert sum(result is None for result in results) == 1
    assert all(result is None or isinstance(result, Conflict) for result in results)
    rivals = await asyncio.gather(
        snapshots.commit("b", "c"), snapshots.remove("c"), snapshots.commit("b2", "c"), return_exceptions=True
    )
    assert [type(result) for result in rivals] == [type(None), Conflict, Conflict]
    both = await asyncio.gather(snapshots.prepare("d", "b"), snapshots.remove("b"), return_exceptions=True)
    assert [type(result) for result in both] == [type(None), Conflict]


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


async def test_more_layers_than_an_image_may_have(snapshots: Snapshotter, rootfs: Path) -> None:
    parent = None
    for n in range(130):
        await layer(snapshots, f"sha256:{n:064x}", parent, {f"f{n % 40}": str(n)})
        parent = f"sha256:{n:064x}"
    await snapshots.prepare("c", parent)
    await snapshots.mount("c", rootfs)
    assert len(read(rootfs)) == 40
    assert (rootfs / "f9").read_text() == "129"
    (rootfs / "f9").write_text("x")
    await snapshots.unmount(rootfs)


async def test_the_directories_are_private_to_root(snapshots: Snapshotter, tmp_path: Path) -> None:
    await layer(snapshots, "a", None, {})
    for directory in (tmp_path / "snapshots", *(tmp_path / "snapshots").iterdir()):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700


@pytest.mark.parametrize("parent", ["sha256:b", None])
async def test_one_may_look_at_what_another_uses(
    snapshots: Snapshotter, rootfs: Path, tmp_path: Path, parent: str | None
) -> None:
    await layer(snapshots, "sha256:a", None, {"etc/os": "one", "gone": ""})
    await layer(snapshots, "sha256:b", "sha256:a", {"bin/sh": "sh"})
    below = {"etc/os": "one", "gone": "", "bin/sh": "sh"} if parent else {}
    await snapshots.prepare("c1", parent)
    await snapshots.mount("c1", rootfs)
    (rootfs / "new").write_text("mine")
    looking = tmp_path / "looking"
    looking.mkdir()
    await snapshots.mount("c1", looking, read_only=True)
    assert read(looking) == {**below, "new": "mine"}
    with pytest.raises(OSError, match="Read-only"):
        (looking / "new").write_text("other")
    await snapshots.unmount(rootfs)
    await snapshots.mount("c1", rootfs)
    (rootfs / "later").write_text("still writable")
    await snapshots.unmount(looking)
    assert read(rootfs) == {**below, "new": "mine", "later": "still writable"}
    await snapshots.unmount(rootfs)


async def test_what_a_snapshot_stands_on(snapshots: Snapshotter) -> None:
    await layer(snapshots, "sha256:a", None, {"lower": "a"})
    await layer(snapshots, "sha256:b", "sha256:a", {"upper": "b"})
    await snapshots.prepare("c1", "sha256:b")
    await snapshots.prepare("c2", None)
    seen: dict[str, str] = {}
    for directory in reversed(snapshots.below("c1")):
        seen |= read(directory)
    assert seen == {"lower": "a", "upper": "b"}
    assert snapshots.below("c2") == []
    with pytest.raises(NotFound):
        snapshots.below("nope")


async def test_a_layer_gets_its_parent_when_it_is_committed(
    reopen: Open, snapshots: Snapshotter, rootfs: Path
) -> None:
    """It is then as if it had been prepared on it; a parent that was waited for cannot go meanwhile."""
    await layer(snapshots, "sha256:a", None, {"lower": "a", "both": "a"})
    await layer(snapshots, "sha256:other", None, {})
    await snapshots.prepare("k", None)
    (snapshots.upper("k") / "both").write_text("b")
    if not snapshots.stacks_late:
        with pytest.raises(InvalidArgument, match="from the beginning"):
            await snapshots.commit("sha256:b", "k", "sha256:a")
        assert snapshots.info("k").parent is None
        return
    results = await asyncio.gather(
        snapshots.commit("sha256:b", "k", "sha256:a"), snapshots.remove("sha256:a"), return_exceptions=True
    )
    assert [type(result) for result in results] == [type(None), Conflict]
    assert snapshots.info("sha256:b").parent == "sha256:a"
    assert (await reopen()).walk() == snapshots.walk()
    await snapshots.prepare("c", "sha256:b")
    await snapshots.mount("c", rootfs)
    assert read(rootfs) == {"lower": "a", "both": "b"}
    await snapshots.unmount(rootfs)


async def test_a_parent_at_the_commit_is_one_that_is_possible(snapshots: Snapshotter) -> None:
    await layer(snapshots, "a", None, {})
    await layer(snapshots, "other", None, {})
    await snapshots.prepare("k", "a")
    for parent, error in (("other", InvalidArgument), ("missing", InvalidArgument)):
        with pytest.raises(error, match="another parent"):
            await snapshots.commit("b", "k", parent)
    await snapshots.commit("b", "k", "a")
    assert snapshots.info("b").parent == "a"
    await snapshots.prepare("k2", None)
    with pytest.raises(NotFound):
        await snapshots.commit("c", "k2", "missing")
    with pytest.raises(InvalidArgument, match="not committed"):
        await snapshots.commit("c", "k2", "k2")
    assert snapshots.info("k2") == Info(
        name="k2", kind=Kind.ACTIVE, parent=None, created=snapshots.info("k2").created
    )


@pytest.mark.parametrize("inherit", [True, False])
async def test_the_root_directory_of_a_layer_stacked_late(
    snapshots: Snapshotter, rootfs: Path, inherit: bool
) -> None:
    """The parent's, or its own; that it hides what is below stays in any case."""
    if not snapshots.stacks_late:
        return
    await snapshots.prepare("k", None)
    (snapshots.upper("k") / "hidden").touch()
    snapshots.upper("k").chmod(0o1710)
    os.chown(snapshots.upper("k"), 12, 34)
    os.setxattr(snapshots.upper("k"), "user.of", b"parent")
    await snapshots.commit("a", "k")
    await snapshots.prepare("k", None)
    os.setxattr(snapshots.upper("k"), OPAQUE, b"y")
    await snapshots.commit("b", "k", "a", inherit_root=inherit)
    await snapshots.prepare("c", "b")
    await snapshots.mount("c", rootfs)
    found = os.stat(rootfs)
    expected = (12, 34, 0o1710) if inherit else (0, 0, 0o755)
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == expected
    assert ("user.of" in os.listxattr(rootfs)) == inherit
    assert os.listdir(rootfs) == []
    await snapshots.unmount(rootfs)


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


async def test_what_is_removed_before_it_is_settled_may_come_again(
    reopen: Open, snapshots: Snapshotter
) -> None:
    await snapshots.prepare("key", None, durable=False)
    await snapshots.commit("sha256:a", "key", durable=False)
    await snapshots.remove("sha256:a")
    await layer(snapshots, "sha256:a", None, {"file": "durable"})
    assert [info.name for info in (await reopen()).walk()] == ["sha256:a"]
