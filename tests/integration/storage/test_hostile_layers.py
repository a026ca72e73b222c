"""Archives made to harm: nothing outside the root changes, nothing runs away, and the message says why."""

import asyncio
import gzip
import hashlib
import os
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zstandard

from errdefs import InvalidArgument, SystemFailure
from runtime import tree
from runtime.layers.apply import Applied, apply
from runtime.layers.limits import Limits
from tests.integration.storage.archives import directory, hardlink, member, raw, symlink, tar

pytestmark = pytest.mark.root


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Path]:
    """A root, with a canary beside it that must be the same afterwards."""
    root = tmp_path / "root"
    root.mkdir()
    canary = tmp_path / "canary"
    (canary / "etc").mkdir(parents=True)
    (canary / "etc" / "passwd").write_text("canary")
    before = fingerprint(canary)
    yield root
    assert fingerprint(canary) == before
    assert sorted(path for path in os.listdir(tmp_path) if path != "blob") == ["canary", "root"]
    tree.remove(root)


def fingerprint(root: Path) -> list[tuple[object, ...]]:
    found: list[tuple[object, ...]] = []
    for path in (root, *sorted(root.rglob("*"))):
        at = path.lstat()
        text = path.read_bytes() if path.is_file() else b""
        found.append((str(path), at.st_mode, at.st_uid, at.st_nlink, at.st_mtime_ns, at.st_ctime_ns, text))
    return found


async def unpack(archive: bytes, target: Path, limits: Limits | None = None) -> Applied:
    blob = target.parent / "blob"
    blob.write_bytes(archive)
    return await apply(blob, target, limits=limits or Limits())


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


OUT_OF_RANGE = ["4294967295", "4294967296", "18446744073709551616", "-1", "0x0", "", "9" * 10_000]
NUMBERS = [(key, value) for key in ("uid", "gid", "size") for value in OUT_OF_RANGE]


@pytest.mark.parametrize(("key", "value"), [*NUMBERS, ("mtime", "1e9"), ("mtime", "--1"), ("mtime", "1.x")])
async def test_numbers_out_of_range_never_wrap_to_root(target: Path, key: str, value: str) -> None:
    with pytest.raises(InvalidArgument):
        await unpack(tar([member("f", pax_headers={key: value})]), target)
    assert os.listdir(target) in ([], ["f"] if key == "size" else [])


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


# A5: bombs


COMPRESS: dict[str, Callable[[bytes], bytes]] = {"zstd": zstandard.compress, "gzip": gzip.compress}


def zeros(compressor: str, megabytes: int, levels: int = 1) -> bytes:
    head = raw(tar([member("f")]), size=b"%011o\0" % (megabytes << 20))[:512]
    chunk = bytes(1 << 20)
    if compressor == "zstd":
        packer = zstandard.ZstdCompressor(level=levels).compressobj()
        return (
            packer.compress(head)
            + b"".join(packer.compress(chunk) for _ in range(megabytes))
            + packer.flush()
        )
    return gzip.compress(head) + gzip.compress(chunk * 8, 9) * (megabytes // 8)


async def test_a_zstd_bomb_is_stopped_by_its_ratio(target: Path) -> None:
    bomb = zeros("zstd", 600)
    limits = Limits(ratio_free=64 << 20)
    with pytest.raises(InvalidArgument, match="compressed more than 2000 to 1"):
        await unpack(bomb, target, limits)
    assert (target / "f").stat().st_size < 500 << 20


async def test_a_gzip_bomb_is_stopped_by_its_size(target: Path) -> None:
    with pytest.raises(InvalidArgument, match="larger than 67108864 bytes"):
        await unpack(zeros("gzip", 600), target, Limits(size=64 << 20))


async def test_zeros_as_honest_tools_pack_them_are_no_bomb(target: Path) -> None:
    await unpack(zeros("gzip", 160) + gzip.compress(bytes(1024)), target, Limits(ratio_free=1 << 20))
    assert (target / "f").stat().st_size == 160 << 20


async def test_a_window_of_two_gigabytes_is_refused(target: Path) -> None:
    parameters = zstandard.ZstdCompressionParameters.from_level(1, window_log=31, enable_ldm=True)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    bomb = packer.compress(tar([member("f", data=os.urandom(1 << 20))])) + packer.flush()
    with pytest.raises(InvalidArgument, match="broken"):
        await unpack(bomb, target)


@pytest.mark.parametrize("size", [8 << 60, (1 << 63) - 1])
async def test_a_sparse_file_of_exabytes_is_refused(target: Path, size: int) -> None:
    for version in ({"GNU.sparse.map": "0,0"}, {"GNU.sparse.numblocks": "0"}):
        fields = {"GNU.sparse.size": str(size), **version}
        with pytest.raises(InvalidArgument, match="larger than"):
            await unpack(tar([member("f", pax_headers=fields)]), target)


@pytest.mark.parametrize(
    "sparse", ["1,2", "5,1,0,1", "0,5,3,5", "0,1,2", "a,b", "-1,2", "0,99999999999999999999", "0,4,4,4,8,4"]
)
async def test_a_sparse_map_that_does_not_fit_is_refused(target: Path, sparse: str) -> None:
    fields = {"GNU.sparse.size": "8", "GNU.sparse.map": sparse}
    with pytest.raises(InvalidArgument, match=r"sparse|decimal|range"):
        await unpack(tar([member("f", data=b"12345", pax_headers=fields)]), target)


@pytest.mark.parametrize("text", [b"", b"x\n", b"1\n", b"1\n0\n", b"99999999\n", b"1\n0\n5\n", b"2\n0\n1\n"])
async def test_a_sparse_map_in_the_data_that_is_broken(target: Path, text: bytes) -> None:
    fields = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "8"}
    with pytest.raises(InvalidArgument):
        await unpack(tar([member("f", data=text, pax_headers=fields)]), target)


async def test_more_entries_than_allowed_are_refused(target: Path) -> None:
    with pytest.raises(InvalidArgument, match="more than 10 entries"):
        await unpack(tar([member(f"f{n}") for n in range(11)]), target, Limits(entries=10))


async def test_extended_headers_without_end_take_no_memory(target: Path) -> None:
    huge = raw(tar([member("f")], tarfile.GNU_FORMAT), type=b"x", size=b"%011o\0" % (2 << 20))[:512] + bytes(
        2 << 20
    )
    with pytest.raises(InvalidArgument, match="too large"):
        await unpack(huge, target)
    many = tar([member("f", pax_headers={f"SCHILY.xattr.user.{n}": "v" * 50 for n in range(8000)})])
    with pytest.raises((InvalidArgument, SystemFailure)):  # the filesystem holds no such number of xattrs
        await unpack(many, target)


@pytest.mark.parametrize(
    "records", [b"5 a=b\n", b"6 a=b\nx", b"99 a=b\n", b"0 a=b\n", b"a=b\n", b"6 =bb\n", b"6 abc\n"]
)
async def test_broken_pax_records(target: Path, records: bytes) -> None:
    block = raw(tar([member("f")], tarfile.GNU_FORMAT), type=b"x", size=b"%011o\0" % len(records))[:512]
    with pytest.raises(InvalidArgument, match=r"pax|decimal"):
        await unpack(block + records.ljust(512, b"\0") + tar([member("f")]), target)


@pytest.mark.parametrize("compressor", ["zstd", "gzip"])
async def test_the_worker_stays_small_whatever_a_layer_holds(target: Path, compressor: str) -> None:
    (target.parent / "blob").write_bytes(zeros(compressor, 400) + COMPRESS[compressor](bytes(1024)))
    task = asyncio.get_running_loop().create_task(apply(target.parent / "blob", target))
    peak = await asyncio.to_thread(peak_of_the_worker)
    await task
    assert 10 < peak < 100


def peak_of_the_worker() -> int:
    """The most memory that the one child had, in megabytes, as long as it is there."""
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    while not (pids := children.read_text().split()):
        time.sleep(0.002)
    peak = 0
    try:
        while True:
            status = Path(f"/proc/{pids[0]}/status").read_text()
            peak = max(peak, int(status.split("VmHWM:")[1].split()[0]) >> 10)
            time.sleep(0.005)
    except (OSError, IndexError):  # it has ended
        return peak


async def test_a_layer_that_takes_too_long_is_given_up(target: Path) -> None:
    # Eight gigabytes of nothing after the archive: they count for the digest, which takes seconds.
    (target.parent / "blob").write_bytes(tar([member("f")]))
    os.truncate(target.parent / "blob", 8 << 30)
    with pytest.raises(InvalidArgument, match="more than 1 seconds"):
        await apply(target.parent / "blob", target, limits=Limits(seconds=1))


async def test_who_is_cancelled_leaves_no_worker(target: Path) -> None:
    (target.parent / "blob").write_bytes(zeros("gzip", 800))
    task = asyncio.get_running_loop().create_task(apply(target.parent / "blob", target))
    await asyncio.sleep(0.3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    size = (target / "f").stat().st_size if (target / "f").exists() else 0
    await asyncio.sleep(0.1)
    assert size == ((target / "f").stat().st_size if (target / "f").exists() else 0)


# A6: cut short


@pytest.mark.parametrize("pack", [lambda data: data, gzip.compress, zstandard.compress])
async def test_a_truncated_archive_is_refused(target: Path, pack: object) -> None:
    packed = pack(tar([member("f", data=os.urandom(50_000)), member("g", data=os.urandom(50_000))]))  # type: ignore[operator]
    for length in (len(packed) // 3, len(packed) - 15_000, 700, 20):
        with pytest.raises(InvalidArgument):
            await unpack(packed[:length], target)


async def test_bytes_that_are_no_member_after_the_last_one_are_refused(target: Path) -> None:
    packed = gzip.compress(tar([member("f")]))
    await unpack(packed + bytes(1000), target)
    with pytest.raises(InvalidArgument):
        await unpack(packed + b"garbage", target)


async def test_a_wrong_checksum_of_the_compression_is_noticed(target: Path) -> None:
    packed = bytearray(gzip.compress(tar([member("f", data=b"x" * 5000)])))
    packed[-6] ^= 1
    with pytest.raises(InvalidArgument, match="broken"):
        await unpack(bytes(packed), target)


# Nothing of the layer is ever run or loaded


def look_at_the_worker(appears: Path) -> tuple[str, str, str, bytes]:
    deadline = time.monotonic() + 20
    while not appears.exists() and time.monotonic() < deadline:
        time.sleep(0.002)
    (pid,) = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    proc = Path("/proc") / pid
    texts = [(proc / name).read_text() for name in ("maps", "status")]
    return os.readlink(proc / "root"), texts[0], texts[1], (proc / "environ").read_bytes()


async def test_the_worker_loads_nothing_from_the_layer(target: Path) -> None:
    """While a worker is at work in its root, all that it has mapped and opened is the host's or the archive."""
    fakes = ["lib/x86_64-linux-gnu/libnss_files.so.2", "etc/ld.so.preload", "usr/bin/xz", "etc/nsswitch.conf"]
    archive = tar(
        [*(member(name, mode=0o755, data=b"fake") for name in fakes), member("f", data=bytes(300 << 20))]
    )
    (target.parent / "blob").write_bytes(archive)
    task = asyncio.get_running_loop().create_task(apply(target.parent / "blob", target))
    root, maps, status, environment = await asyncio.to_thread(look_at_the_worker, target / "f")
    await task
    assert root == str(target)
    assert str(target) not in maps
    assert "NoNewPrivs:\t1" in status
    effective = int(status.split("CapEff:\t")[1].split()[0], 16)
    assert not effective & (
        1 << 18 | 1 << 19 | 1 << 12 | 1 << 16
    )  # SYS_CHROOT, SYS_PTRACE, NET_ADMIN, SYS_MODULE
    assert environment.startswith(b"PATH=")
    assert environment.count(b"=") == 1
    assert hashlib.sha256((target / fakes[0]).read_bytes()).hexdigest() == hashlib.sha256(b"fake").hexdigest()
