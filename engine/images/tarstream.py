"""A tar archive as it flows by: bytes in, members and their data out; no file is touched, nothing is kept.

Reads ustar, pax and GNU headers, which is what `docker save`, skopeo, podman and tar write.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import errdefs

_BLOCK = 512
_MAX_EXTENDED = 1 << 20  # bytes of a long name or of pax records
_REGULAR, _HARD_LINK, _SYMLINK = "0", "1", "2"


@dataclass(frozen=True, slots=True)
class Member:
    """The head of a member. `size` bytes of data follow it, 0 unless it is a regular file."""

    name: str
    kind: str  # the type flag: "0" file, "1" hard link, "2" symbolic link, "5" directory, …
    target: str
    size: int

    @property
    def regular(self) -> bool:
        """Whether it is a file with data."""
        return self.kind == _REGULAR

    @property
    def hard_link(self) -> bool:
        """Whether it is a second name of a member; `target` counts from the archive's root."""
        return self.kind == _HARD_LINK

    @property
    def symlink(self) -> bool:
        """Whether it is a symbolic link; `target` counts from its own directory."""
        return self.kind == _SYMLINK


class TarStream:
    """Splits one archive. Feed it all bytes in order, then call `finish`."""

    def __init__(self) -> None:
        self._pending = bytearray()  # of a header or of an extended header's data
        self._wanted = _BLOCK
        self._extended = ""  # type flag of the extended header whose data is being collected
        self._left = 0  # data bytes still to come of the current member
        self._padding = 0
        self._overrides: dict[str, str] = {}
        self._global: dict[str, str] = {}
        self._zero_blocks = 0

    def feed(self, data: bytes) -> Iterator[Member | memoryview]:
        """Take the next bytes: the members that begin in them, each followed by pieces of its data.

        InvalidArgument for what is no tar.
        """
        view = memoryview(data)
        while view and self._zero_blocks < 2:
            if self._left:
                piece, view = view[: self._left], view[self._left :]
                self._left -= len(piece)
                yield piece
            elif self._padding:
                skipped = min(self._padding, len(view))
                self._padding -= skipped
                view = view[skipped:]
            else:
                missing = self._wanted - len(self._pending)
                self._pending += view[:missing]
                view = view[missing:]
                if len(self._pending) == self._wanted:
                    yield from self._complete()

    def finish(self) -> None:
        """Say that no more bytes come. InvalidArgument if a member is cut off."""
        if self._left or self._pending or self._extended:
            raise errdefs.InvalidArgument("invalid archive: unexpected EOF")

    def _complete(self) -> Iterator[Member]:
        block = bytes(self._pending)
        self._pending.clear()
        self._wanted = _BLOCK
        if self._extended:
            self._take_extended(block)
        elif not any(block):
            self._zero_blocks += 1
        else:
            self._zero_blocks = 0
            yield from self._take_header(block)

    def _take_header(self, block: bytes) -> Iterator[Member]:
        _verify(block)
        kind, size = chr(block[156]), _number(block[124:136])
        if size < 0:
            raise errdefs.InvalidArgument("invalid archive: invalid tar header")
        if kind in "xgLK":
            self._expect_extended(kind, size)
            return
        member = self._member(block, kind, size)
        self._overrides = {}
        self._left = member.size
        self._padding = -member.size % _BLOCK
        yield member

    def _expect_extended(self, kind: str, size: int) -> None:
        if not 0 < size <= _MAX_EXTENDED:
            raise errdefs.InvalidArgument(f"invalid archive: extended header of {size} bytes")
        self._extended, self._wanted = kind, size
        self._padding = 0

    def _take_extended(self, data: bytes) -> None:
        kind, self._extended = self._extended, ""
        self._padding = -len(data) % _BLOCK
        if kind == "L":
            self._overrides["path"] = _text(data)
        elif kind == "K":
            self._overrides["linkpath"] = _text(data)
        else:
            records = self._global if kind == "g" else self._overrides
            records.update(_pax(data))

    def _member(self, block: bytes, kind: str, size: int) -> Member:
        said = {**self._global, **self._overrides}
        name = said.get("path") or _ustar_name(block)
        target = said.get("linkpath") or _text(block[157:257])
        if "size" in said:
            size = _decimal(said["size"])
        if any(key.startswith("GNU.sparse.") for key in said) or kind == "S":
            raise errdefs.InvalidArgument(f"invalid archive: {name!r} is a sparse file")
        if kind in "\x007":
            kind = "5" if name.endswith("/") else _REGULAR
        return Member(name, kind, target, size if kind not in "12345" else 0)


def _verify(block: bytes) -> None:
    unsigned = sum(block) - sum(block[148:156]) + 8 * 32
    if unsigned != _number(block[148:156]):
        raise errdefs.InvalidArgument("invalid archive: invalid tar header")


def _number(field: bytes) -> int:
    if field[0] & 0x80:
        negative = field[0] & 0x40
        return -1 if negative else int.from_bytes(bytes([field[0] & 0x3F]) + field[1:], "big")
    digits = field.split(b"\0", 1)[0].strip()
    try:
        return int(digits, 8) if digits else 0
    except ValueError:
        return -1


def _decimal(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise errdefs.InvalidArgument("invalid archive: invalid tar header")
    return int(text)


def _text(field: bytes) -> str:
    return field.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")


def _ustar_name(block: bytes) -> str:
    name = _text(block[:100])
    prefix = _text(block[345:500]) if block[257:263] == b"ustar\0" else ""
    return f"{prefix}/{name}" if prefix else name


def _pax(data: bytes) -> dict[str, str]:
    records: dict[str, str] = {}
    while data.strip(b"\0"):
        length, separator, _ = data[:20].partition(b" ")
        size = int(length) if separator and length.isdigit() else 0
        record = data[len(length) + 1 : size]
        key, equals, value = record.partition(b"=")
        if not equals or not value.endswith(b"\n"):
            raise errdefs.InvalidArgument("invalid archive: invalid pax record")
        records[key.decode("utf-8", "replace")] = value[:-1].decode("utf-8", "surrogateescape")
        data = data[size:]
    return records
