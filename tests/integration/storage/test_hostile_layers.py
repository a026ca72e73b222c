"""Archives made to harm, by their names, links and numbers: nothing outside the root changes."""

import os
import tarfile
from pathlib import Path

import pytest

from errdefs import InvalidArgument
from runtime import tree
from tests.integration.storage.archives import directory, hardlink, member, raw, symlink, tar, unpack

pytestmark = pytest.mark.root


# A1: names


@pytest.mark.parametrize(
    "name", ["../x", "a/../../x", "..", "a/b/../../../x", "/../x", "./../x", "../root/x"]
)
async def test_a_name_that_climbs_out_is_refused(target: Path, name: str) -> None:
    with pytest.raises(InvalidArgument, match="leads out of its root"):
        await unpack(tar([member(name, data=b"x")]), target)
    assert os.listdir(target) == []


async def test_absolute_and_untidy_names_stay_inside(target: Path) -> None:
    canary = str(target.parent / "canary" / "etc" / "passwd")
    await unpack(tar([member(canary, data=b"x"), member("//a//.//b/../c"), member("./.d")]), target)
    assert (target / canary.lstrip("/")).read_bytes() == b"x"
    assert (target / "a" / "c").exists()
    assert (target / ".d").exists()


@pytest.mark.parametrize("key", ["path", "linkpath"])
async def test_a_nul_in_a_name_is_refused(target: Path, key: str) -> None:
    with pytest.raises(InvalidArgument, match="NUL"):
        await unpack(tar([member("f", pax_headers={key: "a\0b"})]), target)


@pytest.mark.parametrize("name", ["x" * 256, "d/" * 2100 + "f", "a/" + "y" * 70_000])
async def test_names_longer_than_any_path_are_refused(target: Path, name: str) -> None:
    with pytest.raises(InvalidArgument, match="File name too long"):
        await unpack(tar([member(name)]), target)


async def test_nesting_as_deep_as_a_path_reaches(target: Path) -> None:
    await unpack(tar([member("d/" * 2040 + "f")]), target)
    assert sum(step.move is tree.Move.ENTER for step in tree.walk(target)) == 2040


async def test_the_root_itself_cannot_be_replaced(target: Path) -> None:
    for entry in (member("."), symlink("/", "canary"), hardlink("./", "x"), member("a/..", tarfile.CHRTYPE)):
        with pytest.raises(InvalidArgument, match="root directory"):
            await unpack(tar([entry]), target)


# A2: links


async def test_files_through_links_land_inside(target: Path) -> None:
    canary = str(target.parent / "canary")
    await unpack(
        tar(
            [
                directory(canary),
                symlink("abs", canary),
                symlink("rel", f"../../../../../../../../../..{canary}"),
                member("abs/new", data=b"1"),
                member("rel/new2", data=b"2"),
            ]
        ),
        target,
    )
    assert sorted(os.listdir(target / canary.lstrip("/"))) == ["new", "new2"]


async def test_a_link_to_nowhere_is_no_parent(target: Path) -> None:
    for entries in (
        [symlink("l", str(target.parent / "canary")), member("l/new")],
        [symlink("l", "l"), member("l/new")],
        [member("l"), member("l/new")],
        [symlink("a", "b"), symlink("b", "a"), directory("a/x/y")],
    ):
        with pytest.raises(InvalidArgument):
            await unpack(tar(entries), target)


async def test_a_link_in_place_of_a_parent_that_was_used_before(target: Path) -> None:
    canary = str(target.parent / "canary" / "etc")
    entries = [
        directory("d/etc"),
        member("d/etc/a"),
        symlink("d", canary),
        member("d/etc/passwd", data=b"owned"),
    ]
    with pytest.raises(InvalidArgument):
        await unpack(tar(entries), target)


async def test_a_directory_in_place_of_a_link(target: Path) -> None:
    canary = str(target.parent / "canary" / "etc")
    entries = [member("d/x"), symlink("d", canary), directory("d"), member("d/passwd", data=b"owned")]
    await unpack(tar(entries), target)
    assert (target / "d" / "passwd").read_bytes() == b"owned"
    assert not (target / "d").is_symlink()


async def test_hard_links_reach_nothing_outside(target: Path) -> None:
    canary = str(target.parent / "canary" / "etc" / "passwd")
    for entries in (
        [hardlink("h", "../canary/etc/passwd")],
        [hardlink("h", canary)],
        [symlink("l", canary), hardlink("h", "l/../../x")],
        [directory("d"), hardlink("h", "d")],
        [hardlink("h", "h")] * 2 + [hardlink("h", "missing")],
    ):
        with pytest.raises(InvalidArgument):
            await unpack(tar(entries), target)
    # A hard link to a symbolic link is one more name of the link; writing to it replaces it.
    await unpack(tar([symlink("s", canary), hardlink("t", "s"), member("t", data=b"mine")]), target)
    assert (target / "t").read_bytes() == b"mine"
    assert os.readlink(target / "s") == canary


# A4: xattrs and owners


async def test_a_layer_does_not_speak_for_overlayfs(target: Path) -> None:
    attributes = {
        "SCHILY.xattr.trusted.overlay.redirect": "/canary",
        "SCHILY.xattr.trusted.overlay.opaque": "y",
        "SCHILY.xattr.trusted.overlay.metacopy": "",
        "SCHILY.xattr.trusted.other": "kept",
    }
    await unpack(tar([directory("d", pax_headers=attributes), member("f", pax_headers=attributes)]), target)
    assert os.listxattr(target / "d") == os.listxattr(target / "f") == ["trusted.other"]


OUT_OF_RANGE = ["4294967295", "4294967296", "18446744073709551616", "-1", "0x0", "9" * 10_000]
NUMBERS = [(key, value) for key in ("uid", "gid", "size") for value in OUT_OF_RANGE]


@pytest.mark.parametrize(("key", "value"), [*NUMBERS, ("mtime", "1e9"), ("mtime", "--1"), ("mtime", "1.x")])
async def test_numbers_out_of_range_never_wrap_to_root(target: Path, key: str, value: str) -> None:
    with pytest.raises(InvalidArgument):
        await unpack(tar([member("f", pax_headers={key: value})]), target)
    assert os.listdir(target) in ([], ["f"] if key == "size" else [])


async def test_an_empty_record_leaves_the_field_as_it_is(target: Path) -> None:
    """As in Go's archive/tar."""
    records = dict.fromkeys(("path", "linkpath", "size", "uid", "gid", "mtime"), "")
    await unpack(tar([member("f", data=b"x", uid=7, mtime=9, pax_headers=records)]), target)
    found = (target / "f").stat()
    assert (found.st_size, found.st_uid, found.st_mtime) == (1, 7, 9)


@pytest.mark.parametrize(
    "fields",
    [
        {"size": b"\xff" * 12},
        {"size": b"\x80" + b"\xff" * 11},
        {"size": b"-0000000001\0"},
        {"size": b"9999999999\0\0"},
        {"uid": b"\xff" * 8},
        {"uid": b"0o17\0\0\0\0"},
        {"gid": b"\x80\0\0\x01\0\0\0\0"},
        {"type": b"Z"},
    ],
)
async def test_headers_that_lie(target: Path, fields: dict[str, bytes]) -> None:
    with pytest.raises(InvalidArgument):
        await unpack(raw(tar([member("f", data=b"x")]), **fields), target)


async def test_what_is_no_archive_at_all(target: Path) -> None:
    for data in (
        b"hello",
        os.urandom(4096),
        b"\x1f\x8b\x08" + bytes(100),
        b"BZh9" + bytes(100),
        b"<html>" * 200,
    ):
        with pytest.raises(InvalidArgument):
            await unpack(data, target)
    assert os.listdir(target) == []
