"""Places that the runtime makes to mount on: what of them was not there before is no part of the layer, as in BuildKit.

Nobody else is at the root meanwhile: the step's processes do not run yet, or no more.
"""

import os
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from runtime.layers import changes
from runtime.paths import open_in_root


def places(root: Path, targets: Iterable[str]) -> frozenset[str]:
    """Where mounts at these paths come to be, links resolved: absolute paths in the root. Blocks."""
    top = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return frozenset(_resolved(top, PurePosixPath("/", target.lstrip("/"))) for target in targets)
    finally:
        os.close(top)


def _resolved(top: int, target: PurePosixPath) -> str:
    """The true path of the deepest part that is there, and the rest as it is."""
    missing: list[str] = []
    for part in (target, *target.parents):
        try:
            found = open_in_root(top, str(part), os.O_PATH)
        except OSError:
            missing.insert(0, part.name)
            continue
        try:
            base = os.path.relpath(os.readlink(f"/proc/self/fd/{found}"), os.readlink(f"/proc/self/fd/{top}"))
        finally:
            os.close(found)
        return os.path.normpath(os.path.join("/", base, *missing))
    return str(target)


def clean(root: Path, upper: Path, below: Sequence[Path], made: frozenset[str]) -> None:
    """Remove what stands at these places in the mounted root and was not there before, if nothing is in it. Blocks."""
    stubs = changes.own(upper, below, mount_points=made)
    if not stubs:
        return
    top = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for stub in sorted(stubs, key=lambda path: -path.count("/")):
            _remove(top, stub)
    finally:
        os.close(top)


def _remove(top: int, stub: str) -> None:
    """The directory that it was in keeps its times, so that builds can be repeated."""
    above, name = os.path.split(stub)
    try:
        parent = open_in_root(top, above, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return
    try:
        times = os.fstat(parent)
        if stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
            os.rmdir(name, dir_fd=parent)
        else:
            os.unlink(name, dir_fd=parent)
        os.utime(parent, ns=(times.st_atime_ns, times.st_mtime_ns))
    except OSError:
        pass  # what is in use, or immutable, stays
    finally:
        os.close(parent)
