"""Directories for data roots: overlayfs must be able to take its upper directory from them."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

CANDIDATES = (tempfile.gettempdir(), "/var/tmp", "/dev/shm")


def filesystem(path: Path) -> str:
    """Return the type of the filesystem that holds path ("ext4", "overlay", …), "" when it is not known."""
    device = path.stat().st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, source = line.partition(" - ")
        if fields.split()[2] == wanted:
            return source.split()[0]
    return ""


def make_root(prefix: str = "wherry-") -> Path:
    """Make a directory with a short path (a socket in it has to stay below 108 bytes), never on overlayfs."""
    for candidate in CANDIDATES:
        if os.access(candidate, os.W_OK) and filesystem(Path(candidate)) != "overlay":
            return Path(tempfile.mkdtemp(prefix=prefix, dir=candidate))
    raise RuntimeError(f"all of {', '.join(CANDIDATES)} are on overlayfs, where a data root cannot be")


def holding(root: Path, content: bytes) -> list[Path]:
    """The regular files below a root in which something is; what goes while a daemon works there does not matter."""
    return [path for path, held in _contents(root) if content in held]


def _contents(root: Path) -> Iterator[tuple[Path, bytes]]:
    for directory, _, names in os.walk(root):  # which goes on where a directory goes meanwhile
        for path in (Path(directory, name) for name in names):
            with suppress(FileNotFoundError):
                if path.is_file():
                    yield path, path.read_bytes()
