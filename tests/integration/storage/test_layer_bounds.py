"""Archives made to exhaust or cut short: nothing runs away, and the message says why."""

import asyncio
import bz2
import gzip
import hashlib
import lzma
import os
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from errdefs import InvalidArgument, SystemFailure
from runtime.layers.apply import apply
from runtime.layers.growing import Growing
from runtime.layers.limits import Limits
from tests.integration.storage.archives import member, raw, tar, unpack
from tests.waiting import eventually

pytestmark = pytest.mark.root


# A5: bombs


COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "zstd": zstandard.compress,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
}


def zeros(compressor: str, megabytes: int) -> bytes:
    """A file of zeros, in streams that follow one another."""
    head = raw(tar([member("f")]), size=b"%011o\0" % (megabytes << 20))[:512]
    pack = COMPRESS[compressor]
    return pack(head) + pack(bytes(8 << 20)) * (megabytes // 8)


@pytest.mark.parametrize("compressor", COMPRESS)
async def test_a_bomb_is_stopped_by_its_ratio(target: Path, compressor: str) -> None:
    """100 GB in some megabytes."""
    bomb = zeros(compressor, 100 << 10)
    assert len(bomb) < (100 << 30) // 300
    limits = Limits(ratio_free=64 << 20)
    with pytest.raises(InvalidArgument, match="compressed more than 200 to 1"):
        await unpack(bomb, target, limits)
    found = (target / "f").stat()
    assert found.st_size <= 80 << 20
    assert found.st_blocks <= 2 << 11  # zeros take no disk


@pytest.mark.parametrize("hole", [0, 1])
async def test_zeros_become_holes_and_stay_zeros(target: Path, hole: int) -> None:
    data = os.urandom(3 << 19) + bytes(5 << 20) + os.urandom(100 + hole) + bytes(3 << 20)
    await unpack(tar([member("f", data=data), member("g", data=b"after")]), target)
    assert (target / "f").read_bytes() == data
    assert (target / "g").read_bytes() == b"after"


async def test_a_gzip_bomb_is_stopped_by_its_size(target: Path) -> None:
    with pytest.raises(InvalidArgument, match="larger than 67108864 bytes"):
        await unpack(zeros("gzip", 600), target, Limits(size=64 << 20))


async def test_zeros_as_honest_tools_pack_them_are_no_bomb(target: Path) -> None:
    await unpack(zeros("gzip", 160) + gzip.compress(bytes(1024)), target, Limits(ratio_free=200 << 20))
    assert (target / "f").stat().st_size == 160 << 20


async def test_a_window_of_two_gigabytes_is_refused(target: Path) -> None:
    parameters = zstandard.ZstdCompressionParameters.from_level(1, window_log=31, enable_ldm=True)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    bomb = packer.compress(tar([member("f", data=os.urandom(1 << 20))])) + packer.flush()
    with pytest.raises(InvalidArgument, match="a window of 2048 MiB"):
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
    """The most memory that the worker had, in megabytes, as long as it is there."""
    eventually(workers)
    pids, peak = workers(), 0
    try:
        while True:
            status = Path(f"/proc/{pids[0]}/status").read_text()
            peak = max(peak, int(status.split("VmHWM:")[1].split()[0]) >> 10)
            time.sleep(0.005)
    except (OSError, IndexError):  # it has ended
        return peak


def workers() -> list[str]:
    """The processes that unpack layers for this one; it has other children, a daemon for one."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return [pid for pid in children if b"runtime.layers.worker" in command_line(pid)]


def command_line(pid: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:  # it has ended
        return b""


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
    eventually(appears.exists)
    (pid,) = workers()
    proc = Path("/proc") / pid
    texts = [(proc / name).read_text() for name in ("maps", "status")]
    return os.readlink(proc / "root"), texts[0], texts[1], (proc / "environ").read_bytes()


async def test_the_worker_loads_nothing_from_the_layer(target: Path) -> None:
    """While a worker is at work in its root, all that it has mapped and opened is the host's or the archive."""
    fakes = ["lib/x86_64-linux-gnu/libnss_files.so.2", "etc/ld.so.preload", "usr/bin/xz", "etc/nsswitch.conf"]
    archive = tar(
        [*(member(name, mode=0o755, data=b"fake") for name in fakes), member("f", data=bytes(50_000))]
    )
    (target.parent / "blob").write_bytes(archive[:30_000])
    with Growing(os.open(target.parent / "blob", os.O_RDONLY)) as growing:
        task = asyncio.get_running_loop().create_task(apply(growing, target))
        root, maps, status, environment = await asyncio.to_thread(look_at_the_worker, target / "f")
        with (target.parent / "blob").open("ab") as blob:
            blob.write(archive[30_000:])
        growing.end()
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
