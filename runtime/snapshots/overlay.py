"""Snapshots by overlayfs: a snapshot's directory holds only its own layer, the kernel stacks them."""

import os
import secrets
import stat
from pathlib import Path
from typing import Literal

from errdefs import InvalidArgument
from runtime import tree, tree_copy
from runtime.layers.lower import OPAQUE, is_opaque
from runtime.mount import Mount, check_overlay
from runtime.snapshots.directories import DirectorySnapshotter
from runtime.snapshots.snapshotter import Info, Kind, Usage

_MAX_LAYERS = 500  # OVL_MAX_STACK
# index: an upper directory may be remounted after a crash, and be moved by commit. metacopy and
# redirect_dir: a layer must be readable without overlayfs, as a plain tree of what changed.
_OPTIONS = ("index=off", "metacopy=off", "redirect_dir=off")


class OverlaySnapshotter(DirectorySnapshotter):
    """See runtime.snapshots.snapshotter.Snapshotter."""

    whiteouts: Literal["overlay", "remove"] = "overlay"
    stacks_late = True

    def _fill(self, staging: Path, info: Info) -> None:
        upper = staging / "fs"
        upper.mkdir()
        upper.chmod(0o755)
        (staging / "work").mkdir(mode=0o700)
        if info.parent is not None:
            self._stack(upper, info, inherit_root=True)

    def _stack(self, own: Path, info: Info, *, inherit_root: bool) -> None:
        chain = self._chain(info)
        if len(chain) >= _MAX_LAYERS:
            raise InvalidArgument("max depth exceeded")
        if not inherit_root:
            return
        # The uppermost layer's root directory is the root directory that a container sees.
        below = self._path(chain[0]) / "fs"
        marks = _marks(own)
        tree_copy.copy_metadata(str(below), str(own), below.stat())
        for name in _marks(own):
            os.removexattr(own, name)
        for name, value in marks.items():
            os.setxattr(own, name, value)

    def mounts(self, key: str, *, read_only: bool = False) -> list[Mount]:
        """See Snapshotter."""
        info = self._mountable(key)
        own = self._path(info)
        lower = self._lower(info)
        read_only = read_only or info.kind is Kind.VIEW
        if not lower:
            access = "ro" if read_only else "rw"
            return [Mount(type="bind", source=str(own / "fs"), options=("rbind", access))]
        if read_only:
            # A lone layer cannot be an overlay, so the view's empty directory is the second.
            options = ["ro", *(f"lowerdir+={path}" for path in (own / "fs", *lower))]
        else:
            options = [f"lowerdir+={path}" for path in lower]
            options += [f"upperdir={own / 'fs'}", f"workdir={own / 'work'}"]
        return [Mount(type="overlay", source="overlay", options=(*options, *_OPTIONS))]

    def _trial(self, staging: Path) -> Mount:
        options = (f"lowerdir+={staging}/lower", f"upperdir={staging}/fs", f"workdir={staging}/work")
        return Mount(type="overlay", source="overlay", options=(*options, *_OPTIONS))

    def below(self, key: str) -> list[Path]:
        """See Snapshotter."""
        return self._lower(self._known(key))

    def _lower(self, info: Info) -> list[Path]:
        """Return the parents' directories, the uppermost first, down to one that hides all below it.

        The kernel does not look at the opaque mark of a layer's root directory, so the stack ends there.
        """
        lower = []
        for parent in self._chain(info):
            lower.append(self._path(parent) / "fs")
            if is_opaque(str(lower[-1])):
                break
        return lower

    def _measure(self, info: Info) -> Usage:
        inodes: set[tuple[int, int]] = set()
        size = directories = 0
        for step in tree.walk(self._path(info) / "fs"):
            if step.move is tree.Move.ENTER:
                directories += 1
            elif (
                step.move is tree.Move.OBJECT
                and (inode := (step.stat.st_dev, step.stat.st_ino)) not in inodes
            ):
                inodes.add(inode)
                size += step.stat.st_size
        return Usage(size=size, inodes=len(inodes) + directories)


def _marks(directory: Path) -> dict[str, bytes]:
    """What a layer tells overlayfs about one of its directories."""
    names = [name for name in os.listxattr(directory) if name.startswith("trusted.overlay.")]
    return {name: os.getxattr(directory, name) for name in names}


def supported(root: Path) -> bool:
    """Tell whether snapshots by overlay can be kept below the existing directory `root`.

    They cannot where `root` is on an overlay itself, on a network filesystem, or where devices or trusted
    xattrs cannot be made. Nothing is mounted, nothing is left.
    """
    probe = root / f".overlay-{secrets.token_hex(8)}"
    try:
        for name in ("lower", "upper", "work"):
            (probe / name).mkdir(parents=True)
        os.mknod(probe / "upper" / "whiteout", stat.S_IFCHR, os.makedev(0, 0))
        os.setxattr(probe / "upper", OPAQUE, b"y")
        options = (f"lowerdir={probe / 'lower'}", f"upperdir={probe / 'upper'}", f"workdir={probe / 'work'}")
        return check_overlay(Mount(type="overlay", source="overlay", options=(*options, *_OPTIONS))) is None
    except OSError:
        return False
    finally:
        tree.remove(probe)
