"""What a stack of overlay layers shows: looked up name by name, without mounting it."""

import os
import stat
from collections.abc import Sequence
from typing import TYPE_CHECKING

from runtime.tree import Cursor

if TYPE_CHECKING:
    from pathlib import Path

OVERLAYS = "trusted.overlay."
"""How the xattrs begin that are overlayfs' own."""
OPAQUE = "trusted.overlay.opaque"


def is_whiteout(found: os.stat_result) -> bool:
    """Whether this is the mark by which overlayfs deletes a name."""
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == 0


def is_opaque(path: str) -> bool:
    """Whether this directory hides what the layers below have under its name."""
    try:
        return os.getxattr(path, OPAQUE, follow_symlinks=False) == b"y"
    except OSError:
        return False


def capability(path: str) -> bytes:
    """The capabilities that a file gives, b"" for none."""
    try:
        return os.getxattr(path, "security.capability", follow_symlinks=False)
    except OSError:
        return b""


class Lower:
    """A place in the stack, first its root, the uppermost layer first. It never changes; it holds a descriptor a
    layer, however deep it goes.
    """

    def __init__(self, layers: "Sequence[Path]") -> None:
        self._all: list[Cursor] = []
        try:
            for layer in layers:
                self._all.append(Cursor(layer, held=0))  # there may be many layers
        except BaseException:
            self.close()
            raise
        self._here = [self._all]

    def close(self) -> None:
        """Let go of the descriptors."""
        for cursor in self._all:
            cursor.close()

    def find(self, name: str) -> os.stat_result | None:
        """What is seen under a name here, None for nothing."""
        return self._look(name)[0]

    def capability(self, name: str) -> bytes:
        """The capabilities of the file that is seen under a name here."""
        for cursor in self._here[-1]:
            path = f"/proc/self/fd/{cursor.fd}/{name}"
            if os.path.lexists(path):
                return capability(path)
        return b""

    def enter(self, name: str) -> None:
        """Go into a directory; into nothing, where there is none."""
        directories = self._look(name)[1]
        for cursor in directories:
            cursor.down(name)
        self._here.append(directories)

    def leave(self) -> None:
        """Go back."""
        for cursor in self._here.pop():
            cursor.up()

    def names(self) -> set[str]:
        """All names that are seen here."""
        candidates = {name for cursor in self._here[-1] for name in os.listdir(cursor.fd)}
        return {name for name in candidates if self.find(name) is not None}

    def _look(self, name: str) -> tuple[os.stat_result | None, list[Cursor]]:
        """What is seen, and the layers whose directories make it up."""
        seen: os.stat_result | None = None
        directories: list[Cursor] = []
        for cursor in self._here[-1]:
            try:
                found = os.stat(name, dir_fd=cursor.fd, follow_symlinks=False)
            except FileNotFoundError:
                continue
            if is_whiteout(found) or (seen is not None and not stat.S_ISDIR(found.st_mode)):
                break
            seen = seen or found
            if not stat.S_ISDIR(found.st_mode):
                break
            directories.append(cursor)
            if is_opaque(f"/proc/self/fd/{cursor.fd}/{name}"):
                break
        return seen, directories
