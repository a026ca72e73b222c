"""Containers of the images: what they see, and whether their compiler works."""

import json
import tarfile
from pathlib import Path
from typing import Any

from tests.daemon import Wherryd
from tests.images import tree
from tests.images.tree import Tree

HELLO = b'#include <stdio.h>\nint main(void) { printf("hello from %d\\n", 6 * 7); return 7; }\n'
COMPILE = "cat >/tmp/hello.c && gcc -O1 -Wall -o /tmp/hello /tmp/hello.c && /tmp/hello"


def inspect(wherryd: Wherryd, name: str) -> dict[str, Any]:
    """What is told of one thing."""
    (found,) = json.loads(wherryd.docker("inspect", name).stdout)
    return dict(found)


def tree_of_image(wherryd: Wherryd, name: str) -> Tree:
    """What a container of an image sees."""
    container = wherryd.docker("run", "-d", name, "sleep", "1000").stdout.strip()
    try:
        return tree_of_container(wherryd, container)
    finally:
        wherryd.docker("rm", "-f", container)


def tree_of_container(wherryd: Wherryd, container: str) -> Tree:
    """What a running container sees."""
    pid = inspect(wherryd, container)["State"]["Pid"]
    return tree.read(Path(f"/proc/{pid}/root"), without=tree.OF_ENGINE)


def run_compiler(wherryd: Wherryd, name: str) -> None:
    """Compile a program in a container, and run it there."""
    done = wherryd.docker("run", "-i", "--rm", name, "sh", "-c", COMPILE, stdin=HELLO, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (7, "hello from 42\n", "")


def layers_of_archive(archive: Path) -> dict[str, tuple[str, ...]]:
    """Of a `docker save` archive, the paths of the layers of each tag."""
    with tarfile.open(archive) as opened:
        member = opened.extractfile("manifest.json")
        assert member is not None
        entries = json.load(member)
    return {tag: tuple(entry["Layers"]) for entry in entries for tag in entry["RepoTags"] or ()}
