"""A3, A4: deletions mean what the specification says; devices, set-user-ID and xattrs give nobody anything."""

import io
import os
import random
import stat
import tarfile
from pathlib import Path

import pytest

from tests.integration.hostile.doors import DOORS, Gate, bring_by_each, docker_archive_door
from tests.integration.hostile.reference import Tree, layers_by_chance, seen
from tests.integration.images.archives import Made
from tests.integration.storage.archives import directory, member, tar

pytestmark = pytest.mark.root
CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")  # CAP_FOWNER… of version 2
OF_DOCKER = (".dockerenv", "dev", "etc", "proc", "sys")


def visible(gate: Gate, image: str) -> Tree:
    """What a container of the image has, by way of `docker export`."""
    created = gate.daemon.docker("create", image, "x").stdout.strip()
    try:
        exported = gate.daemon.get(f"/containers/{created}/export").body
    finally:
        gate.daemon.docker("rm", created)
    with tarfile.open(fileobj=io.BytesIO(exported)) as archive:
        found = {
            info.name.rstrip("/"): _bytes(archive, info) if info.isreg() else None
            for info in archive
            if info.isreg() or info.isdir()
        }
    return {path: data for path, data in found.items() if path.partition("/")[0] not in OF_DOCKER}


def _bytes(archive: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
    stream = archive.extractfile(info)
    return stream.read() if stream else b""


@pytest.mark.parametrize("seed", range(12))
def test_layers_by_chance_are_seen_as_the_specification_says(gate: Gate, seed: int) -> None:
    layers = layers_by_chance(random.Random(seed), 4)
    door = list(DOORS)[seed % 2]  # of the doors that take several layers
    outcome = DOORS[door](gate, Made(layers=[tar(each) for each in layers]))
    assert outcome.error == ""
    assert visible(gate, outcome.image) == seen(layers)


LOWER = [directory("d"), member("d/f", data=b"lower"), member("g", data=b"lower")]
WHITEOUTS = {
    "of no name": ([member(".wh.")], "whiteout of no name"),
    "of this directory": ([member("d/.wh..")], "whiteout of no name"),
    "of the directory above": ([member("d/.wh...")], "whiteout of no name"),
    "of the root's parent": ([member(".wh...")], "whiteout of no name"),
    "of what is not there": ([member(".wh.nothing"), member("no/.wh.thing")], ""),
    "with content": ([member(".wh.g", data=b"not told")], ""),
    "that is a directory": ([directory(".wh.g")], ""),
    "below a whiteout's name": ([member(".wh.d/x", data=b"x")], ""),
    "that is a link": ([member(".wh.g", tarfile.SYMTYPE, linkname="/etc")], ""),
    "bookkeeping of AUFS": (
        [directory(".wh..wh.plnk"), member(".wh..wh.plnk/1.2"), member(".wh..wh.aufs")],
        "",
    ),
    "opaque twice": ([member("d/.wh..wh..opq"), member("d/.wh..wh..opq")], ""),
}


@pytest.mark.parametrize("case", WHITEOUTS)
def test_odd_whiteouts(gate: Gate, case: str) -> None:
    members, reason = WHITEOUTS[case]
    outcome = docker_archive_door(gate, Made(layers=[tar(LOWER), tar(members)]))
    assert reason in outcome.error
    assert bool(outcome.error) == bool(reason)
    if not reason:
        shown = visible(gate, outcome.image)
        assert not [path for path in shown if "/.wh..wh." in f"/{path}"]


def test_device_nodes_and_set_user_id_files_come_as_they_are(gate: Gate) -> None:
    members = [
        member("disk", tarfile.BLKTYPE, mode=0o666, devmajor=254, devminor=0),
        member("mem", tarfile.CHRTYPE, mode=0o666, devmajor=1, devminor=1),
        member("fifo", tarfile.FIFOTYPE, mode=0o600),
        member("setuid", mode=0o6755, uid=1000, gid=1001, data=b"#!/bin/sh\n"),
    ]
    for door, outcome in bring_by_each(gate, Made(layers=[tar(members)])):
        assert outcome.error == "", door
        root = gate.look(outcome.image, ".")
        assert stat.S_ISBLK(os.lstat(root / "disk").st_mode), door
        found = os.lstat(root / "setuid")
        assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == (0o6755, 1000, 1001), door


def test_nobody_outside_of_the_daemon_reaches_them(gate: Gate) -> None:
    """A set-user-ID program of an image on the host would be anybody's way to root (CVE-2021-41091)."""
    outcome = docker_archive_door(gate, Made(layers=[tar([member("setuid", mode=0o4755)])]))
    path = gate.look(outcome.image, "setuid")
    closed = [above for above in path.parents if above.is_relative_to(gate.daemon.data_root)]
    assert any(not above.stat().st_mode & stat.S_IXOTH for above in closed)


def test_a_device_of_an_image_cannot_be_opened_in_a_container(gate: Gate, busybox_tar: Path) -> None:
    disk = os.stat("/dev/vda").st_rdev if os.path.exists("/dev/vda") else os.makedev(8, 0)
    devices = [
        member("disk", tarfile.BLKTYPE, mode=0o666, devmajor=os.major(disk), devminor=os.minor(disk)),
        member("mem", tarfile.CHRTYPE, mode=0o666, devmajor=1, devminor=1),
    ]
    outcome = docker_archive_door(gate, Made(layers=[busybox_tar.read_bytes(), tar(devices)]))
    assert outcome.error == ""
    for device in ("/disk", "/mem"):
        done = gate.daemon.docker("run", "--rm", outcome.image, "head", "-c1", device, check=False)
        assert "Operation not permitted" in done.stderr


def test_xattrs(gate: Gate) -> None:
    """Those by which overlayfs reads layers are refused; the others are the file's."""
    told = {
        "trusted.overlay.redirect": "/etc",
        "trusted.overlay.opaque": "y",
        "trusted.overlay.metacopy": "",
        "trusted.overlay.origin": "x",
        "security.capability": CAPABILITY.decode("utf-8", "surrogateescape"),
        "user.overlay.opaque": "y",
        "user.note": "kept",
    }
    records = {f"SCHILY.xattr.{name}": value for name, value in told.items()}
    for door, outcome in bring_by_each(gate, Made(layers=[tar([member("f", pax_headers=records)])])):
        assert outcome.error == "", door
        found = gate.look(outcome.image, "f")
        assert set(os.listxattr(found)) == {"security.capability", "user.overlay.opaque", "user.note"}, door
        assert os.getxattr(found, "security.capability") == CAPABILITY, door


@pytest.mark.parametrize(
    "records", [{"no namespace": "x"}, {"system.posix_acl_access": "bad"}, {"trusted.": "x"}]
)
def test_xattrs_that_the_kernel_does_not_know(gate: Gate, records: dict[str, str]) -> None:
    named = {f"SCHILY.xattr.{name}": value for name, value in records.items()}
    outcome = docker_archive_door(gate, Made(layers=[tar([member("f", pax_headers=named)])]))
    assert len(outcome.error) < 300
