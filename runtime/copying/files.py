"""One file into a directory of the root: its content or what else it is, and then what it is like.

In that order, for what is written clears setuid and capabilities, and so does a new owner.
"""

import errno
import os
import stat
from collections.abc import Iterable

from errdefs import InvalidArgument
from runtime import tree_copy, writeback
from runtime.copying.places import Look, Place

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_SMALL = 1 << 16  # bytes that are copied by hand: two calls
_OF_OVERLAY = ("trusted.overlay.", "user.overlay.")
Attributes = list[tuple[str, bytes]]


def put_content(place: Place, source: int, found: os.stat_result, look: Look) -> None:
    """Copy a regular file that is open at `source`."""
    target = _new(place)
    try:
        if found.st_size > _SMALL:
            tree_copy.copy_content(source, target, found.st_size)
            if found.st_size >= writeback.STRIDE:
                writeback.begin(target, 0, found.st_size)
        elif found.st_size:
            _write(target, os.read(source, found.st_size))
        _finish(target, found, look, attributes_of(source))
    finally:
        os.close(target)


def put_bytes(place: Place, content: bytes, look: Look) -> None:
    """Make a file that has no time or owner of its own."""
    target = _new(place)
    try:
        _write(target, content)
        if look.owner is not None:
            os.fchown(target, *look.owner)
        os.fchmod(target, 0o644 if look.mode is None else look.mode.of(0o644, directory=False))
        if look.epoch is not None:
            os.utime(target, ns=(look.epoch * 10**9, look.epoch * 10**9))
    finally:
        os.close(target)


def _new(place: Place) -> int:
    try:
        return os.open(place.name, _NEW, 0o600, dir_fd=place.directory)
    except FileExistsError:
        place.clear()
        return os.open(place.name, _NEW, 0o600, dir_fd=place.directory)


def _write(target: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(target, view) :]


def _finish(target: int, found: os.stat_result, look: Look, attributes: Attributes) -> None:
    """Give an open file or directory what it is to be like."""
    uid, gid = look.owner or (found.st_uid, found.st_gid)
    os.fchown(target, uid, gid)
    os.fchmod(target, mode_of(found, look))
    for name, value in attributes:
        _set(target, name, value)
    os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))


def mode_of(found: os.stat_result, look: Look) -> int:
    """What a file's mode becomes."""
    mode = stat.S_IMODE(found.st_mode)
    return mode if look.mode is None else look.mode.of(mode, directory=stat.S_ISDIR(found.st_mode))


def finish_directory(place: Place, found: os.stat_result, look: Look, attributes: Attributes) -> None:
    """Make a directory like its source, when all that belongs in it is there."""
    target = os.open(
        place.name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=place.directory
    )
    try:
        _finish(target, found, look, attributes)
    finally:
        os.close(target)


def put_other(place: Place, source: Place | None, found: os.stat_result, look: Look) -> None:
    """Copy a link, which `source` is, or a device, a fifo or a socket, of which an empty file remains."""
    kind = stat.S_IFMT(found.st_mode)
    link = os.readlink(source.name, dir_fd=source.directory) if source and kind == stat.S_IFLNK else ""
    attributes: Attributes = []
    if source:
        os.fchdir(source.directory)
        attributes = attributes_at(source.name)
    try:
        _make(place, kind, found.st_rdev, link)
    except FileExistsError:
        place.clear()
        _make(place, kind, found.st_rdev, link)
    uid, gid = look.owner or (found.st_uid, found.st_gid)
    os.chown(place.name, uid, gid, dir_fd=place.directory, follow_symlinks=False)
    if kind != stat.S_IFLNK:
        os.chmod(place.name, mode_of(found, look), dir_fd=place.directory)
    if attributes:
        os.fchdir(place.directory)
        for name, value in attributes:
            _set(place.name, name, value)
    times = (found.st_atime_ns, found.st_mtime_ns)
    os.utime(place.name, ns=times, dir_fd=place.directory, follow_symlinks=False)


def _make(place: Place, kind: int, device: int, link: str) -> None:
    if kind == stat.S_IFLNK:
        os.symlink(link, place.name, dir_fd=place.directory)
        return
    if kind == stat.S_IFSOCK:
        kind = stat.S_IFREG
    try:
        os.mknod(place.name, kind | 0o600, device, dir_fd=place.directory)
    except PermissionError as error:
        # Device 0/0 is how overlayfs deletes: it makes none.
        raise InvalidArgument(f"failed to create device {place.path}: {error.strerror}") from error


def put_directory(place: Place) -> bool:
    """Have a directory at a place; whether it was made. InvalidArgument if something else is there."""
    try:
        os.mkdir(place.name, 0o700, dir_fd=place.directory)
    except FileExistsError:
        found = os.stat(place.name, dir_fd=place.directory, follow_symlinks=False)
        if not stat.S_ISDIR(found.st_mode):
            raise InvalidArgument(f"cannot copy to non-directory: {place.path}") from None
        return False
    return True


def put_link(place: Place, first: str) -> bool:
    """Make a hard link to the file at a path of the root; False if it must be copied instead."""
    try:
        _link(place, first)
    except FileExistsError:
        place.clear()
        _link(place, first)
    except OSError as error:
        if error.errno not in (errno.ENAMETOOLONG, errno.EMLINK):
            raise
        return False
    return True


def _link(place: Place, first: str) -> None:
    os.link(first, place.name, dst_dir_fd=place.directory, follow_symlinks=False)


def attributes_of(fd: int) -> Attributes:
    """The extended attributes of an open file or directory."""
    return _read(fd, os.listxattr(fd))


def attributes_at(path: str) -> Attributes:
    """Those of what is at a path, which may be a link: there they are to be had by path only."""
    return _read(path, os.listxattr(path, follow_symlinks=False))


def _read(file: int | str, names: Iterable[str]) -> Attributes:
    # How overlayfs reads a layer is not for a file to say.
    wanted = [name for name in names if not name.startswith(_OF_OVERLAY)]
    if isinstance(file, int):
        return [(name, os.getxattr(file, name)) for name in wanted]
    return [(name, os.getxattr(file, name, follow_symlinks=False)) for name in wanted]


def _set(file: int | str, name: str, value: bytes) -> None:
    """What the root's file system cannot hold is left out, as BuildKit does."""
    try:
        if isinstance(file, int):
            os.setxattr(file, name, value)
        else:
            os.setxattr(file, name, value, follow_symlinks=False)
    except OSError as error:
        if error.errno not in (errno.ENOTSUP, errno.EPERM, errno.EACCES, errno.EINVAL):
            raise
