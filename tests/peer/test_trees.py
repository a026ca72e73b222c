"""Trees of containers: of images out of the same registry both engines make the same files, to every attribute."""

import gzip
import io
import json
import tarfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.daemon import Wherryd
from tests.images import stored, tree
from tests.images.room import roomy_root
from tests.images.tree import Tree
from tests.peer.peer import Both, Peer, missing
from tests.peer.registries import twice
from tests.peer.test_pull import said
from tests.registries import DebianRegistry, digest_of
from tests.registries import missing as registry_missing
from tests.unix_http import call

pytestmark = pytest.mark.root

NOW = time.time_ns()


@pytest.fixture(scope="module")
def roomy(busybox_tar: Path) -> Iterator[Both]:
    """Both engines, where there is room for large images."""
    if reason := missing() or registry_missing() or stored.missing():
        pytest.skip(reason)
    ours, theirs = Wherryd(roomy_root()), Peer(roomy_root())
    try:
        ours.start()
        theirs.start()
        yield Both(ours, theirs)
    finally:
        theirs.destroy()
        ours.destroy()


@pytest.fixture(scope="module")
def registry(session_root: Path, roomy: Both) -> Iterator[DebianRegistry]:
    """A registry for both."""
    with twice(session_root / "registry-trees", roomy.peer) as made:
        yield made


def tree_on(side: Wherryd | Peer, name: str) -> Tree | str:
    """What a container of an image sees, or why it cannot be pulled; the image is gone afterwards."""
    pulled = call(side.socket, "POST", f"/images/create?fromImage={name}").body.splitlines()
    if failure := json.loads(pulled[-1]).get("error"):
        return str(failure)
    ran = side.docker("run", "-d", "--network", "none", name, "sleep", "1000").stdout
    container = (ran if isinstance(ran, str) else ran.decode()).strip()
    try:
        pid = call(side.socket, "GET", f"/containers/{container}/json").json["State"]["Pid"]
        return tree.read(Path(f"/proc/{pid}/root"), without=tree.OF_ENGINE)
    finally:
        side.docker("rm", "-f", container)
        side.docker("rmi", name)


def test_four_layers_of_debian(roomy: Both, registry: DebianRegistry) -> None:
    """Gone, replaced, hidden and made anew: every file of 11,000 is the same."""
    stored.images()["split"].put(registry, "trees/debian", "split")
    ours, theirs = (
        tree_on(side, f"{registry.netloc}/trees/debian:split") for side in (roomy.wherryd, roomy.peer)
    )
    assert not isinstance(ours, str), ours
    assert not isinstance(theirs, str), theirs
    assert len(ours) > 10_000
    assert tree.differences(theirs, ours) == []


def member(name: str, text: str = "", *, mode: int = 0o640, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    """A header of somebody's, whose content is its name."""
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.uid, info.gid, info.mtime = kind, mode, 5, 6, 1_600_000_000
    info.linkname, info.size = text, len(name) if kind == tarfile.REGTYPE else 0
    return info


def layer(*members: tarfile.TarInfo) -> bytes:
    """An archive of them, in this order."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for info in members:
            archive.addfile(info, io.BytesIO(info.name.encode()))
    return buffer.getvalue()


DIRECTORY, LINK, HARD = tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
ODD = [
    layer(
        member("implied/by/file"),
        member("late/file"),
        member("late/", mode=0o770, kind=DIRECTORY),
        member("./a/../b/file"),
        member("/c/file"),
        member("d//file"),
        member("one"),
        member("two", "one", kind=HARD),
        member("three", "/one", kind=HARD),
        member("away/file"),
        member("away/two/file"),
        member("linked", "etc", kind=LINK),
        member("linked-too", "etc", kind=LINK),
    ),
    layer(
        member("usr/bin/more"),
        member("away/two/", kind=DIRECTORY),
        member("away/two/new"),
        member("away/.wh..wh..opq"),
        member(".wh.never-was"),
        member("linked/", mode=0o700, kind=DIRECTORY),
        member("linked/file"),
        member("linked-too/file"),
    ),
    layer(),
]
"""Files without their directories, directories after their files, odd names, whiteouts of nothing, and of what follows,
files below what was a link, no files at all."""
REFUSED = {
    "a hard link to a lower layer": [layer(member("one")), layer(member("two", "one", kind=HARD))],
    "a hard link to nothing": [layer(member("two", "one", kind=HARD))],
}
LAST_COUNTS = {
    "a file twice": layer(member("it", mode=0o600), member("it")),
    "a file that becomes a directory": layer(member("it"), member("it/", kind=DIRECTORY), member("it/file")),
    "a directory that becomes a link": layer(member("it/", kind=DIRECTORY), member("it", "etc", kind=LINK)),
}
"""What tar makes without a word, and dockerd, which must be able to write the same archive again, does not."""


def put(registry: DebianRegistry, what: str, layers: Sequence[bytes]) -> str:
    """Push an image of layers; its name."""
    config = {**said(0), "rootfs": {"type": "layers", "diff_ids": [digest_of(each) for each in layers]}}
    tag = what.replace(" ", "-")
    registry.put_image("trees/odd", tag, [gzip.compress(each, 1, mtime=0) for each in layers], **config)
    return f"{registry.netloc}/trees/odd:{tag}"


def test_what_no_builder_writes(roomy: Both, registry: DebianRegistry, busybox_tar: Path) -> None:
    name = put(registry, "all", [busybox_tar.read_bytes(), *ODD])
    ours, theirs = (tree_on(side, name) for side in (roomy.wherryd, roomy.peer))
    assert not isinstance(ours, str), ours
    assert not isinstance(theirs, str), theirs
    # A directory of which nothing is told has the time of its unpacking.
    implied = {path for path, file in theirs.items() if file.mtime > NOW and ours[path].mtime > NOW}
    assert {"implied", "implied/by", "usr/bin"} <= implied
    untimed = [
        {path: tree.timeless(file) if path in implied else file for path, file in each.items()}
        for each in (ours, theirs)
    ]
    assert tree.differences(untimed[1], untimed[0]) == []


@pytest.mark.parametrize("what", REFUSED)
def test_what_both_refuse(roomy: Both, registry: DebianRegistry, busybox_tar: Path, what: str) -> None:
    name = put(registry, what, [busybox_tar.read_bytes(), *REFUSED[what]])
    for side in (roomy.wherryd, roomy.peer):
        told = tree_on(side, name)
        assert isinstance(told, str)
        assert told.startswith("failed to register layer: ")


@pytest.mark.parametrize("what", LAST_COUNTS)
def test_what_dockerd_alone_refuses(
    roomy: Both, registry: DebianRegistry, busybox_tar: Path, what: str
) -> None:
    name = put(registry, what, [busybox_tar.read_bytes(), LAST_COUNTS[what]])
    assert tree_on(roomy.peer, name) == "failed to register layer: duplicates of file paths not supported"
    ours = tree_on(roomy.wherryd, name)
    assert isinstance(ours, dict)
    kinds = {
        "a file twice": "-",
        "a file that becomes a directory": "d",
        "a directory that becomes a link": "l",
    }
    assert (ours["it"].kind, ours["it"].uid) == (kinds[what], 5)


def test_the_root_itself(roomy: Both, registry: DebianRegistry, busybox_tar: Path) -> None:
    """It is what the image says of it, where dockerd makes one of its own."""
    name = put(registry, "root", [busybox_tar.read_bytes(), layer(member("./", mode=0o711, kind=DIRECTORY))])
    ours, theirs = (tree_on(side, name) for side in (roomy.wherryd, roomy.peer))
    assert isinstance(ours, dict)
    assert isinstance(theirs, dict)
    assert (ours["."].mode, ours["."].uid, theirs["."].mode, theirs["."].uid) == (0o711, 5, 0o755, 0)
    assert tree.differences({**theirs, ".": ours["."]}, ours) == []
