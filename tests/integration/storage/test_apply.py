"""What a layer's archive becomes on disk, as Docker would have it."""

import asyncio
import bz2
import gzip
import hashlib
import lzma
import os
import stat
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
import zstandard

from engine.images.abreast import abreast
from errdefs import InvalidArgument, SystemFailure
from runtime.layers.apply import Applied, apply
from runtime.layers.growing import Growing, grown
from runtime.mount import Mount, attach, unmount
from tests.integration.storage.archives import directory, hardlink, member, symlink, tar

pytestmark = pytest.mark.root
CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "target").mkdir()
    return tmp_path / "target"


def run(command: list[str]) -> bytes:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout


async def unpack(archive: bytes, target: Path, **options: object) -> Applied:
    blob = target.parent / "blob"
    blob.write_bytes(archive)
    return await apply(blob, target, **options)  # type: ignore[arg-type]


COMPRESSIONS = {
    "": lambda data: data,
    "gzip": gzip.compress,
    "zstd": zstandard.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
}


@pytest.mark.parametrize("compression", COMPRESSIONS)
async def test_every_compression_is_told_and_the_diff_id_is_of_the_plain_archive(
    target: Path, compression: str
) -> None:
    archive = tar([directory("d"), member("d/f", data=os.urandom(3_000_000)), symlink("l", "d/f")])
    expected = "sha256:" + hashlib.sha256(archive).hexdigest()
    seen: list[int] = []
    packed = COMPRESSIONS[compression](archive)
    applied = await unpack(packed, target, expected_diff_id=expected, progress=seen.append)
    assert applied.diff_id == expected
    assert applied.compression == compression
    assert applied.size == 3_000_003
    assert (target / "l").stat().st_size == 3_000_000
    assert seen
    assert seen == sorted(seen)
    assert seen[-1] <= len(packed)


async def written_slowly(archive: bytes, target: Path) -> Applied:
    """Unpack an archive while it is written piece by piece."""
    blob = target.parent / "growing"
    with blob.open("wb", buffering=0) as file, Growing(os.open(blob, os.O_RDONLY)) as growing:
        async with abreast([apply(growing, target)]) as (unpacking,):
            for at in range(0, len(archive), 7_000):
                file.write(archive[at : at + 7_000])
                grown(growing.tell)
                await asyncio.sleep(0.01)
            assert not unpacking.done()
            growing.end()
        return unpacking.result()


async def test_an_archive_can_be_unpacked_while_it_is_written(target: Path) -> None:
    archive = tar([member("a", data=b"x" * 100_000), directory("d"), member("d/b", data=b"y")])
    assert (await written_slowly(archive, target)).size == 100_001
    assert ((target / "a").stat().st_size, (target / "d/b").read_bytes()) == (100_000, b"y")


async def test_an_archive_whose_writer_ends_too_early_is_broken(target: Path) -> None:
    with pytest.raises(InvalidArgument, match="truncated"):
        await written_slowly(tar([member("a", data=b"x" * 100_000)])[:60_000], target)


@pytest.mark.parametrize("compression", ["gzip", "zstd", "bzip2", "xz"])
async def test_members_one_after_the_other_are_one_archive(target: Path, compression: str) -> None:
    archive = tar([member("f", data=os.urandom(700_000)), member("g", data=b"g")])
    pack = COMPRESSIONS[compression]
    packed = b"".join(pack(part) for part in (archive[:1000], archive[1000:300_001], archive[300_001:]))
    await unpack(packed, target, expected_diff_id="sha256:" + hashlib.sha256(archive).hexdigest())
    assert (target / "g").read_bytes() == b"g"


async def test_all_there_is_to_a_file(target: Path) -> None:
    stamp: dict[str, Any] = {"mtime": 1_500_000_000.25, "pax_headers": {"mtime": "1500000000.250000001"}}
    await unpack(
        tar(
            [
                directory(".", mode=0o1750, uid=7, gid=8),
                directory("d", mode=0o2770, uid=1000, gid=2000, **stamp),
                member("d/setuid", mode=0o4755, uid=3, gid=4, data=b"x", **stamp),
                member("d/root", data=b"y"),
                member(
                    "capable",
                    uid=5,
                    pax_headers={
                        "SCHILY.xattr.security.capability": CAPABILITY.decode("utf-8", "surrogateescape"),
                        "SCHILY.xattr.user.note": "kept",
                    },
                ),
                symlink("link", "../../outside"),
                member("owned", tarfile.SYMTYPE, linkname="x", uid=9, gid=10, mtime=11),
                member("d/hard", tarfile.LNKTYPE, linkname="./d/setuid", mode=0o4755, uid=3, gid=4, **stamp),
                hardlink("hardlink-to-link", "link"),
                member("fifo", tarfile.FIFOTYPE, mode=0o640),
                member("null", tarfile.CHRTYPE, mode=0o666, devmajor=1, devminor=3),
                member("disk", tarfile.BLKTYPE, devmajor=259, devminor=70_000),
            ]
        ),
        target,
    )

    def at(name: str) -> os.stat_result:
        return os.lstat(target / name)

    assert (at(".").st_mode, at(".").st_uid, at(".").st_gid) == (stat.S_IFDIR | 0o1750, 7, 8)
    assert (at("d").st_mode, at("d").st_uid, at("d").st_gid) == (stat.S_IFDIR | 0o2770, 1000, 2000)
    assert at("d").st_mtime_ns == at("d/setuid").st_mtime_ns == 1_500_000_000_250_000_001
    assert (at("d/setuid").st_mode, at("d/setuid").st_uid) == (stat.S_IFREG | 0o4755, 3)
    assert (at("d/root").st_uid, at("d/root").st_gid) == (0, 0)  # not the set-group-ID directory's group
    assert os.path.samestat(at("d/hard"), at("d/setuid"))
    assert os.readlink(target / "link") == os.readlink(target / "hardlink-to-link") == "../../outside"
    assert (at("owned").st_uid, at("owned").st_gid, at("owned").st_mtime) == (9, 10, 11)
    assert os.getxattr(target / "capable", "security.capability") == CAPABILITY
    assert os.getxattr(target / "capable", "user.note") == b"kept"
    assert at("fifo").st_mode == stat.S_IFIFO | 0o640
    assert (at("null").st_mode, at("null").st_rdev) == (stat.S_IFCHR | 0o666, os.makedev(1, 3))
    assert (stat.S_IFMT(at("disk").st_mode), at("disk").st_rdev) == (stat.S_IFBLK, os.makedev(259, 70_000))


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
async def test_long_names_large_numbers_and_bytes_that_are_no_text(target: Path, form: int) -> None:
    long = "/".join(["directory" * 10] * 9)
    await unpack(
        tar(
            [
                member(long + "/f", data=b"1"),
                symlink("l", "x" * 300),
                member("big-ids", uid=3_000_000_000, gid=0xFFFFFFFE),
                member("bytes-\udcff\udcfe", data=b"2"),
                member("before-1970", mtime=-5),
                member("in-2255", mtime=9_000_000_000),
                member("never", mtime=10_000_000_000),
            ],
            form,
        ),
        target,
    )
    assert (target / long / "f").read_bytes() == b"1"
    assert os.readlink(target / "l") == "x" * 300
    assert os.stat(target / "big-ids").st_uid == 3_000_000_000
    assert os.stat(target / "big-ids").st_gid == 0xFFFFFFFE
    assert b"bytes-\xff\xfe" in os.listdir(os.fsencode(target))
    assert os.stat(target / "before-1970").st_mtime == -5
    assert os.stat(target / "in-2255").st_mtime == 9_000_000_000
    assert os.stat(target / "never").st_mtime == 0


async def test_ustar_prefixes_and_directories_from_before_posix(target: Path) -> None:
    name = "a" * 90 + "/" + "b" * 90
    await unpack(tar([member(name), member("old/", tarfile.AREGTYPE)], tarfile.USTAR_FORMAT), target)
    assert (target / name).is_file()
    assert (target / "old").is_dir()


async def test_an_entry_replaces_what_stands_in_its_way_but_a_directory_keeps_its_content(
    target: Path,
) -> None:
    await unpack(
        tar(
            [
                directory("d"),
                member("d/kept"),
                directory("d", mode=0o700),
                directory("to-file"),
                member("to-file/gone"),
                member("to-file", data=b"file"),
                member("to-directory"),
                directory("to-directory"),
                symlink("link", "d"),
                member("link", data=b"no link"),
                member("twice", data=b"1"),
                member("twice", data=b"2"),
            ]
        ),
        target,
    )
    assert (target / "d" / "kept").exists()
    assert stat.S_IMODE((target / "d").stat().st_mode) == 0o700
    assert (target / "to-file").read_bytes() == b"file"
    assert (target / "to-directory").is_dir()
    assert (target / "link").read_bytes() == b"no link"
    assert not (target / "link").is_symlink()
    assert (target / "twice").read_bytes() == b"2"


async def test_a_hard_link_s_entry_is_obeyed_where_it_differs(target: Path) -> None:
    capable = {"SCHILY.xattr.security.capability": CAPABILITY.decode("utf-8", "surrogateescape")}
    await unpack(
        tar(
            [
                member("a", mode=0o4755, uid=1, mtime=100),
                member("b", tarfile.LNKTYPE, linkname="a", mode=0o600, uid=2, mtime=200),
                member("c", mode=0o755, uid=3, mtime=100, pax_headers=capable),
                member("d", tarfile.LNKTYPE, linkname="c", mode=0o755, uid=3, mtime=300),
            ]
        ),
        target,
    )
    found = os.stat(target / "a")
    assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_mtime, found.st_nlink) == (0o600, 2, 200, 2)
    assert os.getxattr(target / "c", "security.capability") == CAPABILITY
    assert os.stat(target / "c").st_mtime == 300


async def test_what_is_told_of_twice_may_become_root_s(target: Path) -> None:
    """A hard link's entry, and the second one of a directory or of the root itself."""
    await unpack(
        tar(
            [
                directory(".", uid=5, gid=6),
                directory("d", uid=5, gid=6),
                member("a", uid=5, gid=6),
                member("b", tarfile.LNKTYPE, linkname="a"),
                directory("d"),
                directory("."),
            ]
        ),
        target,
    )
    for name in (".", "d", "a", "b"):
        found = os.stat(target / name)
        assert (name, found.st_uid, found.st_gid) == (name, 0, 0)


async def test_a_parent_that_is_a_link_is_followed_inside_the_root(target: Path) -> None:
    await unpack(
        tar(
            [
                directory("usr/lib"),
                symlink("lib", "usr/lib"),
                symlink("abs", "/usr/../usr/lib"),
                symlink("up", "../../../../usr/lib"),
                member("lib/a"),
                member("abs/deep/er/b"),
                member("up/c"),
                hardlink("hard", "lib/a"),
            ]
        ),
        target,
    )
    assert sorted(os.listdir(target / "usr/lib")) == ["a", "c", "deep"]
    assert (target / "usr/lib/deep/er/b").exists()
    assert os.path.samestat(os.stat(target / "hard"), os.stat(target / "usr/lib/a"))
    assert (target / "lib").is_symlink()


@pytest.mark.parametrize(
    "options", [["--format=gnu"], *(["--format=pax", f"--sparse-version={v}"] for v in ("0.0", "0.1", "1.0"))]
)
@pytest.mark.parametrize("extents", [0, 1, 3, 60])
async def test_sparse_files_as_gnu_tar_writes_them(target: Path, options: list[str], extents: int) -> None:
    source = target.parent / "source"
    source.mkdir()
    with (source / "sparse").open("wb") as file:
        for n in range(extents):
            file.seek(n * 300_000)
            file.write(b"%03d" % n * 2000)
        file.truncate(64 << 20)
    (source / "after").write_bytes(b"after")
    command = ["tar", "--sparse", *options, "-cf", "-", "-C", str(source), "sparse", "after"]
    packed = run(command)
    applied = await unpack(packed, target)
    assert (target / "sparse").read_bytes() == (source / "sparse").read_bytes()
    assert os.stat(target / "sparse").st_blocks <= os.stat(source / "sparse").st_blocks + 8
    assert (target / "after").read_bytes() == b"after"
    assert applied.size == (64 << 20) + 5


async def test_what_gnu_tar_unpacks_is_unpacked_alike(target: Path) -> None:
    """A real tree, by way of both extractors."""
    packed = target.parent / "etc.tar"
    run(["tar", "--xattrs", "-cf", str(packed), "-C", "/etc", "."])
    reference = target.parent / "reference"
    reference.mkdir()
    run(["tar", "--xattrs", "-xpf", str(packed), "-C", str(reference)])
    await apply(packed, target)
    assert run(["diff", "-r", "--no-dereference", str(reference), str(target)]) == b""
    assert listing(target) == listing(reference)


def listing(root: Path) -> list[tuple[object, ...]]:
    found: list[tuple[object, ...]] = []
    for path in sorted(root.rglob("*")):
        at = path.lstat()
        found.append(
            (str(path.relative_to(root)), at.st_mode, at.st_uid, at.st_gid, int(at.st_mtime), at.st_nlink)
        )
    return found


async def test_an_empty_archive_and_one_without_its_end_are_layers(target: Path) -> None:
    await unpack(tar([]), target)
    await unpack(b"", target)
    await unpack(tar([member("f", data=b"x" * 512)])[:1024], target)
    assert os.listdir(target) == ["f"]


async def test_what_follows_an_archive_counts_for_its_diff_id_only(target: Path) -> None:
    archive = tar([member("f")]) + b"trailing bytes, no tar at all" * 100
    await unpack(archive, target, expected_diff_id="sha256:" + hashlib.sha256(archive).hexdigest())
    assert os.listdir(target) == ["f"]


async def test_another_diff_id_than_expected_is_refused(target: Path) -> None:
    with pytest.raises(InvalidArgument, match="expected sha256:0000"):
        await unpack(tar([member("f")]), target, expected_diff_id="sha256:" + "0" * 64)


async def test_on_a_small_disk_the_host_is_to_blame(target: Path) -> None:
    attach([Mount(type="tmpfs", source="tmpfs", options=("size=256k",))], target)
    try:
        with pytest.raises(SystemFailure, match="No space left"):
            await unpack(tar([member("f", data=bytes(1 << 20))]), target)
    finally:
        unmount(target)
