"""A directory tree as a value: what each file is, has and says, and in what two trees differ."""

import hashlib
import os
import stat
from collections.abc import Container, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

OF_ENGINE = frozenset(
    {"dev", "proc", "sys", ".dockerenv", "etc/hosts", "etc/hostname", "etc/resolv.conf", "etc/mtab"}
)
"""What an engine puts into a container, or mounts over what the image has there."""
_CHANGED_BY_ENGINE = frozenset({".", "etc"})  # directories in which it does


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One file. `says` is the digest of its content, or where it leads to; `links` are the other names that it has."""

    kind: str
    mode: int
    uid: int
    gid: int
    mtime: int  # nanoseconds; 0 where the engine may have changed it
    size: int
    device: int
    says: str
    attributes: tuple[tuple[str, bytes], ...]
    links: tuple[str, ...]


Tree = dict[str, File]


def read(root: Path, *, without: Container[str] = ()) -> Tree:
    """The tree of a directory, itself being ".", but for the paths of `without` and what lies below them."""
    found = {path: os.lstat(f"{root}/{path}") for path in _walk(root, without)}
    names: dict[tuple[int, int], list[str]] = {}
    for path, status in found.items():
        if not stat.S_ISDIR(status.st_mode):
            names.setdefault((status.st_dev, status.st_ino), []).append(path)
    return {
        path: _file(root, path, status, names.get((status.st_dev, status.st_ino), [path]))
        for path, status in found.items()
    }


def differences(expected: Mapping[str, File], found: Mapping[str, File], most: int = 20) -> list[str]:
    """A line for each thing that is not as expected, the first ones."""
    lines = [f"{path!r} is missing" for path in sorted(expected.keys() - found.keys())]
    lines += [f"{path!r} should not be there" for path in sorted(found.keys() - expected.keys())]
    for path in sorted(expected.keys() & found.keys()):
        wanted, got = asdict(expected[path]), asdict(found[path])
        lines += [
            f"{path!r}: {name} is {got[name]!r}, not {wanted[name]!r}"
            for name in wanted
            if wanted[name] != got[name]
        ]
    return lines[:most]


def packed(tree: Tree) -> Tree:
    """What is left of a tree that Docker packs: seconds, and of all attributes the capabilities."""
    return {
        path: replace(
            file,
            mtime=file.mtime // 10**9 * 10**9,
            attributes=tuple(each for each in file.attributes if each[0] == "security.capability"),
        )
        for path, file in tree.items()
    }


def timeless(file: File) -> File:
    """The same, whenever it was changed."""
    return replace(file, mtime=0)


def _walk(root: Path, without: Container[str]) -> Iterator[str]:
    yield "."
    pending = [""]
    while pending:
        directory = pending.pop()
        with os.scandir(f"{root}/{directory}") as entries:
            for entry in entries:
                path = f"{directory}/{entry.name}" if directory else entry.name
                if path in without:
                    continue
                yield path
                if entry.is_dir(follow_symlinks=False):
                    pending.append(path)


def _file(root: Path, path: str, status: os.stat_result, names: list[str]) -> File:
    mode, where = status.st_mode, f"{root}/{path}"
    is_device = stat.S_ISCHR(mode) or stat.S_ISBLK(mode)
    return File(
        kind=stat.filemode(mode)[0],
        mode=stat.S_IMODE(mode),
        uid=status.st_uid,
        gid=status.st_gid,
        mtime=0 if path in _CHANGED_BY_ENGINE else status.st_mtime_ns,
        size=status.st_size if stat.S_ISREG(mode) else 0,
        device=status.st_rdev if is_device else 0,
        says=_said(where, mode),
        attributes=tuple(
            (name, os.getxattr(where, name, follow_symlinks=False))
            for name in sorted(os.listxattr(where, follow_symlinks=False))
        ),
        links=tuple(sorted(set(names) - {path})),
    )


def _said(where: str, mode: int) -> str:
    if stat.S_ISLNK(mode):
        return os.readlink(where)
    if not stat.S_ISREG(mode):
        return ""
    with open(where, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
