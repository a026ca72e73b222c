"""Places that the runtime makes to mount on: what of them was not there before is no part of the layer, as in BuildKit.

Nobody else is at the root meanwhile: the step's processes do not run yet, or no more.
"""

import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path, PurePosixPath

from runtime.paths import open_in_root


def missing(root: Path, targets: Iterable[str]) -> list[str]:
    """What has to be made to mount at these paths: absolute paths in the root, the deepest first. Blocks."""
    top = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        found = {path for target in targets for path in _missing(top, PurePosixPath("/", target.lstrip("/")))}
    finally:
        os.close(top)
    return sorted(found, key=lambda path: -path.count("/"))


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


def clean(root: Path, stubs: Iterable[str]) -> None:
    """Remove what stands at these paths, the deepest first, if nothing is in it. Blocks."""
    top = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for stub in stubs:
            with suppress(OSError):  # it is not there, in use, or immutable
                _remove(top, *os.path.split(stub))
    finally:
        os.close(top)


def _remove(top: int, above: str, name: str) -> None:
    """The directory that it was in keeps its times, so that builds can be repeated."""
    parent = open_in_root(top, above, os.O_RDONLY | os.O_DIRECTORY)
    try:
        times, found = os.fstat(parent), os.stat(name, dir_fd=parent, follow_symlinks=False)
        if stat.S_ISDIR(found.st_mode):
            os.rmdir(name, dir_fd=parent)
        elif stat.S_ISREG(found.st_mode) and found.st_size == 0:
            os.unlink(name, dir_fd=parent)
        os.utime(parent, ns=(times.st_atime_ns, times.st_mtime_ns))
    finally:
        os.close(parent)
