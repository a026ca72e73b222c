"""Copy-up: an empty volume gets what the image has at the place where it is mounted. Nothing of it is executed."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import errdefs
from runtime import tree, tree_copy
from runtime.paths import open_in_root

_NOTHING = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)


def has_content(root: int, destination: str) -> bool:
    """Whether a root, by its descriptor, has a directory at a destination. Blocks.

    InvalidArgument if what the image has there is no directory.
    """
    with _content(root, destination) as directory:
        return directory is not None


def is_empty(volume: str) -> bool:
    """Whether nothing is in a volume's directory. Blocks. SystemFailure when it cannot be read."""
    try:
        with os.scandir(volume) as entries:
            return next(entries, None) is None
    except OSError as error:
        raise errdefs.SystemFailure(f"cannot look into {volume}: {error.strerror}") from error


def fill(root: int, destination: str, volume: str) -> None:
    """Copy what the image has there, with owners, modes, times and xattrs, into an empty volume. Blocks.

    The volume's directory gets the owner and mode of the image's. SystemFailure when the disk fails.
    """
    with _content(root, destination) as directory:
        if directory is None:
            return
        try:
            tree_copy.copy(f"/proc/self/fd/{directory}/.", volume)
        except OSError as error:
            raise errdefs.SystemFailure(
                f"cannot copy what the image has at {destination} into a volume: {error.strerror}"
            ) from error


def size_of(volume: str) -> int:
    """The bytes of all files in a volume, each inode once; what vanishes meanwhile does not count. Blocks."""
    sizes = {
        (step.stat.st_dev, step.stat.st_ino): step.stat.st_size
        for step in tree.walk(volume)
        if step.move is tree.Move.OBJECT
    }
    return sum(sizes.values())


@contextmanager
def _content(root: int, destination: str) -> Iterator[int | None]:
    """The directory as a descriptor, resolved by the kernel inside the root whatever links the image holds."""
    found = _open(root, destination)
    try:
        yield found
    finally:
        if found is not None:
            os.close(found)


def _open(root: int, destination: str) -> int | None:
    try:
        found = open_in_root(root, destination, os.O_PATH)
    except OSError as error:
        if error.errno in _NOTHING:
            return None
        raise
    if not stat.S_ISDIR(os.fstat(found).st_mode):
        os.close(found)
        raise errdefs.InvalidArgument(f"cannot mount volume over existing file, file exists {destination}")
    return found


def empty(volume: str, owner: tuple[int, int]) -> None:
    """Take a copy that failed back: nothing is in the volume, and the directory is `owner`'s as it was made. Blocks."""
    for entry in list(os.scandir(volume)):
        if entry.is_dir(follow_symlinks=False):
            tree.remove(Path(entry.path))
        else:
            os.unlink(entry.path)
    os.chown(volume, *owner)
    os.chmod(volume, 0o755)
