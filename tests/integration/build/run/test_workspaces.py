"""Where steps work: layers that come of it, what holds them, and what is left."""

import asyncio
import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.build import leftovers
from engine.build.refs import SCRATCH, Ref
from engine.images import config
from runtime.layers.pack import pack
from tests.integration.build.run.steps import Steps, until

pytestmark = pytest.mark.root

ANY = 0xFFFFFFFF  # an ACL's entry of no user


def many(root: Path) -> None:
    """More than is packed without a process."""
    (root / "many").mkdir()
    for number in range(300):
        (root / "many" / str(number)).write_text(str(number))


def every_kind(root: Path) -> None:
    (root / "file").write_text("x")
    (root / "link").symlink_to("file")
    os.link(root / "file", root / "hard")
    os.mkfifo(root / "fifo")
    os.mknod(root / "null", 0o600 | 0o020000, os.makedev(1, 3))
    (root / "d").mkdir(mode=0o711)
    os.setxattr(
        root / "file", "security.capability", bytes.fromhex("0100000200040000000000000000000000000000")
    )
    for name in ("file", "link", "fifo", "null", "d"):
        os.utime(root / name, (1, 1), follow_symlinks=False)


async def test_a_layer_is_named_by_what_it_is(steps: Steps) -> None:
    first = await steps.layer(every_kind)
    second = await steps.layer(every_kind)
    assert first == second
    assert first.chain_id == first.diff_id == first.blob
    upper = await steps.layer(every_kind, Ref((await steps.layer(many),)))
    assert upper.diff_id == first.diff_id
    assert upper.chain_id != first.chain_id


async def test_small_and_large_layers_are_packed_alike(steps: Steps) -> None:
    async with steps.workspaces.writable(steps.base, steps.holds) as workspace:
        every_kind(workspace.root)
        (workspace.root / "etc/passwd").unlink()
        by_worker = b"".join([chunk async for chunk in pack(workspace.upper, whiteouts=True)])
        layer = await workspace.commit()
    assert layer is not None
    assert steps.content.path(layer.blob).read_bytes() == by_worker
    large = await steps.layer(many)
    assert len(steps.names(large)) == 301
    assert steps.content.path(large.blob).stat().st_size == large.size
    assert await steps.content.is_sound(large.blob)
    huge = await steps.layer(lambda root: (root / "huge").write_bytes(bytes(range(256)) * 10_001))
    assert await steps.content.is_sound(huge.blob)
    assert steps.read(huge, "huge") == bytes(range(256)) * 10_001


@pytest.mark.parametrize("more", [0, 300])
async def test_a_name_that_means_a_deletion(steps: Steps, more: int) -> None:
    def change(root: Path) -> None:
        (root / "etc/.wh.passwd").touch()
        for number in range(more):
            (root / str(number)).touch()

    layer = await steps.layer(change, steps.base)
    assert "etc/.wh.passwd" in steps.names(layer)
    async with steps.workspaces.view(steps.base.on_top(layer)) as root:
        assert sorted(os.listdir(root / "etc")) == ["group", "nsswitch.conf"]


# u::rw, u:1000:r, g::r, m::r, o::r as the kernel has it: the version, then tag, permissions and id of each
ACL = struct.pack("<I" + 5 * "HHI", 2, 1, 6, ANY, 2, 4, 1000, 4, 4, ANY, 16, 4, ANY, 32, 4, ANY)


def listening(root: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(root / "f"))


def with_an_acl(root: Path) -> None:
    (root / "f").touch()
    os.setxattr(root / "f", "system.posix_acl_access", ACL)


def with_an_inherited_acl(root: Path) -> None:
    (root / "f").mkdir()
    os.setxattr(root / "f", "system.posix_acl_default", ACL)


def with_a_user_xattr(root: Path) -> None:
    (root / "f").touch()
    os.setxattr(root / "f", "user.of", b"x")


def with_a_link_xattr(root: Path) -> None:
    (root / "f").symlink_to("x")
    os.setxattr(root / "f", "trusted.of", b"x", follow_symlinks=False)


def at_the_root(root: Path) -> None:
    root.chmod(0o751)
    os.setxattr(root, "user.of", b"x")


UNTOLD = [listening, with_an_acl, with_an_inherited_acl, with_a_user_xattr, with_a_link_xattr, at_the_root]


@pytest.mark.parametrize("more", [1, 300])
@pytest.mark.parametrize("make", UNTOLD, ids=lambda make: make.__name__)
async def test_a_layer_has_no_more_than_its_archive(
    steps: Steps, make: Callable[[Path], None], more: int
) -> None:
    """A pulled image of the same layers has the same files."""

    def change(root: Path) -> None:
        make(root)
        for number in range(more):
            (root / f"{number}.txt").touch()

    layer = await steps.layer(change, steps.base)
    async with steps.workspaces.view(steps.base.on_top(layer)) as root:
        names = os.listdir(root)
        assert ("f" in names) is bool({"f", "f/"} & set(steps.names(layer)))
        assert len([name for name in names if name.endswith(".txt")]) == more
        xattrs = [os.listxattr(root / name, follow_symlinks=False) for name in [".", *{"f"} & set(names)]]
        assert not [name for each in xattrs for name in each if "overlay" not in name]
        assert root.stat().st_mode & 0o7777 == 0o755


async def test_the_same_layer_is_made_once(steps: Steps) -> None:
    layers = await asyncio.gather(*(steps.layer(every_kind) for _ in range(6)))
    assert len(set(layers)) == 1


async def test_what_is_not_committed_is_gone(steps: Steps) -> None:
    async with steps.workspaces.writable(steps.base, steps.holds) as workspace:
        (workspace.root / "etc/passwd").write_text("changed")
    async with steps.workspaces.view(steps.base) as root:
        assert "changed" not in (root / "etc/passwd").read_text()
        with pytest.raises(OSError, match="Read-only"):
            (root / "new").touch()


async def test_layers_go_with_the_work_that_made_them(steps: Steps) -> None:
    blobs = await steps.content.walk()
    async with steps.workspaces.holds() as holds:
        async with steps.workspaces.writable(SCRATCH, holds) as workspace:
            (workspace.root / "f").touch()
            layer = await workspace.commit()
        assert layer is not None
        async with steps.workspaces.holds() as others:
            assert await others.take(layer)
        async with steps.workspaces.view(Ref((layer,))) as root:
            assert os.listdir(root) == ["f"]
    assert await steps.content.walk() == blobs
    assert not await steps.holds.take(layer)


async def test_a_layer_on_other_files(steps: Steps) -> None:
    layer = await steps.layer(every_kind)
    moved = await steps.workspaces.stack(steps.base, layer, steps.holds)
    assert moved.chain_id == config.chain_id(steps.base.chain_id, layer.diff_id)
    async with steps.workspaces.view(steps.base.on_top(moved)) as root:
        assert (root / "hard").read_text() == "x"
        assert (root / "bin/busybox").exists()


async def test_whoever_is_cancelled_leaves_nothing(steps: Steps) -> None:
    for delay in range(0, 24, 2):
        work = asyncio.get_running_loop().create_task(steps.layer(many))
        await asyncio.sleep(delay / 1000)
        work.cancel()
        await asyncio.wait([work])
    await until(lambda: not steps.left())


async def test_a_sweep_unmounts_what_a_crash_left(steps: Steps) -> None:
    directory = steps.daemon.exec_root / "build"
    async with steps.workspaces.writable(steps.base, steps.holds) as workspace:
        await leftovers.sweep_steps(directory)
        assert not workspace.root.exists()
        workspace.root.mkdir(parents=True)  # as its own end expects it
