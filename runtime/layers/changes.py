"""What an active snapshot changed of what lies below it: Docker's `diff`, by a walk of its own directory alone.

A path is MODIFIED when it was there before and is another one now (a directory: by its owner and mode, or
because something in it changed), ADDED when it was not there, DELETED when it is there no more. Of what was
deleted with its directory only the uppermost path is told; of what was added every path is.
"""

import os
import stat
from collections.abc import Callable, Sequence
from enum import IntEnum
from pathlib import Path

import msgspec

from runtime import tree
from runtime.layers.lower import Lower, capability, is_opaque, is_whiteout
from runtime.tree import Move, Step


class Kind(IntEnum):
    """How a path changed; the numbers are Docker's."""

    MODIFIED = 0
    ADDED = 1
    DELETED = 2


class Change(msgspec.Struct, frozen=True):
    """One path, absolute, and how it changed."""

    path: str
    kind: Kind


def changes(
    upper: Path, below: Sequence[Path], *, whole: bool = False, mount_points: frozenset[str] = frozenset()
) -> list[Change]:
    """Compare the directory `upper` with the stack `below`, the uppermost layer first; directories before what is
    in them. Blocks.

    With `whole` the upper directory is a copy of all rather than an overlay's part. An empty file, directory or link
    at one of `mount_points` is not shown unless it was there before.
    """
    return _walked(upper, below, whole, mount_points, None).shown


def own(
    upper: Path, below: Sequence[Path], *, whole: bool = False, mount_points: frozenset[str] = frozenset()
) -> list[str]:
    """What `changes` does not show: empty files, links and directories that were made at `mount_points`, and
    directories that hold nothing else. Absolute paths from `upper`. Blocks, but not for long: it looks at nothing else.
    """
    return _walked(upper, below, whole, mount_points, lambda path: _is_above(path, mount_points)).own


def _walked(
    upper: Path,
    below: Sequence[Path],
    whole: bool,
    mount_points: frozenset[str],
    into: Callable[[str], bool] | None,
) -> "_Walk":
    walk = _Walk(upper, below, whole=whole, mount_points=mount_points)
    try:
        for step in tree.walk(upper, into):
            walk.take(step)
        walk.end()
    finally:
        walk.close()
    return walk


def different(before: os.stat_result, after: os.stat_result) -> bool:
    """Whether a path is another one now, as Docker tells it: mode, owner, device; of files also size and time."""
    if (before.st_mode, before.st_uid, before.st_gid, before.st_rdev) != (
        after.st_mode,
        after.st_uid,
        after.st_gid,
        after.st_rdev,
    ):
        return True
    return not stat.S_ISDIR(before.st_mode) and (
        before.st_size != after.st_size or before.st_mtime_ns != after.st_mtime_ns
    )


class _Level(msgspec.Struct):
    """A directory that the walk is in. `place` is where its own change stands, or would, in the list."""

    path: str
    place: int
    told: bool  # whether its own change is in the list
    hides: bool = False  # what was below it and is not met in it, is deleted
    met: set[str] = msgspec.field(default_factory=set)
    bare: bool = True  # whether it holds nothing but what the engine made


class _Walk:
    def __init__(
        self, upper: Path, below: Sequence[Path], *, whole: bool, mount_points: frozenset[str]
    ) -> None:
        self._lower = Lower(below)
        self._mount_points = mount_points
        self.shown: list[Change] = []
        self.own: list[str] = []
        self._levels = [_Level("", 0, told=True, hides=whole or is_opaque(os.fspath(upper)))]

    def close(self) -> None:
        self._lower.close()

    def end(self) -> None:
        self._delete_unmet(self._levels[0])

    def take(self, step: Step) -> None:
        if step.move is Move.LEAVE:
            self._leave(self._levels.pop())
            return
        level = self._levels[-1]
        level.met.add(step.name)
        path = f"{level.path}/{step.name}"
        before = self._lower.find(step.name)
        if step.move is Move.ENTER:
            self._enter(step, path, before)
        elif before is None and path in self._mount_points and _is_made(step.stat):
            self.own.append(path)
        else:
            level.bare = False
            self._object(step, path, before)

    def _object(self, step: Step, path: str, before: os.stat_result | None) -> None:
        if is_whiteout(step.stat):
            if before is not None:
                self._show(path, Kind.DELETED)
            return
        if before is not None and not different(before, step.stat):
            if self._gives_other_capabilities(step):
                self._show(path, Kind.MODIFIED)
            return
        self._compare(path, before, step.stat)
        if before is not None and stat.S_ISDIR(before.st_mode):
            self._lower.enter(step.name)
            self._delete_all_but(path, set())
            self._lower.leave()

    def _gives_other_capabilities(self, step: Step) -> bool:
        if not stat.S_ISREG(step.stat.st_mode):
            return False
        own = capability(f"/proc/self/fd/{step.dir_fd}/{step.name}")
        return own != self._lower.capability(step.name)

    def _enter(self, step: Step, path: str, before: os.stat_result | None) -> None:
        known = before is not None and stat.S_ISDIR(before.st_mode)
        made = before is None and _is_above(path, self._mount_points)
        same = known and before is not None and not different(before, step.stat)
        level = _Level(path, len(self.shown), told=not made and not same)
        if level.told:
            self._compare(path, before, step.stat)
        level.hides = known and (
            self._levels[-1].hides or is_opaque(f"/proc/self/fd/{step.dir_fd}/{step.name}")
        )
        self._lower.enter(step.name)
        self._levels.append(level)

    def _leave(self, level: _Level) -> None:
        self._delete_unmet(level)
        self._lower.leave()
        if len(self.shown) > level.place:
            level.bare = False
        if not level.told and len(self.shown) > level.place:
            self.shown.insert(level.place, Change(level.path, Kind.MODIFIED))
        if not level.told and level.bare and _is_above(level.path, self._mount_points):
            self.own.append(level.path)
        else:
            self._levels[-1].bare = False

    def _delete_unmet(self, level: _Level) -> None:
        if level.hides:
            self._delete_all_but(level.path, level.met)

    def _delete_all_but(self, path: str, met: set[str]) -> None:
        for name in sorted(self._lower.names() - met):
            self._show(f"{path}/{name}", Kind.DELETED)

    def _compare(self, path: str, before: os.stat_result | None, after: os.stat_result) -> None:
        if before is None:
            self._show(path, Kind.ADDED)
        elif different(before, after):
            self._show(path, Kind.MODIFIED)

    def _show(self, path: str, kind: Kind) -> None:
        self.shown.append(Change(path, kind))


def _is_above(path: str, mount_points: frozenset[str]) -> bool:
    return path in mount_points or any(each.startswith(path + "/") for each in mount_points)


def _is_made(found: os.stat_result) -> bool:
    return stat.S_ISLNK(found.st_mode) or (stat.S_ISREG(found.st_mode) and found.st_size == 0)
