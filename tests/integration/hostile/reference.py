"""What layers mean, told in the plainest way: the words of the OCI image spec, carried out on a dictionary."""

import random
import tarfile
from collections.abc import Iterator

from tests.integration.storage.archives import directory, member

Tree = dict[str, bytes | None]
"""A path's bytes, None for a directory."""
Members = list[tuple[tarfile.TarInfo, bytes]]
_WHITEOUT, _OPAQUE = ".wh.", ".wh..wh..opq"
_NAMES = ("a", "b", "c")


def seen(layers: list[Members]) -> Tree:
    """What is seen of a stack of layers."""
    tree: Tree = {}
    for members in layers:
        entries = [(info.name.rstrip("/"), info.isdir(), data) for info, data in members]
        for name, _, _ in entries:  # what a layer deletes is of the layers below
            parent, _, base = name.rpartition("/")
            if base == _OPAQUE:
                _remove(tree, parent, itself=False)
            elif base.startswith(_WHITEOUT):
                _remove(tree, f"{parent}/{base[4:]}".lstrip("/"), itself=True)
        own: set[str] = set()
        for name, is_directory, data in entries:
            parent, _, base = name.rpartition("/")
            _make_directory(tree, own, parent)
            if base.startswith(_WHITEOUT):
                continue
            if is_directory:
                _make_directory(tree, own, name)
            else:
                _remove(tree, name, itself=True)
                tree[name] = data
                own.add(name)
    return tree


def _make_directory(tree: Tree, own: set[str], name: str) -> None:
    for path in _above(name):
        if tree.get(path, b"") is not None:
            tree.pop(path, None)
            tree[path] = None
        own.add(path)


def _above(name: str) -> Iterator[str]:
    parts = name.split("/") if name else []
    for depth in range(1, len(parts) + 1):
        yield "/".join(parts[:depth])


def _remove(tree: Tree, name: str, *, itself: bool) -> None:
    for path in [path for path in tree if path.startswith(name + "/" if name else "")]:
        del tree[path]
    if itself:
        tree.pop(name, None)


def layers_by_chance(dice: random.Random, count: int) -> list[Members]:
    """Layers that make, replace and delete names of a small tree, in any order. No file is a parent in its layer."""
    return [_layer(dice, number) for number in range(count)]


def _layer(dice: random.Random, number: int) -> Members:
    files: set[str] = set()
    directories: set[str] = set()
    members: Members = []
    for _ in range(dice.randrange(1, 9)):
        name = "/".join(dice.choice(_NAMES) for _ in range(dice.randrange(1, 4)))
        parent = name.rpartition("/")[0]
        kind = dice.choice(("file", "file", "directory", "whiteout", "opaque"))
        if any(path in files for path in _above(parent)) or (kind == "directory" and name in files):
            continue
        if kind == "file" and name in directories:
            continue
        directories.update(_above(parent))
        if kind == "file":
            files.add(name)
            members.append(member(name, data=b"%d %d" % (number, dice.randrange(99))))
        elif kind == "directory":
            directories.add(name)
            members.append(directory(name))
        else:
            base = _OPAQUE if kind == "opaque" else _WHITEOUT + dice.choice(_NAMES)
            members.append(member(f"{parent}/{base}".lstrip("/")))
    return members
