"""A Debian of four layers out of the daemon and in again: save, load, commit, export, history, diff."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon import Wherryd
from tests.images import roots, tree
from tests.images.image import Image
from tests.images.tree import Tree
from tests.integration.images.debian.containers import (
    inspect,
    layers_of_archive,
    run_compiler,
    tree_of_container,
    tree_of_image,
)

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]

CHANGE = """
set -e
rm -r /usr/share/doc /opt/kinds/hard/a
mkdir /opt/kinds/hard-too/new && echo new >/opt/kinds/hard-too/new/file
rm /opt/kinds/plain && mkdir /opt/kinds/plain && ln /etc/passwd /opt/kinds/plain/passwd
chmod 711 /opt/kinds/modes/closed
echo more >>/opt/kinds/attributes/file
rm -r /opt/kinds/names && mkdir /opt/kinds/names && echo only >/opt/kinds/names/only
"""
CHANGED = """\
0 /opt
0 /opt/kinds
0 /opt/kinds/attributes
0 /opt/kinds/attributes/file
0 /opt/kinds/hard
2 /opt/kinds/hard/a
0 /opt/kinds/hard-too
1 /opt/kinds/hard-too/new
1 /opt/kinds/hard-too/new/file
0 /opt/kinds/modes
0 /opt/kinds/modes/closed
0 /opt/kinds/names
1 /opt/kinds/names/only
0 /opt/kinds/plain
1 /opt/kinds/plain/passwd
0 /usr
0 /usr/share
2 /usr/share/doc"""
_NAMES = "opt/kinds/names/"


@pytest.fixture(scope="module")
def name(wherryd: Wherryd, repository: str) -> Iterator[str]:
    """The image of four layers, pulled."""
    wherryd.docker("pull", f"{repository}:split")
    yield f"{repository}:split"
    wherryd.docker("rmi", "-f", f"{repository}:split")


def test_history(wherryd: Wherryd, name: str) -> None:
    lines = wherryd.docker("history", "--no-trunc", "--format", "{{.CreatedBy}} {{.Comment}}", name).stdout
    assert lines.splitlines() == [f"layer {number} of tests" for number in (3, 2, 1, 0)]


def test_export(wherryd: Wherryd, name: str, expected: Tree, room: Path) -> None:
    """GNU tar makes the same of what was exported as of what went in; with the devices that a container hides."""
    wherryd.docker("create", "--name", "exported", name)
    try:
        wherryd.docker("export", "-o", str(room / "exported.tar"), "exported")
    finally:
        wherryd.docker("rm", "exported")
    made = tree.read(
        roots.extract(room / "exported.tar", room / "exported"), without=tree.OF_ENGINE - {"dev"}
    )
    devices = {path: made.pop(path) for path in list(made) if path.startswith("dev/") or path == "dev"}
    assert tree.differences(tree.packed(expected), made) == []
    assert devices["dev/urandom"].device == os.makedev(1, 9)


def test_save_and_load(
    wherryd: Wherryd, name: str, images: dict[str, Image], expected: Tree, room: Path
) -> None:
    """The same blobs come out that were pulled, and the same image comes in again."""
    archive = room / "saved.tar"
    wherryd.docker("save", "-o", str(archive), name, "busybox")
    assert layers_of_archive(archive)[name] == tuple(
        f"blobs/sha256/{layer.digest.removeprefix('sha256:')}" for layer in images["split"].layers
    )
    wherryd.docker("rmi", name)
    assert f"Loaded image: {name}" in wherryd.docker("load", "-i", str(archive)).stdout
    archive.unlink()
    assert inspect(wherryd, name)["Id"] == images["split"].id
    assert tree.differences(expected, tree_of_image(wherryd, name)) == []


@pytest.mark.parametrize("tag", ["zstd", "whole"])
def test_a_layout_that_no_client_wrote(
    wherryd: Wherryd, images: dict[str, Image], expected: Tree, room: Path, tag: str
) -> None:
    archive = room / "layout.tar"
    images[tag].write_layout(archive, f"docker.io/library/made:{tag}")
    assert wherryd.docker("load", "-i", str(archive)).stdout == f"Loaded image: made:{tag}\n"
    archive.unlink()
    assert inspect(wherryd, f"made:{tag}")["Id"] == images[tag].id
    assert tree.differences(expected, tree_of_image(wherryd, f"made:{tag}")) == []
    wherryd.docker("rmi", f"made:{tag}")


def test_commit_on_top(
    wherryd: Wherryd, name: str, images: dict[str, Image], expected: Tree, room: Path
) -> None:
    """`diff` tells what was changed, a commit keeps it, and skopeo takes it as it is told."""
    wherryd.docker("run", "-d", "--name", "changed", name, "sleep", "1000")
    try:
        wherryd.docker("exec", "changed", "sh", "-c", CHANGE)
        assert "D /usr/share/doc" in wherryd.docker("diff", "changed").stdout.splitlines()
        changes = {(each["Kind"], each["Path"]) for each in wherryd.get("/containers/changed/changes").json}
        gone = {path.removeprefix(_NAMES).partition("/")[0] for path in expected if path.startswith(_NAMES)}
        assert changes == {
            *((int(line[0]), line[2:]) for line in CHANGED.splitlines()),
            *((2, f"/{_NAMES}{each}".replace("\udcff", "\ufffd")) for each in gone),
        }
        seen = tree_of_container(wherryd, "changed")
        wherryd.docker("commit", "-m", "changed by a test", "changed", "committed:1")
    finally:
        wherryd.docker("rm", "-f", "changed")
    try:
        found = inspect(wherryd, "committed:1")["RootFS"]["Layers"]
        assert (found[:-1], len(found)) == (images["split"].diff_ids, 5)
        assert "changed by a test" in wherryd.docker("history", "committed:1").stdout
        found_in_it = tree_of_image(wherryd, "committed:1")
        assert tree.differences(tree.packed(seen), tree.packed(found_in_it)) == []
        run_compiler(wherryd, "committed:1")
        require_readable_by_skopeo(wherryd, "committed:1", found, room)
    finally:
        wherryd.docker("rmi", "committed:1")


def require_readable_by_skopeo(wherryd: Wherryd, name: str, diff_ids: list[str], room: Path) -> None:
    """Another client takes it from the daemon, decompresses all layers, and finds them to be what is said of them."""
    argv = ["skopeo", "--insecure-policy", "copy", "--quiet", "--src-daemon-host", f"unix://{wherryd.socket}"]
    subprocess.run(
        [*argv, f"docker-daemon:{name}", f"docker-archive:{room}/skopeo.tar:{name}"],
        check=True,
        capture_output=True,
        timeout=200,
    )
    config = subprocess.run(
        ["skopeo", "inspect", "--config", f"docker-archive:{room}/skopeo.tar"],
        check=True,
        capture_output=True,
        timeout=60,
    )
    assert json.loads(config.stdout)["rootfs"]["diff_ids"] == diff_ids
