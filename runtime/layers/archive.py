"""Tar headers as bytes: ustar where the fields suffice, a pax extended header before it where they do not.

As Go's archive/tar writes them for Docker: no user names, whole seconds, directories with a slash at
their end.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple
from zlib import adler32

from runtime.layers.header import BLOCK, DIRECTORY, REGULAR, checksum

END = bytes(2 * BLOCK)
"""What closes an archive."""
_MAX_OCTAL_11 = 8**11 - 1
_MAX_OCTAL_7 = 8**7 - 1
_NAME_SIZE, _PREFIX_SIZE = 100, 155
_FILE_AFTER = b"%b%bustar\00000%b%07o\0%07o\0%b" % (REGULAR, bytes(100), bytes(64), 0, 0, bytes(167))
_FILE_SUM = sum(_FILE_AFTER) + sum(b" " * 8)


class Entry(NamedTuple):
    """One entry to write: `name` is relative, without a slash at its end; `mtime` in seconds."""

    name: bytes
    type: bytes = REGULAR
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    size: int = 0
    mtime: int = 0
    link: bytes = b""
    device: tuple[int, int] = (0, 0)
    xattrs: Sequence[tuple[bytes, bytes]] = ()


def encode(entry: Entry) -> bytes:
    """Return the header blocks of an entry; `size` bytes of data and their `padding` follow them."""
    name = entry.name + b"/" if entry.type == DIRECTORY else entry.name
    records = [(b"SCHILY.xattr." + key, value) for key, value in entry.xattrs]
    prefix, base = _split(name)
    if base is None:
        records.append((b"path", name))
        base = _ascii(name)[:_NAME_SIZE]
    link = entry.link
    if len(link) > _NAME_SIZE or not link.isascii():
        records.append((b"linkpath", link))
        link = _ascii(link)[:_NAME_SIZE]
    numbers = {"uid": entry.uid, "gid": entry.gid, "size": entry.size, "mtime": entry.mtime}
    for key, value in numbers.items():
        if not 0 <= value <= (_MAX_OCTAL_7 if key in ("uid", "gid") else _MAX_OCTAL_11):
            records.append((key.encode(), b"%d" % value))
            numbers[key] = 0
    header = _block(base, prefix, entry.type, entry.mode, numbers, link, entry.device)
    return (_extended(name, records) if records else b"") + header


def encode_file(name: bytes, mode: int, uid: int, gid: int, size: int, mtime: int) -> bytes:
    """Return what `encode` does for a regular file without xattrs, in a fifth of the time."""
    if (
        len(name) > _NAME_SIZE
        or not name.isascii()
        or uid > _MAX_OCTAL_7
        or gid > _MAX_OCTAL_7
        or size > _MAX_OCTAL_11
        or not 0 <= mtime <= _MAX_OCTAL_11
    ):
        return encode(Entry(name=name, mode=mode, uid=uid, gid=gid, size=size, mtime=mtime))
    before = name.ljust(_NAME_SIZE, b"\0") + _owner(mode, uid, gid) + b"%011o\0%011o\0" % (size, mtime)
    total = (adler32(before) & 0xFFFF) - 1 + _FILE_SUM
    return b"%b%06o\0 %b" % (before, total, _FILE_AFTER)


@lru_cache(256)
def _owner(mode: int, uid: int, gid: int) -> bytes:
    return b"%07o\0%07o\0%07o\0" % (mode, uid, gid)


def padding(size: int) -> bytes:
    """Return the zeros that fill up `size` bytes of data to whole blocks."""
    return bytes(-size % BLOCK)


def _extended(name: bytes, records: Sequence[tuple[bytes, bytes]]) -> bytes:
    data = b"".join(_record(key, value) for key, value in sorted(records))
    base = b"PaxHeaders.0/" + _ascii(name.rstrip(b"/").rpartition(b"/")[2])
    numbers = {"uid": 0, "gid": 0, "size": len(data), "mtime": 0}
    return _block(base[:_NAME_SIZE], b"", b"x", 0, numbers, b"", (0, 0)) + data + padding(len(data))


def _record(key: bytes, value: bytes) -> bytes:
    body = b" " + key + b"=" + value + b"\n"
    length = len(body)
    while length != len(body) + len(b"%d" % length):
        length = len(body) + len(b"%d" % length)
    return b"%d" % length + body


def _split(name: bytes) -> tuple[bytes, bytes | None]:
    """Return a name as ustar's prefix and name, (b"", None) when it does not fit."""
    if not name.isascii():
        return b"", None
    if len(name) <= _NAME_SIZE:
        return b"", name
    # The slash of the split belongs to neither; the name must keep something besides the slash at its end.
    at = name.rfind(b"/", 0, min(_PREFIX_SIZE + 1, len(name) - 1))
    if at <= 0 or len(name) - at - 1 > _NAME_SIZE:
        return b"", None
    return name[:at], name[at + 1 :]


def _block(
    name: bytes,
    prefix: bytes,
    kind: bytes,
    mode: int,
    numbers: dict[str, int],
    link: bytes,
    device: tuple[int, int],
) -> bytes:
    before = b"%b%07o\0%07o\0%07o\0%011o\0%011o\0" % (
        name.ljust(_NAME_SIZE, b"\0"),
        mode,
        numbers["uid"],
        numbers["gid"],
        numbers["size"],
        numbers["mtime"],
    )
    after = b"%b%bustar\00000%b%07o\0%07o\0%b" % (
        kind,
        link.ljust(_NAME_SIZE, b"\0"),
        bytes(64),
        *device,
        prefix.ljust(_PREFIX_SIZE + 12, b"\0"),
    )
    return before + b"%06o\0 " % checksum(before + b" " * 8 + after) + after


def _ascii(name: bytes) -> bytes:
    return bytes(byte if byte < 128 else 0x5F for byte in name)
