"""A directory as a tar stream: by what GNU tar, and our own unpacking, make of it."""

import ctypes
import hashlib
import os
import stat
import tarfile
import threading
from pathlib import Path

import pytest

from errdefs import SystemFailure
from runtime import tree
from runtime.copying.workers import Workers
from runtime.layers.apply import apply
from runtime.layers.pack import pack
from runtime.layers.packer import Packer
from runtime.snapshots.overlay import OverlaySnapshotter
from tests.integration.storage.archives import directory, member, tar
from tests.integration.storage.test_apply import listing, run

pytestmark = pytest.mark.root


async def archive(directory: Path, target: Path, *, whiteouts: bool = False) -> list[str]:
    with target.open("wb") as out:
        async for chunk in pack(directory, whiteouts=whiteouts):
            out.write(chunk)
    with tarfile.open(target) as reader:
        return [info.name for info in reader]


async def test_a_real_tree_comes_back_alike(tmp_path: Path) -> None:
    names = await archive(Path("/etc"), tmp_path / "a.tar")
    assert "." not in names
    reference = tmp_path / "reference"
    ours = tmp_path / "ours"
    reference.mkdir()
    ours.mkdir()
    run(["tar", "-xpf", str(tmp_path / "a.tar"), "-C", str(reference)])
    await apply(tmp_path / "a.tar", ours)
    assert run(["diff", "-r", "--no-dereference", "/etc", str(reference)]) == b""
    assert listing(reference) == listing(ours) == listing(Path("/etc"))


async def test_all_kinds_of_objects(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    capability = bytes.fromhex("0100000200040000000000000000000000000000")
    (source / "big").write_bytes(os.urandom(300_000))
    (source / "capable").touch()
    os.setxattr(source / "capable", "security.capability", capability)
    os.chown(source / "capable", 3_000_000_000, 5)
    os.setxattr(source / "capable", "security.capability", capability)
    os.link(source / "big", source / "hard")
    os.mkfifo(source / "fifo")
    os.mknod(source / "null", 0o20666, os.makedev(1, 3))
    os.symlink("x" * 150, source / "link")
    long = source / ("d" * 120) / ("é" * 60)
    long.mkdir(parents=True)
    (long / "f").write_bytes(b"deep")
    (source / "small").write_bytes(b"s" * 513)
    await archive(source, tmp_path / "a.tar")
    (tmp_path / "out").mkdir()
    await apply(tmp_path / "a.tar", tmp_path / "out")
    assert listing(tmp_path / "out") == listing(source)
    assert (tmp_path / "out" / "big").read_bytes() == (source / "big").read_bytes()
    assert os.getxattr(tmp_path / "out" / "capable", "security.capability") == capability
    assert os.readlink(tmp_path / "out" / "link") == "x" * 150


async def test_a_container_s_changes_become_a_layer_that_makes_the_same_again(tmp_path: Path) -> None:
    snapshots = await OverlaySnapshotter.open(tmp_path / "s")
    rootfs = tmp_path / "rootfs"
    rootfs.mkdir()
    (tmp_path / "base.tar").write_bytes(
        tar(
            [
                directory("d"),
                member("d/gone"),
                directory("opaque"),
                member("opaque/old"),
                member("f", data=b"1"),
            ]
        )
    )
    await snapshots.prepare("k", None)
    await apply(tmp_path / "base.tar", snapshots.upper("k"))
    await snapshots.commit("base", "k")
    await snapshots.prepare("c", "base")
    await snapshots.mount("c", rootfs)
    (rootfs / "d" / "gone").unlink()
    (rootfs / "opaque" / "old").unlink()
    (rootfs / "opaque").rmdir()
    (rootfs / "opaque").mkdir()
    (rootfs / "opaque" / "new").write_text("new")
    (rootfs / "f").write_text("2")
    wanted = listing(rootfs)
    await snapshots.unmount(rootfs)

    names = await archive(snapshots.upper("c"), tmp_path / "layer.tar", whiteouts=True)
    assert names == ["d", "d/.wh.gone", "f", "opaque", "opaque/.wh..wh..opq", "opaque/new"]

    await snapshots.prepare("again", "base")
    await apply(tmp_path / "layer.tar", snapshots.upper("again"))
    await snapshots.mount("again", rootfs)
    assert listing(rootfs) == wanted
    await snapshots.unmount(rootfs)


async def test_who_stops_reading_leaves_no_process(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(bytes(50 << 20))
    stream = pack(tmp_path)
    assert len(await anext(stream)) > 0
    await stream.aclose()  # the fixture looks for processes


async def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SystemFailure, match="cannot archive"):
        await anext(pack(tmp_path / "missing"))


async def test_nesting_deeper_than_any_path(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("directory", dir_fd=fd)
        below = os.open("directory", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)
    size = 0
    async for chunk in pack(tmp_path):
        size += len(chunk)
    assert size > 1500 * 512
    tree.remove(tmp_path / "directory")  # deeper than pytest can remove


async def test_paths_are_left_out_with_all_that_is_in_them(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for path in ("etc/hosts", "etc/keep", "proc/x", "hosts"):
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).touch()
    fd = os.open(source, os.O_RDONLY | os.O_DIRECTORY)
    try:
        chunks = [chunk async for chunk in pack(fd, leave_out=["/etc/hosts", "/proc", "/proc/x", "/nope"])]
    finally:
        os.close(fd)
    (tmp_path / "a.tar").write_bytes(b"".join(chunks))
    with tarfile.open(tmp_path / "a.tar") as reader:
        assert [info.name for info in reader] == ["etc", "etc/keep", "hosts"]


def test_what_takes_a_files_place_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening some devices acts; a fifo tells whether somebody has opened it."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_bytes(b"x")
    os.mkfifo(tmp_path / "fifo")
    libc, over, opened = ctypes.CDLL(None), threading.Event(), []
    one, other = os.fsencode(source / "file"), os.fsencode(tmp_path / "fifo")

    def swap() -> None:
        while not over.is_set():
            libc.renameat2(-100, one, -100, other, 2)
            for path in (one, other):
                try:
                    with os.fdopen(os.open(path, os.O_WRONLY | os.O_NONBLOCK), "wb") as file:
                        opened.append(stat.S_ISFIFO(os.fstat(file.fileno()).st_mode))
                except OSError:  # a fifo that nobody reads
                    continue

    swapping = threading.Thread(target=swap)
    swapping.start()
    monkeypatch.chdir(tmp_path)  # the packer goes from there
    sink = os.open(os.devnull, os.O_WRONLY)
    descriptors = os.open("/proc/self/fd", os.O_PATH | os.O_DIRECTORY)
    try:
        for _ in range(5000):
            Packer(sink, descriptors=descriptors).tree(source)
    finally:
        os.close(descriptors)
        os.close(sink)
        over.set()
        swapping.join()
    assert opened
    assert not any(opened)


async def test_the_digest_of_a_layer_is_that_of_what_is_written(tmp_path: Path) -> None:
    upper = tmp_path / "upper"
    upper.mkdir()
    for number, size in enumerate((0, 1, 1 << 16, (1 << 16) + 1, (1 << 18) + 7, (5 << 20) + 513, 512)):
        (upper / f"file-{number}").write_bytes(os.urandom(size))
    workers = Workers()
    with (tmp_path / "layer").open("w+b") as file:
        try:
            packed = await workers.pack(upper, file.fileno())
        finally:
            await workers.close()
        file.seek(0)
        written = file.read()
    assert packed.digest == f"sha256:{hashlib.sha256(written).hexdigest()}"
    assert packed.size == len(written)
    with tarfile.open(tmp_path / "layer") as archive:
        for entry in archive:
            content = archive.extractfile(entry)
            assert content is not None
            assert content.read() == (upper / entry.name).read_bytes()
