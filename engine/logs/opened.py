"""An open file of a log, plain or compressed, and a place in it."""

import os

import msgspec

from engine.logs.rotated import Name, inflated, open_name


class Place(msgspec.Struct, frozen=True):
    """A place that outlives its reader: the inode of the (once) plain file, an offset, and what stands before it."""

    inode: int
    offset: int
    mark: bytes


class OpenFile:
    """An open file of a log."""

    def __init__(self, name: Name, fd: int) -> None:
        self.name = name
        self.fd = fd
        self._content = -1 if name.compressed else fd

    @property
    def content(self) -> int:
        """A descriptor of the plain content. OSError if it cannot be had."""
        if self._content < 0:
            self._content = inflated(self.fd, os.path.dirname(self.name.path) or ".")
        return self._content

    @property
    def size(self) -> int:
        """Bytes of plain content."""
        return os.fstat(self.content).st_size

    def holds(self, place: Place) -> bool:
        """Whether what stands before a place stands there."""
        try:
            return os.pread(self.content, len(place.mark), place.offset - len(place.mark)) == place.mark
        except OSError:
            return False

    def close(self) -> None:
        """Let it go; once."""
        if self._content not in (-1, self.fd):
            os.close(self._content)
        os.close(self.fd)


def open_file(name: Name) -> OpenFile | None:
    """Open it; None if there is another file by that name by now, or none. Blocks."""
    fd = open_name(name.path)
    if fd is None:
        return None
    status = os.fstat(fd)
    if (status.st_dev, status.st_ino) == (name.device, name.inode):
        return OpenFile(name, fd)
    os.close(fd)
    return None
