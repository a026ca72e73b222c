"""Sparse files in a tar archive: GNU's four ways to say where their data is, in headers or before the data.

Format: "Storing Sparse Files" of GNU tar's manual.
"""

from array import array
from collections.abc import Generator

from errdefs import InvalidArgument
from runtime.layers.header import BLOCK, Header, pax_extents, show

_MAX_NUMBERS = 1 << 20
Blocks = Generator[None, bytes, Header]
"""Each step asks for the archive's next block, which is sent to it; what is returned is the complete header."""


def is_sparse(header: Header, records: list[tuple[bytes, bytes]]) -> bool:
    """Tell whether a header, with its pax records, is that of a sparse file."""
    if not records:
        return header.extents is not None
    return header.extents is not None or any(key.startswith(b"GNU.sparse.") for key, _ in records)


def complete(header: Header, records: list[tuple[bytes, bytes]]) -> Blocks:
    """Read the map of a sparse file into its header, whose `size` is then that of the data alone."""
    while header.extents_follow:
        header.add_extents((yield))
        if header.extents and len(header.extents) > _MAX_NUMBERS:
            raise InvalidArgument(f"the sparse map of {show(header.name)} is too large")
    if not any(key.startswith(b"GNU.sparse.") for key, _ in records):
        return header
    fields = dict(records)
    real_size = fields.get(b"GNU.sparse.realsize", fields.get(b"GNU.sparse.size"))
    header.name = fields.get(b"GNU.sparse.name", header.name).replace(b"\0", b"")
    if fields.get(b"GNU.sparse.major") == b"1":
        yield from _map_in_data(header)
    else:
        header.extents = pax_extents(records)
    if real_size is None or not real_size.isdigit() or header.extents is None:
        raise _broken(header)
    header.real_size = int(real_size[:20])
    return header


def _map_in_data(header: Header) -> Generator[None, bytes, None]:
    """Read the map of pax format 1.0: decimal lines before the data, padded to a block."""
    numbers = array("q")
    wanted = 1  # the count, and then an offset and a length for each part
    rest = b""
    while len(numbers) < wanted:
        header.size -= BLOCK
        if header.size < 0:
            raise InvalidArgument("the archive is truncated")
        *lines, rest = (rest + (yield)).split(b"\n")
        for line in lines:
            if len(numbers) == wanted:
                break
            numbers.append(_number(line, header))
            wanted = 1 + 2 * numbers[0]
        if len(rest) > BLOCK:
            raise _broken(header)
        if wanted > _MAX_NUMBERS:
            raise InvalidArgument(f"the sparse map of {show(header.name)} is too large")
    header.extents = numbers[1:]


def _number(line: bytes, header: Header) -> int:
    if not line.isdigit() or len(line) > 18:  # the kernel's sizes have no more
        raise _broken(header)
    return int(line)


def _broken(header: Header) -> InvalidArgument:
    return InvalidArgument(f"the sparse map of {show(header.name)} is broken")
