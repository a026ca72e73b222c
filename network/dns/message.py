"""DNS messages (RFC 1035, 6891) as far as a resolver of container names needs them. Pure; never raises on any bytes.

Names are kept as they are on the wire, in lower case: length-prefixed labels and a zero byte. So a dot inside a label
is no separator, and a question is looked up without being decoded.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from enum import IntEnum
from ipaddress import ip_address
from typing import Final, NamedTuple

A: Final = 1
PTR: Final = 12
AAAA: Final = 28
TTL: Final = 600  # seconds, as Docker's
UDP_SIZE: Final = 512  # bytes of an answer to a client that says nothing else
TCP_SIZE: Final = 65535

_IN: Final = 1
_OPT: Final = 41
_HEADER_SIZE: Final = 12
_MAX_NAME: Final = 255
_MAX_LABEL: Final = 63
_QUERY_NAME: Final = b"\xc0\x0c"  # a pointer to the question's name
_RECORD: Final = struct.Struct(">HHIH")  # type, class, TTL, length of the data
_NOTIFY: Final = 4
_COUNTS: Final = struct.Struct(">HHHH")  # questions, answers, authorities, additional records
_MOST: Final = (1, 1, 1, 2)  # of each in a query
_USUAL_COUNTS: Final = frozenset((b"\0\1\0\0\0\0\0\0", b"\0\1\0\0\0\0\0\1"))


class Rcode(IntEnum):
    """How a query ended."""

    NOERROR = 0
    FORMERR = 1
    SERVFAIL = 2
    NXDOMAIN = 3
    NOTIMP = 4
    REFUSED = 5


class Question(NamedTuple):
    """What is asked: a name on the wire in lower case, the type (0 in classes other than IN), and where it ends."""

    name: bytes
    kind: int
    end: int


def read(query: bytes) -> Question | Rcode | None:
    """The question of a query, the code to refuse it with, or None for what is not to be answered at all."""
    if query[4:12] not in _USUAL_COUNTS or query[2] & 0xF8:
        if len(query) < _HEADER_SIZE or query[2] & 0x80:
            return None
        if query[2] & 0x78 not in (0, _NOTIFY << 3):
            return Rcode.NOTIMP
        if (
            any(count > most for count, most in zip(_COUNTS.unpack_from(query, 4), _MOST, strict=True))
            or not query[5]
        ):
            return Rcode.FORMERR
    end = _name_end(query, _HEADER_SIZE)
    if end < 0 or end + 4 > len(query):
        return Rcode.FORMERR
    kind = query[end] << 8 | query[end + 1] if query[end + 2 : end + 4] == b"\0\1" else 0
    return Question(query[_HEADER_SIZE:end].lower(), kind, end + 4)


def refusal(query: bytes, code: Rcode) -> bytes:
    """The answer to a query (of 12 bytes or more) that could not be read."""
    return query[:2] + bytes((0x80 | query[2] & 0x79, code)) + bytes(8)


def answer(query: bytes, question: Question, records: Sequence[bytes], limit: int) -> bytes:
    """The answer with these records; those that do not fit into `limit` bytes are left out, and TC says so."""
    room = limit - question.end
    truncated = 0
    if records and len(records) * len(records[0]) > room:
        records = records[: max(room, 0) // len(records[0])]
        truncated = 0x02
    return (
        query[:2]
        + bytes((0x80 | truncated | query[2] & 0x79, 0x80 | query[3] & 0x10))
        + b"\0\1"
        + len(records).to_bytes(2, "big")
        + b"\0\0\0\0"
        + query[_HEADER_SIZE : question.end]
        + b"".join(records)
    )


def failure(query: bytes, question: Question, code: Rcode) -> bytes:
    """The answer that says why there is none."""
    flags = bytes((0x80 | query[2] & 0x79, query[3] & 0x10 | code))
    return query[:2] + flags + b"\0\1" + bytes(6) + query[_HEADER_SIZE : question.end]


def udp_limit(query: bytes, question: Question) -> int:
    """How many bytes of an answer the client takes in a datagram: what its EDNS record says, at least 512."""
    records = sum(query[6:12:2]) << 8 | sum(query[7:12:2])
    offset = question.end
    for _ in range(min(records, 4)):
        offset = _name_end(query, offset)
        if offset < 0 or offset + _RECORD.size > len(query):
            break
        kind, size, _, length = _RECORD.unpack_from(query, offset)
        if kind == _OPT:
            return max(UDP_SIZE, int(size))
        offset += _RECORD.size + length
    return UDP_SIZE


def encode_name(name: str) -> bytes | None:
    """A name as it is on the wire, case kept; None when it cannot be on one (an empty or long label, too long)."""
    labels = name.removesuffix(".").encode(errors="replace").split(b".")
    if not all(0 < len(label) <= _MAX_LABEL for label in labels):
        return None
    wire = b"".join(bytes((len(label),)) + label for label in labels) + b"\0"
    return wire if len(wire) <= _MAX_NAME else None


def splits(name: bytes) -> list[tuple[bytes, bytes]]:
    """A name on the wire as (front, back) at each of its dots, from the right; both are whole names."""
    cuts = []
    offset = 0
    while name[offset]:
        offset += name[offset] + 1
        cuts.append(offset)
    return [(name[:cut] + b"\0", name[cut:]) for cut in reversed(cuts[:-1])]


def reverse_name(address: str) -> bytes:
    """The name on the wire under which an address's pointer is asked for."""
    return encode_name(ip_address(address).reverse_pointer) or b""


def address_record(address: str) -> tuple[int, bytes]:
    """The type (A or AAAA) and a record of it, for the name in the question."""
    packed = ip_address(address).packed
    kind = A if len(packed) == 4 else AAAA
    return kind, _record(kind, packed)


def pointer_record(name: bytes) -> bytes:
    """A PTR record that leads to a name on the wire."""
    return _record(PTR, name)


def answers(query: bytes, question: Question, response: bytes) -> bool:
    """Whether this is an answer to that query: same id, same question (servers leave it out of some refusals)."""
    if len(response) < _HEADER_SIZE or response[:2] != query[:2] or not response[2] & 0x80:
        return False
    if response[4:6] == b"\0\0":
        return response[3] & 0x0F not in (Rcode.NOERROR, Rcode.NXDOMAIN)
    same = response[_HEADER_SIZE : question.end].lower() == query[_HEADER_SIZE : question.end].lower()
    return same and response[4:6] == b"\0\1"


def rcode(response: bytes) -> int:
    """The code of an answer of 12 bytes or more."""
    return response[3] & 0x0F


def with_question_of(query: bytes, question: Question, response: bytes) -> bytes:
    """An answer that `answers` the query under another id, with the query's id, and its letters in its own case."""
    if response[4:6] == b"\0\0":
        return query[:2] + response[2:]
    return (
        query[:2] + response[2:_HEADER_SIZE] + query[_HEADER_SIZE : question.end] + response[question.end :]
    )


def is_single_label(name: bytes) -> bool:
    """Whether a name on the wire has no dot."""
    return name[0] == 0 or name[name[0] + 1] == 0


def _record(kind: int, data: bytes) -> bytes:
    return _QUERY_NAME + _RECORD.pack(kind, _IN, TTL, len(data)) + data


def _name_end(message: bytes, offset: int) -> int:
    """Where a name ends; -1 for one that is cut off, too long or has a pointer, which no question needs."""
    last = min(len(message), offset + _MAX_NAME) - 1
    while offset <= last:
        length = message[offset]
        if length == 0:
            return offset + 1
        if length > _MAX_LABEL:
            return -1
        offset += length + 1
    return -1
