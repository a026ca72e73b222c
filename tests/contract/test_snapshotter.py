"""What every snapshotter must do: run against real filesystems and real mounts."""

import asyncio
import os
import stat
from pathlib import Path

import pytest

from errdefs import Conflict, InvalidArgument, NotFound, SystemFailure
from runtime.layers.lower import OPAQUE
from runtime.mount import mountinfo
from runtime.snapshots.snapshotter import Info, Kind, Snapshotter, Usage
from tests.contract.snapshotting import Open, layer, read

pytestmark = pytest.mark.root


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
