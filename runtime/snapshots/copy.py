"""Snapshots by plain copies: slow and large, and at home on every filesystem, an overlay too."""

import os
from pathlib import Path
from typing import Literal

from runtime import tree, tree_copy
from runtime.mount import Mount
from runtime.snapshots.directories import DirectorySnapshotter
from runtime.snapshots.snapshotter import Info, Kind, Usage


class CopySnapshotter(DirectorySnapshotter):
    """See runtime.snapshots.snapshotter.Snapshotter."""

    whiteouts: Literal["overlay", "remove"] = "remove"
    stacks_late = False

    def _fill(self, staging: Path, info: Info) -> None:
        own = staging / "fs"
        own.mkdir()
        own.chmod(0o755)
        if info.parent is not None:
            tree_copy.copy(self._path(self._index[info.parent]) / "fs", own)

    def mounts(self, key: str, *, read_only: bool = False) -> list[Mount]:
        """See Snapshotter."""
        info = self._mountable(key)
        access = "ro" if read_only or info.kind is Kind.VIEW else "rw"
        return [Mount(type="bind", source=str(self._path(info) / "fs"), options=("rbind", access))]

    def _trial(self, staging: Path) -> Mount:
        return Mount(type="bind", source=f"{staging}/fs", options=("rbind", "rw"))

    def below(self, key: str) -> list[Path]:
        """See Snapshotter."""
        return [self._path(parent) / "fs" for parent in self._chain(self._known(key))[:1]]

    def _measure(self, info: Info) -> Usage:
        below = self._index.get(info.parent or "")
        parent = _Parent(self._path(below) / "fs" if below is not None else None)
        inodes: set[tuple[int, int]] = set()
        size = directories = 0
        try:
            for step in tree.walk(self._path(info) / "fs"):
                same = parent.has(step)
                if step.move is tree.Move.ENTER:
                    directories += not same
                elif step.move is tree.Move.OBJECT and not same:
                    new = (step.stat.st_dev, step.stat.st_ino) not in inodes
                    inodes.add((step.stat.st_dev, step.stat.st_ino))
                    size += step.stat.st_size if new else 0
        finally:
            parent.close()
        return Usage(size=size, inodes=len(inodes) + directories)


class _Parent:
    """Follows a walk in the parent's tree, to tell what a copy has in common with it."""

    def __init__(self, root: Path | None) -> None:
        self._cursor = tree.Cursor(root) if root is not None else None
        self._beyond = 0  # how many levels below what the parent has

    def close(self) -> None:
        if self._cursor:
            self._cursor.close()

    def has(self, step: tree.Step) -> bool:
        """Tell whether the parent has the same; a file is the same when type, owner, size and mtime are."""
        if not self._cursor:
            return False
        if step.move is tree.Move.LEAVE:
            if self._beyond:
                self._beyond -= 1
            else:
                self._cursor.up()
            return True
        if step.move is tree.Move.ENTER:
            return self._enter(self._cursor, step.name)
        return not self._beyond and _same(self._cursor.fd, step)

    def _enter(self, cursor: tree.Cursor, name: str) -> bool:
        if not self._beyond:
            try:
                cursor.down(name)
            except OSError:
                pass
            else:
                return True
        self._beyond += 1
        return False


def _same(dir_fd: int, step: tree.Step) -> bool:
    try:
        other = os.stat(step.name, dir_fd=dir_fd, follow_symlinks=False)
    except OSError:
        return False
    fields = ("st_mode", "st_uid", "st_gid", "st_size", "st_mtime_ns", "st_rdev")
    return all(getattr(other, field) == getattr(step.stat, field) for field in fields)
