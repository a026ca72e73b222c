"""Places that the runtime makes to mount on: what of them was not there before is no part of the layer, as in BuildKit.

Nobody else is at the root meanwhile: the step's processes do not run yet, or no more.
"""

import os
import stat
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath

from runtime.layers import changes
from runtime.paths import open_in_root


def missing(root: Path, targets: Iterable[str]) -> set[str]:
    """What has to be made to mount at these paths: absolute paths in the root. Blocks."""
    top = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return {path for target in targets for path in _missing(top, PurePosixPath("/", target.lstrip("/")))}
    finally:
        os.close(top)


def _missing(top: int, target: PurePosixPath) -> list[str]:
    """The deepest part that is there is looked for, links resolved; the rest is missing."""
    absent: list[str] = []
    for part in (target, *target.parents):
        try:
            found = open_in_root(top, str(part), os.O_PATH)
        except OSError:
            absent.insert(0, part.name)
            continue
        try:
            base = os.path.relpath(os.readlink(f"/proc/self/fd/{found}"), os.readlink(f"/proc/self/fd/{top}"))
        finally:
            os.close(found)
        return [os.path.normpath(os.path.join("/", base, *absent[: n + 1])) for n in range(len(absent))]
    return []


def clean(upper: Path, below: Sequence[Path], made: Iterable[str]) -> None:
    """Remove what was made at these paths from a root's changes, and directories that were copied for it alone. Blocks.

    The root is not mounted.
    """
    own = changes.own(upper, below, mount_points=frozenset(made))
    if not own:
        return
    top = os.open(upper, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for path in sorted(own, key=lambda path: -path.count("/")):
            with suppress(OSError):  # it is immutable
                _remove(top, *os.path.split(path))
    finally:
        os.close(top)


def _remove(top: int, above: str, name: str) -> None:
    """The directory that it was in keeps its times, so that builds can be repeated."""
    parent = open_in_root(top, above, os.O_RDONLY | os.O_DIRECTORY)
    try:
        times = os.fstat(parent)
        if stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
            os.rmdir(name, dir_fd=parent)
        else:
            os.unlink(name, dir_fd=parent)
        os.utime(parent, ns=(times.st_atime_ns, times.st_mtime_ns))
    finally:
        os.close(parent)
