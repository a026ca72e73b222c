"""The names of one log: `log` and `log.N`, plain or compressed, and how a rotated file is compressed.

The shim alone shifts names. A compressed file takes a plain one's place under a lock on the directory, for which the
shim does not wait: it rotates a little later. It notes in its header of which inode it was made, so that a place in
the plain file is a place in this one.
"""

import fcntl
import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

import msgspec
from isal import isal_zlib

SUFFIX = ".gz"

_HEADER = struct.Struct(
    "<4sIBBH2sHQ"
)  # magic, method, flags; time; two bytes; the extra field: WH, 8 bytes, inode
_MAGIC = b"\x1f\x8b\x08\x04"
_MARK = b"WH"
_BLOCK = 256 * 1024
_LEVEL = 1  # isal's: half the time of its next for a few percent
_GZIP = 31  # zlib's code for a stream with gzip's header


class Name(msgspec.Struct, frozen=True):
    """A name of the log as it was found. `origin` is the inode of the plain file, `inode` of what is there now."""

    path: str
    device: int
    inode: int
    origin: int
    compressed: bool


def names(path: str) -> list[Name]:
    """The names that exist, newest first; a rotation under way leaves one out for a moment."""
    directory, name = os.path.split(path)
    try:
        present = os.listdir(directory or ".")
    except OSError:
        return []
    numbers = dict(
        sorted(_numbers(name, present), reverse=True)
    )  # of a plain file and its copy the plain one
    found = (
        _look(f"{path}.{number}{suffix}" if number else path) for number, suffix in sorted(numbers.items())
    )
    return [each for each in found if each is not None]


def open_name(path: str) -> int | None:
    """A descriptor to read a log's file; None if there is none, or it is no file."""
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None


def inflated(fd: int, directory: str) -> int:
    """A descriptor of the content of a compressed file, up to where it is damaged, in a file without a name."""
    plain = _nameless(directory)
    try:
        with os.fdopen(os.dup(fd), "rb", buffering=0) as source, suppress(zlib.error):
            source.seek(0)
            decoder = zlib.decompressobj(_GZIP)
            while block := source.read(_BLOCK):
                _write(plain, decoder.decompress(block))
    except OSError:
        os.close(plain)
        raise
    return plain


def compress(path: str) -> bool:
    """Compress the rotated files of a log that are plain; False if one could not be. Blocks, for long."""
    _remove_left(path)
    return all(_compress(path, each) for each in names(path)[1:] if not each.compressed)


def _compress(path: str, name: Name) -> bool:
    temporary = f"{path}.compressing"
    try:
        source = os.open(name.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            if os.fstat(source).st_ino != name.inode:
                return True  # the names were shifted: the next time
            _write_compressed(source, name.inode, temporary)
            with _locked(os.path.dirname(path) or "."):
                return _put_in_place(path, name.inode, temporary)
        finally:
            os.close(source)
    except OSError:
        with suppress(OSError):
            os.unlink(temporary)
        return False


def _put_in_place(path: str, inode: int, temporary: str) -> bool:
    for now in names(path)[1:]:
        if now.inode == inode and not now.compressed:
            os.rename(temporary, now.path + SUFFIX)
            os.unlink(now.path)
            return True
    os.unlink(temporary)  # it was the oldest, and is gone
    return True


def _write_compressed(source: int, inode: int, temporary: str) -> None:
    checksum = size = 0
    encoder = isal_zlib.compressobj(_LEVEL, wbits=-15)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    target = os.open(temporary, flags, 0o640)
    try:
        _write(target, _HEADER.pack(_MAGIC, 0, 0, 255, 12, _MARK, 8, inode))
        while block := os.read(source, _BLOCK):
            checksum, size = zlib.crc32(block, checksum), size + len(block)
            _write(target, encoder.compress(block))
        _write(target, encoder.flush() + struct.pack("<II", checksum, size & 0xFFFFFFFF))
        os.fsync(target)  # the plain file goes next
    finally:
        os.close(target)


def _remove_left(path: str) -> None:
    """What a daemon that was killed left: half a copy, or a plain file beside its whole copy."""
    with suppress(OSError):
        os.unlink(f"{path}.compressing")
    with suppress(OSError), _locked(os.path.dirname(path) or "."):
        for each in names(path)[1:]:
            if not each.compressed:
                with suppress(OSError):
                    os.unlink(each.path + SUFFIX)


@contextmanager
def _locked(directory: str) -> Iterator[None]:
    lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _nameless(directory: str) -> int:
    """Beside the log, or in memory where that disk takes no more."""
    try:
        fd = os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        os.posix_fallocate(fd, 0, 1 << 20)
        os.ftruncate(fd, 0)
        return fd
    except OSError:
        return os.memfd_create("log", os.MFD_CLOEXEC)


def _write(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


def _numbers(name: str, present: Iterable[str]) -> Iterator[tuple[int, str]]:
    """(0, "") for the log's own name, (N, suffix) for `name.N` and `name.N.gz`; nothing for other files."""
    for other in present:
        if other == name:
            yield 0, ""
        elif other.startswith(f"{name}."):
            number, dot, suffix = other[len(name) + 1 :].partition(".")
            if number.isascii() and number.isdecimal() and dot + suffix in ("", SUFFIX):
                yield int(number), dot + suffix


def _look(path: str) -> Name | None:
    try:
        status = os.stat(path, follow_symlinks=False)
        if not path.endswith(SUFFIX):
            return Name(path, status.st_dev, status.st_ino, status.st_ino, compressed=False)
        return Name(path, status.st_dev, status.st_ino, _origin(path) or status.st_ino, compressed=True)
    except OSError:
        return None


def _origin(path: str) -> int:
    """The inode that a compressed file was made of; 0 if it does not tell."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        head = os.read(fd, _HEADER.size)
    finally:
        os.close(fd)
    if len(head) < _HEADER.size or not head.startswith(_MAGIC):
        return 0
    *_, mark, _, inode = _HEADER.unpack(head)
    return int(inode) if mark == _MARK else 0
