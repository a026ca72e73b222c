"""Deletions in a layer: how they are carried out where it is unpacked.

A layer says `.wh.NAME` for "what lower layers have at NAME is gone" and `.wh..wh..opq` for "what they
have in this directory is gone" (OCI image spec, "Whiteouts"). Neither touches what the layer itself
brings, in whatever order. Paths are relative to the root and go through no link.
"""

import os
import stat
from typing import Protocol

from errdefs import InvalidArgument
from runtime import tree
from runtime.layers.header import show
from runtime.layers.lower import OPAQUE

_MEMORY = 16 << 20  # about 100,000 files of usual names
_ENTRY = 100  # bytes beside a name


class Whiteouts(Protocol):
    """What the extractor tells of a layer's deletions and of what it makes."""

    def hide(self, path: bytes) -> None:
        """Delete what lower layers have at `path`."""

    def hide_content(self, directory: bytes) -> None:
        """Delete what lower layers have in a directory; b"" is the root."""

    def replace(self, path: bytes) -> bool:
        """Tell whether what stands at `path` is a deletion that a new directory has to go on with."""

    def renew(self, directory: bytes) -> None:
        """A directory was made where `replace` said yes."""

    def made(self, path: bytes) -> None:
        """The layer brought something at `path`."""


class OverlayWhiteouts:
    """As overlayfs wants it: a character device 0/0, and an xattr on the directory. All there is, is the layer's."""

    def hide(self, path: bytes) -> None:
        """See Whiteouts."""
        try:
            os.mknod(path, stat.S_IFCHR, os.makedev(0, 0))
        except FileExistsError:
            # The layer brought something itself, which hides the same; but a directory would be merged.
            if stat.S_ISDIR(os.lstat(path).st_mode):
                self.hide_content(path)

    def hide_content(self, directory: bytes) -> None:
        """See Whiteouts."""
        os.setxattr(directory or b".", OPAQUE, b"y")

    def replace(self, path: bytes) -> bool:
        """See Whiteouts."""
        found = os.lstat(path)
        return stat.S_ISCHR(found.st_mode) and found.st_rdev == 0

    def renew(self, directory: bytes) -> None:
        """See Whiteouts."""
        self.hide_content(directory)

    def made(self, path: bytes) -> None:
        """See Whiteouts."""


class RemovingWhiteouts:
    """On a plain copy of the lower layers: deleted at once, but for what the layer brought before.

    Of that, so many bytes are remembered. Where a layer brings more, a deletion that would have to know the rest is an
    InvalidArgument: it may stand before what the layer brings, as tools write it.
    """

    def __init__(self, memory: int = _MEMORY) -> None:
        """Nothing is the layer's own yet; at most `memory` bytes of it are remembered."""
        self._own: set[bytes] = set()
        self._left = memory

    def hide(self, path: bytes) -> None:
        """See Whiteouts."""
        if path in self._own:
            self.hide_content(path)
        elif os.path.lexists(path):
            self._delete(path)

    def hide_content(self, directory: bytes) -> None:
        """See Whiteouts."""
        pending = [directory]
        while pending:
            here = pending.pop()
            if not stat.S_ISDIR(os.lstat(here or b".").st_mode):
                continue
            for name in os.listdir(here or b"."):
                path = here + b"/" + name if here else name
                if path in self._own:
                    pending.append(path)
                else:
                    self._delete(path)

    def replace(self, path: bytes) -> bool:  # noqa: ARG002 - here a deletion leaves nothing
        """See Whiteouts."""
        return False

    def renew(self, directory: bytes) -> None:
        """See Whiteouts."""

    def made(self, path: bytes) -> None:
        """See Whiteouts."""
        while path and path not in self._own and self._left > 0:
            self._own.add(path)
            self._left -= len(path) + _ENTRY
            path = path.rpartition(b"/")[0]

    def _delete(self, path: bytes) -> None:
        if self._left <= 0:
            raise InvalidArgument(
                f"archive entry {show(path)}: a whiteout after more files than are remembered"
            )
        delete(path)


def delete(path: bytes) -> None:
    """Delete a file, or a directory with all in it."""
    try:
        os.unlink(path)
    except IsADirectoryError:
        tree.remove(os.fsdecode(path))
