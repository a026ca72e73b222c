import os
from pathlib import Path

import pytest

from errdefs import SystemFailure
from runtime import tree, tree_copy
from runtime.layers.lower import OPAQUE
from runtime.mount import Mount, attach, unmount
from runtime.snapshots.overlay import OverlaySnapshotter, supported

pytestmark = pytest.mark.root


async def test_a_layer_whose_root_is_opaque_hides_all_below(tmp_path: Path) -> None:
    snapshots = await OverlaySnapshotter.open(tmp_path / "s")
    for name, parent in (("a", None), ("b", "a"), ("c", "b")):
        await snapshots.prepare("k", parent)
        (snapshots.upper("k") / name).touch()
        if name == "b":
            os.setxattr(snapshots.upper("k"), OPAQUE, b"y")
        await snapshots.commit(name, "k")
    await snapshots.prepare("container", "c")
    (tmp_path / "m").mkdir()
    await snapshots.mount("container", tmp_path / "m")
    assert sorted(os.listdir(tmp_path / "m")) == ["b", "c"]
    assert not [name for name in os.listxattr(snapshots.upper("container")) if "opaque" in name]
    await snapshots.unmount(tmp_path / "m")


@pytest.mark.parametrize("how", ["gone", "cycle"])
async def test_what_has_lost_what_it_stands_on(tmp_path: Path, how: str) -> None:
    """It is there, and told apart from a whole one where it is used; with the lost one it is whole again."""

    async def layer(snapshots: OverlaySnapshotter, name: str, parent: str | None) -> None:
        await snapshots.prepare("k", parent)
        (snapshots.upper("k") / name).touch()
        await snapshots.commit(name, "k")

    first = await OverlaySnapshotter.open(tmp_path / "s")
    await layer(first, "low", None)
    await layer(first, "high", "low")
    await first.prepare("container", "high")
    (tmp_path / "m").mkdir()
    low = tmp_path / "s" / "committed" / "low"
    if how == "gone":
        tree.remove(low)
    else:
        (low / "meta").unlink()
        (low / "meta").symlink_to("1 1 high")
    again = await OverlaySnapshotter.open(tmp_path / "s")
    assert {info.name for info in again.walk()} == {"high", "container"} | (
        {"low"} if how == "cycle" else set()
    )
    assert (await again.usage("high")).inodes
    for use in (again.mount("container", tmp_path / "m"), again.prepare("other", "high")):
        with pytest.raises(SystemFailure, match=r"snapshot \w+ has lost what it stands on, \w+"):
            await use
    if how == "gone":
        await layer(again, "low", None)
        await again.mount("container", tmp_path / "m")
        assert sorted(os.listdir(tmp_path / "m")) == ["high", "low"]
        await again.unmount(tmp_path / "m")


def test_overlay_on_overlay_is_told_apart(tmp_path: Path) -> None:
    assert supported(tmp_path)
    for name in ("lower", "upper", "work", "merged"):
        (tmp_path / name).mkdir()
    options = (
        f"lowerdir={tmp_path / 'lower'}",
        f"upperdir={tmp_path / 'upper'}",
        f"workdir={tmp_path / 'work'}",
    )
    attach([Mount(type="overlay", source="overlay", options=options)], tmp_path / "merged")
    try:
        assert not supported(tmp_path / "merged")
        assert os.listdir(tmp_path / "merged") == []
    finally:
        unmount(tmp_path / "merged")
    assert not supported(Path("/proc"))
    assert sorted(os.listdir(tmp_path)) == ["lower", "merged", "upper", "work"]


def test_a_copy_keeps_all_there_is_to_a_file(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "d").mkdir(parents=True)
    target.mkdir()
    (source / "file").write_bytes(b"data")
    os.chown(source / "file", 1, 2)
    (source / "file").chmod(0o4711)
    os.setxattr(
        source / "file", "security.capability", bytes.fromhex("0100000200040000000000000000000000000000")
    )
    os.link(source / "file", source / "d" / "hard")
    os.symlink("/nowhere", source / "link")
    os.lchown(source / "link", 3, 4)
    os.mkfifo(source / "fifo", 0o640)
    os.mknod(source / "null", 0o20666, os.makedev(1, 3))
    with (source / "sparse").open("wb") as sparse:
        sparse.truncate(1 << 30)
        sparse.seek(1 << 29)
        sparse.write(b"middle")
    os.utime(source / "d", ns=(1_000_000_001, 2_000_000_003))
    os.utime(source / "link", ns=(5, 6), follow_symlinks=False)
    source.chmod(0o2750)

    tree_copy.copy(source, target)

    assert describe(target) == describe(source)
    assert os.stat(target / "sparse").st_blocks < 1000
    with (target / "sparse").open("rb") as sparse:
        sparse.seek(1 << 29)
        assert sparse.read(6) == b"middle"
    assert os.path.samefile(target / "file", target / "d" / "hard")


def describe(root: Path) -> dict[str, tuple[object, ...]]:
    found: dict[str, tuple[object, ...]] = {}
    for path in (root, *sorted(root.rglob("*"))):
        at = path.lstat()
        times = (at.st_mtime_ns, at.st_rdev, at.st_size if not path.is_dir() else 0)
        names = {
            name: os.getxattr(path, name, follow_symlinks=False)
            for name in os.listxattr(path, follow_symlinks=False)
        }
        link = os.readlink(path) if path.is_symlink() else ""
        found[str(path.relative_to(root))] = (
            at.st_mode,
            at.st_uid,
            at.st_gid,
            at.st_nlink,
            *times,
            names,
            link,
        )
    return found
