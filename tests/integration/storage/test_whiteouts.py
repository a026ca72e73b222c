"""Deletions in layers: the same filesystem must be seen on every snapshotter."""

import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from errdefs import InvalidArgument
from runtime.layers.apply import apply
from runtime.layers.lower import OPAQUE
from runtime.snapshots.copy import CopySnapshotter
from runtime.snapshots.overlay import OverlaySnapshotter
from runtime.snapshots.snapshotter import Snapshotter
from tests.integration.storage.archives import directory, hardlink, member, symlink, tar

pytestmark = pytest.mark.root
Members = list[tuple[object, bytes]]


@pytest.fixture(params=[OverlaySnapshotter, CopySnapshotter])
async def snapshots(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Snapshotter]:
    (tmp_path / "rootfs").mkdir()
    opened = await request.param.open(tmp_path / "snapshots")
    yield opened
    await opened.unmount(tmp_path / "rootfs")


async def seen(snapshots: Snapshotter, tmp_path: Path, *layers: list) -> dict[str, str]:  # type: ignore[type-arg]
    """Stack layers and tell what a container would see: every path, with a file's text."""
    parent = None
    for number, members in enumerate(layers):
        (tmp_path / "blob").write_bytes(tar(members))
        await snapshots.prepare("unpack", parent)
        await apply(tmp_path / "blob", snapshots.upper("unpack"), whiteouts=snapshots.whiteouts)
        parent = f"layer-{number}"
        await snapshots.commit(parent, "unpack")
    await snapshots.view("view", parent)
    await snapshots.mount("view", tmp_path / "rootfs")
    return look(tmp_path / "rootfs")


def look(root: Path) -> dict[str, str]:
    found = {}
    for path in root.rglob("*"):
        kind = "/" if path.is_dir() else path.read_text()
        found[str(path.relative_to(root))] = f"-> {os.readlink(path)}" if path.is_symlink() else kind
    return found


LOWER = [
    directory("d"),
    member("d/a", data=b"lower a"),
    directory("d/sub"),
    member("d/sub/b", data=b"lower b"),
    member("f", data=b"lower f"),
    symlink("l", "d"),
]
ALL = {"d": "/", "d/a": "lower a", "d/sub": "/", "d/sub/b": "lower b", "f": "lower f", "l": "-> d"}


async def test_files_and_directories_are_deleted(snapshots: Snapshotter, tmp_path: Path) -> None:
    upper = [directory("d"), member("d/.wh.sub"), member(".wh.f"), member(".wh.l"), member(".wh.not-there")]
    assert await seen(snapshots, tmp_path, LOWER, upper) == {"d": "/", "d/a": "lower a"}


@pytest.mark.parametrize("first", [True, False])
async def test_an_opaque_directory_hides_what_is_below_and_not_what_its_layer_brings(
    snapshots: Snapshotter, tmp_path: Path, first: bool
) -> None:
    brings = [member("d/new", data=b"new"), directory("d/sub"), member("d/sub/c", data=b"c")]
    opaque = [member("d/.wh..wh..opq")]
    upper = [directory("d"), *(opaque + brings if first else brings + opaque)]
    found = await seen(snapshots, tmp_path, LOWER, upper)
    # Lower content of d/sub is hidden with d.
    assert found == {"d": "/", "d/new": "new", "d/sub": "/", "d/sub/c": "c", "f": "lower f", "l": "-> d"}


@pytest.mark.parametrize("first", [True, False])
async def test_a_deleted_directory_that_its_layer_makes_anew_is_empty_before(
    snapshots: Snapshotter, tmp_path: Path, first: bool
) -> None:
    brings = [directory("d"), member("d/new", data=b"new")]
    gone = [member(".wh.d")]
    found = await seen(snapshots, tmp_path, LOWER, gone + brings if first else brings + gone)
    assert found == {"d": "/", "d/new": "new", "f": "lower f", "l": "-> d"}


async def test_a_deleted_directory_made_anew_as_a_missing_parent(
    snapshots: Snapshotter, tmp_path: Path
) -> None:
    found = await seen(snapshots, tmp_path, LOWER, [member("d/.wh.sub"), member("d/sub/x/new", data=b"new")])
    assert found == {
        "d": "/",
        "d/a": "lower a",
        "d/sub": "/",
        "d/sub/x": "/",
        "d/sub/x/new": "new",
        "f": "lower f",
        "l": "-> d",
    }


@pytest.mark.parametrize("first", [True, False])
async def test_a_deleted_file_that_its_layer_brings_is_there(
    snapshots: Snapshotter, tmp_path: Path, first: bool
) -> None:
    brings, gone = [member("f", data=b"upper f")], [member(".wh.f")]
    found = await seen(snapshots, tmp_path, LOWER, gone + brings if first else brings + gone)
    assert found == {**ALL, "f": "upper f"}


async def test_an_opaque_root_hides_every_layer_below(snapshots: Snapshotter, tmp_path: Path) -> None:
    found = await seen(
        snapshots, tmp_path, LOWER, [member(".wh..wh..opq"), member("new", data=b"n")], [member("x")]
    )
    assert found == {"new": "n", "x": ""}


async def test_a_kind_changed_by_a_layer(snapshots: Snapshotter, tmp_path: Path) -> None:
    upper = [
        member("d", data=b"file now"),
        member(".wh.f"),
        directory("f"),
        member("f/x"),
        member("l", data=b"l"),
    ]
    found = await seen(snapshots, tmp_path, LOWER, upper)
    assert found == {"d": "file now", "f": "/", "f/x": "", "l": "l"}


async def test_bookkeeping_of_aufs_is_passed_over(snapshots: Snapshotter, tmp_path: Path) -> None:
    upper = [
        directory(".wh..wh.plnk"),
        member(".wh..wh.plnk/1.2"),
        member(".wh..wh.aufs"),
        member("d/.wh..wh.x"),
    ]
    assert await seen(snapshots, tmp_path, LOWER, upper) == ALL


async def test_a_whiteout_in_the_lowest_layer_hides_nothing(snapshots: Snapshotter, tmp_path: Path) -> None:
    assert await seen(snapshots, tmp_path, [member(".wh.f"), member("g")]) == {"g": ""}


@pytest.mark.parametrize("name", [".wh.", ".wh..", ".wh...", "d/.wh...", "d/.wh.."])
async def test_a_whiteout_of_no_name_is_refused(snapshots: Snapshotter, tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidArgument, match="whiteout of no name"):
        await seen(snapshots, tmp_path, LOWER, [member(name)])
    assert look(tmp_path / "snapshots" / "committed" / "layer-0" / "fs") == ALL


async def test_the_forms_that_overlayfs_wants(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    members = [directory("d"), member("d/.wh..wh..opq"), member("d/.wh.x"), hardlink("y", "d/x")]
    (tmp_path / "blob").write_bytes(tar(members))
    await apply(tmp_path / "blob", tmp_path / "t")
    assert os.getxattr(tmp_path / "t" / "d", OPAQUE) == b"y"
    found = os.lstat(tmp_path / "t" / "d" / "x")
    assert (stat.S_IFMT(found.st_mode), found.st_rdev) == (stat.S_IFCHR, 0)
