"""Binds and tmpfs as the container's kernel has them, by each version's idea of read-only."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime import mount
from tests import kernel
from tests.daemon import Wherryd
from tests.integration.host_config.conftest import Box, Run, refused, require_refused

pytestmark = pytest.mark.root


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Path]:
    """A directory with a file system mounted in it, which has a file."""
    below = tmp_path / "tree" / "below"
    below.mkdir(parents=True)
    mount.attach([mount.Mount(type="tmpfs", source="tmpfs", options=("size=1m",))], below)
    (below / "file").write_text("here\n")
    yield tmp_path / "tree"
    mount.unmount(below)


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[Path]:
    """A shared mount with places to mount on."""
    root = tmp_path / "shared"
    root.mkdir()
    mount.attach([mount.Mount(type="tmpfs", source="tmpfs", options=("size=1m",))], root)
    subprocess.run(["mount", "--make-shared", root], check=True)
    (root / "host").mkdir()
    (root / "container").mkdir()
    yield root
    subprocess.run(["umount", "--recursive", root], check=True)


def bind(tree: Path, **options: bool | str) -> dict[str, Any]:
    """A request for a read-only mount of it."""
    asked = {"Type": "bind", "Source": str(tree), "Target": "/b", "ReadOnly": True}
    return {"Mounts": [asked | ({"BindOptions": options} if options else {})]}


def mode(box: Box, target: str) -> str:
    """Whether a mount may be written, "" where there is none."""
    found = kernel.mounts(box.pid).get(target)
    return found.options.split(",")[0] if found else ""


def test_what_is_read_only(run: Run, tree: Path) -> None:
    """Before 1.44 the mounts below a read-only bind stayed writable."""
    for version, below in (("1.24", "rw"), ("1.43", "rw"), ("1.44", "ro"), ("1.55", "ro")):
        box = run({"Binds": [f"{tree}:/a:ro"], **bind(tree)}, version=version)
        modes = [mode(box, target) for target in ("/a", "/b", "/a/below", "/b/below")]
        assert modes == ["ro", "ro", below, below], version
        written = box.shell(
            "for x in /a /b /a/below /b/below; do (: > $x/x) 2>/dev/null && echo $x; done; true"
        )
        assert written.split() == (["/a/below", "/b/below"] if below == "rw" else []), version


def test_what_is_asked_to_be(run: Run, tree: Path) -> None:
    for options, below in (
        ({"ReadOnlyNonRecursive": True}, "rw"),
        ({"ReadOnlyForceRecursive": True}, "ro"),
        ({"NonRecursive": True}, ""),
    ):
        box = run(bind(tree, **options))
        assert (mode(box, "/b"), mode(box, "/b/below")) == ("ro", below)
        assert box.shell("ls /b/below") == ("file\n" if below else "")


def test_what_cannot_be(wherryd: Wherryd, tree: Path) -> None:
    conflict = "mount options conflict: "
    both, non_recursive, forced = (
        bind(tree, ReadOnlyNonRecursive=True, ReadOnlyForceRecursive=True),
        bind(tree, ReadOnlyNonRecursive=True),
        bind(tree, ReadOnlyForceRecursive=True),
    )
    for asked in (non_recursive, forced):
        asked["Mounts"][0]["ReadOnly"] = False
    require_refused(
        wherryd,
        (both, f"{conflict}ReadOnlyNonRecursive && BindOptions.ReadOnlyForceRecursive"),
        (non_recursive, f"{conflict}!ReadOnly && BindOptions.ReadOnlyNonRecursive"),
        (forced, f"{conflict}!ReadOnly && BindOptions.ReadOnlyForceRecursive"),
    )


def test_force_is_refused_where_it_was_not_known(wherryd: Wherryd, tree: Path) -> None:
    body = {"Image": "busybox", "HostConfig": bind(tree, ReadOnlyForceRecursive=True)}
    answer = wherryd.call("POST", "/v1.43/containers/create", body)
    assert (answer.status, answer.json["message"]) == (
        400, "BindOptions.ReadOnlyForceRecursive needs API v1.44 or newer",
    )  # fmt: skip


def test_propagation(run: Run, tree: Path) -> None:
    """What is mounted on the host later is not seen by a private bind; nothing of either leads back."""
    box = run(bind(tree, Propagation="rprivate"))
    later = tree / "later"
    later.mkdir()
    mount.attach([mount.Mount(type="tmpfs", source="tmpfs", options=("size=1m",))], later)
    try:
        assert "/b/later" not in kernel.mounts(box.pid)
        assert kernel.mounts(box.pid)["/b"].propagation == ()
    finally:
        mount.unmount(later)


SHARED, SLAVE, PRIVATE = ("host", "container"), ("host",), ()


@pytest.mark.parametrize(
    ("kind", "crossed", "shown"),
    [
        *(("rshared", SHARED, "shared:"), ("shared", SHARED, "shared:")),
        *(("rslave", SLAVE, "master:"), ("slave", SLAVE, "master:")),
        *(("rprivate", PRIVATE, ""), ("private", PRIVATE, "")),
    ],
)
@pytest.mark.parametrize("how", ["Binds", "Mounts"])
def test_what_is_mounted_later(
    run: Run, shared: Path, how: str, kind: str, crossed: tuple[str, ...], shown: str
) -> None:
    """What either side mounts below a bind, the other sees or not."""
    asked: dict[str, Any] = {"Binds": [f"{shared}:/b:{kind}"]}
    if how == "Mounts":
        asked = bind(shared, Propagation=kind)
        asked["Mounts"][0]["ReadOnly"] = False
    box = run({**asked, "Privileged": True})
    mount.attach([mount.Mount(type="tmpfs", source="tmpfs", options=("size=1m",))], shared / "host")
    box.shell("mount -t tmpfs -o size=1m tmpfs /b/container")
    seen = kernel.mounts(box.pid)
    assert ("/b/host" in seen, str(shared / "container") in kernel.mounts(os.getpid())) == (
        *("host" in crossed, "container" in crossed),
    )
    propagation = " ".join(seen["/b"].propagation)
    assert propagation.startswith(shown) if shown else propagation == ""
    assert box.inspect()["Mounts"][0]["Propagation"] == kind


def test_what_cannot_propagate(wherryd: Wherryd, shared: Path) -> None:
    """A path whose mount is not shared itself."""
    subprocess.run(["mount", "--make-private", shared], check=True)
    for kind, reason in (("rshared", "a shared mount"), ("rslave", "a shared or slave mount")):
        _, told = refused(wherryd, bind(shared, Propagation=kind))
        assert told == f"path {shared} is mounted on {shared} but it is not {reason}"


def test_a_source_that_is_made(run: Run, wherryd: Wherryd, tmp_path: Path) -> None:
    asked = {"Type": "bind", "Source": str(tmp_path / "new"), "Target": "/b"}
    told = refused(wherryd, {"Mounts": [asked]})
    assert told == (
        400, f'invalid mount config for type "bind": bind source path does not exist: {tmp_path}/new',
    )  # fmt: skip
    run({"Mounts": [asked | {"BindOptions": {"CreateMountpoint": True}}]})
    assert (tmp_path / "new").is_dir()


def test_tmpfs(run: Run) -> None:
    usual = {"nosuid", "nodev", "noexec"}
    options: list[tuple[dict[str, Any], set[str]]] = [
        ({}, {"rw", *usual}),
        ({"ReadOnly": True}, {"ro", *usual}),
        ({"TmpfsOptions": {"SizeBytes": 1 << 20, "Mode": 0o1750}}, {"rw", "size=1024k", "mode=1750", *usual}),
        ({"TmpfsOptions": {"Options": [["exec"]]}}, {"rw", "nosuid", "nodev"}),
    ]
    mounts = [{"Type": "tmpfs", "Target": f"/m{i}", **asked} for i, (asked, _) in enumerate(options)]
    box = run({"Mounts": mounts, "Tmpfs": {"/t": "size=2m,mode=700,uid=5,exec", "/u": ""}})
    expected = {f"/m{i}": flags for i, (_, flags) in enumerate(options)}
    expected |= {"/t": {"rw", "nosuid", "size=2048k", "mode=700", "uid=5"}, "/u": {"rw", *usual}}
    for target, flags in expected.items():
        found = kernel.flags(box.pid, target)
        assert kernel.mounts(box.pid)[target].type == "tmpfs"
        assert flags <= found, target
        assert ("noexec" in found) == ("noexec" in flags), target
