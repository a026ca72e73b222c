"""Making what is neither a file nor a directory, and giving anything its extended attributes."""

import errno
import os
import stat

from errdefs import InvalidArgument
from runtime.layers import header as tar
from runtime.layers.header import Header, show


def make(entry: Header, target: bytes, path: bytes) -> None:
    """Make a link, a device or a fifo where nothing stands; `target` is where a link leads.

    InvalidArgument for what archives cannot ask for, OSError.
    """
    match entry.type:
        case tar.SYMLINK:
            os.symlink(target, path)
        case tar.HARD_LINK:
            _link(target, path)
        case tar.CHARACTER:
            os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(*entry.device))
        case tar.BLOCK_DEVICE:
            os.mknod(path, stat.S_IFBLK | 0o600, os.makedev(*entry.device))
        case tar.FIFO:
            os.mkfifo(path, 0o600)
        case _:
            raise InvalidArgument(f"archive entry {show(entry.name)}: unknown type {show(entry.type)}")


def _link(target: bytes, path: bytes) -> None:
    try:
        os.link(target, path, follow_symlinks=False)
    except PermissionError:
        raise InvalidArgument(f"archive entry {show(path)}: a hard link to a directory") from None


def set_xattrs(target: int | bytes, entry: Header) -> None:
    """Give what is open, or at a path, the attributes of its entry, but those that the file system cannot have."""
    for name, value in entry.xattrs:
        # How overlayfs reads a layer is not for the layer to say.
        if name.startswith(b"trusted.overlay."):
            continue
        try:
            if isinstance(target, int):
                os.setxattr(target, name, value)
            else:
                os.setxattr(target, name, value, follow_symlinks=False)
        except OSError as error:
            unsupported = error.errno == errno.ENOTSUP
            # The kernel keeps user xattrs to files and directories.
            if not unsupported and not (error.errno == errno.EPERM and name.startswith(b"user.")):
                raise
