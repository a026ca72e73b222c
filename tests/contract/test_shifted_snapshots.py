"""Snapshots that are mounted with the ids of a user namespace: on the disk are the container's own."""

import os
import struct
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from errdefs import SystemFailure
from runtime.mount import Mount, attach, mountinfo, unmount
from runtime.snapshots.copy import CopySnapshotter
from runtime.snapshots.overlay import OverlaySnapshotter
from runtime.snapshots.snapshotter import Snapshotter
from runtime.spec.identity import Identity, IdRange

pytestmark = pytest.mark.root
Open = Callable[[], Awaitable[Snapshotter]]
MAPPED = Identity(
    uids=(IdRange(0, 100000, 1000), IdRange(1000, 300000, 64536)), gids=(IdRange(0, 200000, 65536),)
)
RAW_V2 = struct.pack("<5I", 0x02000001, 1 << 13, 0, 0, 0)  # cap_net_raw, effective


@pytest.fixture(params=[OverlaySnapshotter, CopySnapshotter])
async def snapshots(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Snapshotter]:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    made = await request.param.open(tmp_path / "snapshots")
    await made.prepare("unpack", None)
    upper = made.upper("unpack")
    for name, (uid, gid) in {"root": (0, 0), "user": (1000, 1001), "beyond": (65536, 70000)}.items():
        (upper / name).write_text(name)
        os.chown(upper / name, uid, gid)
    os.setxattr(upper / "root", "security.capability", RAW_V2)
    await made.commit("image", "unpack")
    await made.prepare("c", "image")
    yield made
    left = [entry.target for entry in mountinfo() if entry.target.startswith(str(tmp_path))]
    for target in left:
        unmount(Path(target))
    assert left == []


def owner(path: Path) -> tuple[int, int]:
    found = path.lstat()
    return found.st_uid, found.st_gid


def names(directory: Path) -> list[str]:
    return os.listdir(directory)


async def test_the_same_files_belong_to_the_hosts_ids_and_beside_it_to_the_containers(
    snapshots: Snapshotter, tmp_path: Path
) -> None:
    await snapshots.prepare("d", "image")
    await snapshots.mount("c", tmp_path / "one", identity=MAPPED)
    await snapshots.mount("d", tmp_path / "two")
    assert owner(tmp_path / "one") == (100000, 200000)
    assert owner(tmp_path / "one/root") == (100000, 200000)
    assert owner(tmp_path / "one/user") == (300000, 201001)
    assert owner(tmp_path / "one/beyond") == (65534, 65534)
    assert owner(tmp_path / "two/user") == (1000, 1001)
    await snapshots.unmount(tmp_path / "one")
    await snapshots.unmount(tmp_path / "two")


async def test_what_the_container_makes_copies_up_and_removes_is_its_own_on_the_disk(
    snapshots: Snapshotter, tmp_path: Path
) -> None:
    root, upper = tmp_path / "one", snapshots.upper("c")
    await snapshots.mount("c", root, identity=MAPPED)

    def as_user(uid: int, gid: int, script: str) -> None:
        subprocess.run(["sh", "-ec", script], user=uid, group=gid, extra_groups=[], cwd=root, check=True)

    as_user(100000, 200000, "mkdir dir; echo made > dir/made; rm -f user")
    as_user(300000, 201001, "cat beyond")
    os.chown(root / "root", 300000, 200005)
    (root / "by-host").write_text("x")
    os.chown(root / "by-host", 100007, 200008)
    await snapshots.unmount(root)
    assert owner(upper / "dir/made") == (0, 0)
    assert owner(upper / "root") == (1000, 5)
    assert owner(upper / "by-host") == (7, 8)
    assert ("user" in names(upper)) == (snapshots.whiteouts == "overlay")
    if snapshots.whiteouts == "overlay":
        assert owner(upper / "user") == (0, 0)


async def test_file_capabilities_count_in_the_user_namespace(snapshots: Snapshotter, tmp_path: Path) -> None:
    await snapshots.mount("c", tmp_path / "one", identity=MAPPED)
    seen = os.getxattr(tmp_path / "one/root", "security.capability")
    await snapshots.unmount(tmp_path / "one")
    assert seen[:12] == struct.pack("<3I", 0x03000001, 1 << 13, 0)
    assert struct.unpack("<I", seen[-4:]) == (100000,)


async def test_it_can_be_looked_at_only(snapshots: Snapshotter, tmp_path: Path) -> None:
    await snapshots.mount("c", tmp_path / "one", read_only=True, identity=MAPPED)
    with pytest.raises(OSError, match="Read-only"):
        (tmp_path / "one/root").write_text("x")
    assert owner(tmp_path / "one/user") == (300000, 201001)
    await snapshots.unmount(tmp_path / "one")


async def test_nothing_is_left_when_the_ids_cannot_be(snapshots: Snapshotter, tmp_path: Path) -> None:
    twice = Identity(uids=(IdRange(0, 1000, 10), IdRange(5, 2000, 10)), gids=MAPPED.gids)
    with pytest.raises(SystemFailure, match="cannot map ids of a user namespace"):
        await snapshots.mount("c", tmp_path / "one", identity=twice)
    assert list((tmp_path / "one").iterdir()) == []


async def test_it_can_be_known_beforehand(snapshots: Snapshotter, tmp_path: Path) -> None:
    await snapshots.require(MAPPED)
    assert [entry.target for entry in mountinfo() if entry.target.startswith(str(tmp_path))] == []
    (tmp_path / "ramfs").mkdir()
    attach([Mount(type="ramfs", source="ramfs")], tmp_path / "ramfs")
    try:
        unable = await CopySnapshotter.open(tmp_path / "ramfs")
        with pytest.raises(
            SystemFailure, match=r"user namespaces need Linux 5\.19 and a file system with idmapped"
        ):
            await unable.require(MAPPED)
    finally:
        unmount(tmp_path / "ramfs")
