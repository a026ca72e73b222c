"""Tar headers as values: ustar, GNU and pax, read from bytes; no input, no output.

Formats: pax(1) of POSIX.1-2017, GNU tar's "Basic Tar Format" and "Storing Sparse Files". Whatever is
malformed is an InvalidArgument.
"""

import struct
from array import array
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import TypeAlias
from zlib import adler32

from errdefs import InvalidArgument

BLOCK = 512
REGULAR, HARD_LINK, SYMLINK, CHARACTER, BLOCK_DEVICE, DIRECTORY, FIFO = (
    b"0",
    b"1",
    b"2",
    b"3",
    b"4",
    b"5",
    b"6",
)
_OLD_REGULAR, _CONTIGUOUS, _GNU_SPARSE = b"\0", b"7", b"S"
_NO_DATA = (HARD_LINK, SYMLINK, CHARACTER, BLOCK_DEVICE, DIRECTORY, FIFO)
_XATTR = b"SCHILY.xattr."
_SPARSE = b"GNU.sparse."
_HEEDED = frozenset((b"path", b"linkpath", b"size", b"uid", b"gid", b"mtime"))
_MAX_ID = (1 << 32) - 2  # (uid_t)-1 means "leave it" to chown
_MAX_SECONDS = (1 << 63) // 10**9 - 1  # nanoseconds have 64 bits in dockerd, too

_fields = struct.Struct("100s8s8s8s12s12s8sc100s8s32s32s8s8s155s12x").unpack

Extents: TypeAlias = "array[int]"
"""The parts of a sparse file that hold data: offset, length, offset, length …, in order, none overlapping."""


class Header:
    """One header block, as it stands: extended headers are not applied yet."""

    __slots__ = (
        "device",
        "extents",
        "extents_follow",
        "gid",
        "link",
        "mode",
        "mtime",
        "name",
        "real_size",
        "size",
        "type",
        "uid",
        "xattrs",
    )

    def __init__(self, block: bytes) -> None:
        """Parse a block of 512 bytes; `mtime` is in nanoseconds, `device` is (major, minor)."""
        (name, mode, uid, gid, size, mtime, checksum, kind, link, magic, _, _, major, minor, prefix) = (
            _fields(block)
        )
        if not _checksum_fits(block, checksum):
            raise InvalidArgument("not a tar archive: a header's checksum is wrong")
        self.name = name.partition(b"\0")[0]
        if magic.startswith(b"ustar\0") and prefix[0]:
            self.name = _text(prefix) + b"/" + self.name
        self.link = _text(link) if link[0] else b""
        self.mode = number(mode) & 0o7777
        self.uid = number(uid)
        self.gid = number(gid)
        self.size = number(size)
        self.mtime = _seconds(number(mtime)) * 10**9
        self.type = kind
        self.device = (0, 0)
        self.xattrs: list[tuple[bytes, bytes]] = []
        self.extents: Extents | None = None
        self.extents_follow = False
        self.real_size = self.size
        if kind in (CHARACTER, BLOCK_DEVICE):
            self.device = (number(major), number(minor))
        elif kind == _GNU_SPARSE:
            self._read_old_sparse(block)

    def _read_old_sparse(self, block: bytes) -> None:
        self.extents = _old_extents(block, 386, 4)
        self.extents_follow = block[482] != 0
        self.real_size = number(block[483:495])

    def add_extents(self, block: bytes) -> None:
        """Take the block that follows an old GNU sparse header while `extents_follow`."""
        if self.extents is None:
            raise InvalidArgument("malformed tar archive: sparse blocks of a file that is not sparse")
        self.extents.extend(_old_extents(block, 0, 21))
        self.extents_follow = block[504] != 0

    def apply(self, records: list[tuple[bytes, bytes]]) -> None:
        """Override fields by the records of a pax extended header; an empty one leaves the field as it is."""
        for key, value in records:
            if not value and key in _HEEDED:
                continue
            match key:
                case b"path":
                    self.name = _no_nul(value)
                case b"linkpath":
                    self.link = _no_nul(value)
                case b"size":
                    self.size = self.real_size = _decimal(value)
                case b"uid":
                    self.uid = _decimal(value)
                case b"gid":
                    self.gid = _decimal(value)
                case b"mtime":
                    self.mtime = _timestamp(value)
                case _ if key.startswith(_XATTR):
                    self.xattrs.append((_no_nul(key[len(_XATTR) :]), value))

    def settle(self) -> None:
        """Normalise the type and check the numbers, once all extended headers are applied."""
        if self.type == _OLD_REGULAR and self.name.endswith(b"/"):
            self.type = DIRECTORY  # before POSIX there was no type for directories
        elif self.type in (_OLD_REGULAR, _CONTIGUOUS, _GNU_SPARSE):
            self.type = REGULAR
        if self.type in _NO_DATA:
            self.size = 0
        if self.size < 0 or not (0 <= self.uid <= _MAX_ID and 0 <= self.gid <= _MAX_ID):
            raise InvalidArgument(
                f"malformed tar archive: size or owner of {show(self.name)} is out of range"
            )
        if self.extents is not None:
            _check_extents(self.extents, self.size, self.real_size)


def checksum(block: bytes) -> int:
    """Return the sum of a block's 512 bytes: Adler's lower half, which never wraps for 256 of them, is a fast one."""
    return (adler32(block[:256]) & 0xFFFF) + (adler32(block[256:]) & 0xFFFF) - 2


@lru_cache(1024)  # of most fields few values come, again and again
def number(field: bytes) -> int:
    """Read a number: octal digits between blanks and NULs, or GNU's base 256 when the top bit is set."""
    if field[0] & 0x80:
        value = int.from_bytes(field, "big")
        bits = 8 * len(field)
        return value - (1 << bits) if field[0] == 0xFF else value - (1 << bits - 1)
    digits = field.strip(b" \0").partition(b"\0")[0]
    if not digits:
        return 0
    if not digits.isdigit():
        raise InvalidArgument("malformed tar archive: a number is not octal")
    return _int(digits, 8)


def pax_records(data: bytes) -> list[tuple[bytes, bytes]]:
    """Read the records "LENGTH KEY=VALUE\\n" of a pax extended header that `Header.apply` and sparse files heed.

    In order; what the others say is not kept, since there may be 200,000 of them.
    """
    records = []
    at = 0
    while at < len(data):
        blank = data.find(b" ", at, at + 20)
        end = at + _decimal(data[at:blank]) if blank > at else 0
        if not at < blank < end <= len(data) or data[end - 1] != 0x0A:
            raise InvalidArgument("malformed tar archive: a pax record is broken")
        key, equals, value = data[blank + 1 : end - 1].partition(b"=")
        if not equals or not key:
            raise InvalidArgument("malformed tar archive: a pax record has no key")
        if key in _HEEDED or key.startswith((_XATTR, _SPARSE)):
            records.append((key, value))
        at = end
    return records


def pax_extents(records: list[tuple[bytes, bytes]]) -> "Extents | None":
    """Return the extents that GNU tar's pax formats 0.0 and 0.1 keep in the header, None when there are none."""
    numbers: list[bytes] = []
    for key, value in records:
        if key in (b"GNU.sparse.offset", b"GNU.sparse.numbytes"):
            numbers.append(value)
        elif key == b"GNU.sparse.map":
            numbers = value.split(b",") if value else []
    if not numbers and dict(records).get(b"GNU.sparse.size") is None:
        return None
    return pairs(_decimal(number) for number in numbers)


def pairs(numbers: Iterable[int]) -> Extents:
    """Return numbers, which are offsets and lengths by turns, as extents."""
    try:
        extents = array("q", numbers)
    except OverflowError:
        raise InvalidArgument("malformed tar archive: a number is out of range") from None
    if len(extents) % 2:
        raise InvalidArgument("malformed tar archive: a sparse map is broken")
    return extents


def spans(extents: "Extents | None") -> Iterator[tuple[int, int]]:
    """Return the extents by twos: (offset, length)."""
    numbers = iter(extents or ())
    return zip(numbers, numbers, strict=True)


def show(name: bytes) -> str:
    """Return a name fit for a message: printable, and not longer than a line or two."""
    shown = repr(name[:200])[1:]
    return shown if len(name) <= 200 else shown + "…"


def _checksum_fits(block: bytes, field: bytes) -> bool:
    found = checksum(block) - sum(field) + 256
    if field == b"%06o\0 " % found:  # as nearly all write it
        return True
    try:
        wanted = number(field)
    except InvalidArgument:
        return False
    if found == wanted:
        return True
    high = sum(byte > 127 for byte in block) - sum(byte > 127 for byte in field)
    return found - 256 * high == wanted  # some old tars summed signed chars


def _old_extents(block: bytes, start: int, count: int) -> Extents:
    numbers: list[int] = []
    for at in range(start, start + 24 * count, 24):
        if block[at] == 0:
            break
        numbers += (number(block[at : at + 12]), number(block[at + 12 : at + 24]))
    return pairs(numbers)


def _check_extents(extents: Extents, size: int, real_size: int) -> None:
    end = total = 0
    for offset, length in spans(extents):
        if offset < end or length < 0:
            raise InvalidArgument("malformed tar archive: a sparse map is not in order")
        end = offset + length
        total += length
    if end > real_size or total != size:
        raise InvalidArgument("malformed tar archive: a sparse map does not fit its file")


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _no_nul(value: bytes) -> bytes:
    if b"\0" in value:
        raise InvalidArgument("malformed tar archive: a name holds a NUL byte")
    return value


def _decimal(value: bytes) -> int:
    if not value.isdigit():
        raise InvalidArgument("malformed tar archive: a number is not decimal")
    return _int(value, 10)


def _int(digits: bytes, base: int) -> int:
    try:
        value = int(digits[:30], base)
    except ValueError:
        raise InvalidArgument("malformed tar archive: a number is not octal") from None
    if len(digits) > 30 or value >= 1 << 63:
        raise InvalidArgument("malformed tar archive: a number is out of range")
    return value


def _timestamp(value: bytes) -> int:
    seconds, _, fraction = value.partition(b".")
    sign = -1 if seconds.startswith(b"-") else 1
    whole = _decimal(seconds.removeprefix(b"-") or b"0")
    nanoseconds = _decimal((fraction[:9] + b"0" * 9)[:9]) if fraction else 0
    return sign * (_seconds(whole) * 10**9 + nanoseconds)


def _seconds(value: int) -> int:
    return value if -_MAX_SECONDS <= value <= _MAX_SECONDS else 0
