"""rtnetlink in batches: one small socket of ours sends messages and reads the answers.

changes.py and links.py have those of each start of a container, messages.py the others, by pyroute2's codec. Its own
`IPRoute` and `NetNS` objects cost 10-20 ms each and fork.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Final

RTM_NEWLINK: Final = 16
RTM_DELLINK: Final = 17
RTM_GETLINK: Final = 18
RTM_SETLINK: Final = 19
RTM_NEWADDR: Final = 20
RTM_DELADDR: Final = 21
RTM_GETADDR: Final = 22
RTM_NEWROUTE: Final = 24
RTM_GETROUTE: Final = 26

NLM_F_REQUEST: Final = 0x1
NLM_F_ACK: Final = 0x4
NLM_F_REPLACE: Final = 0x100
NLM_F_CREATE: Final = 0x400
NLM_F_EXCL: Final = 0x200
NLM_F_DUMP: Final = 0x300
NLA_F_NESTED: Final = 0x8000
MAIN_TABLE: Final = 254
CREATE: Final = NLM_F_CREATE | NLM_F_EXCL
REPLACE: Final = NLM_F_CREATE | NLM_F_REPLACE

_SOL_NETLINK: Final = 270
_NETLINK_CAP_ACK: Final = 10
_NETLINK_EXT_ACK: Final = 11
_NETLINK_GET_STRICT_CHK: Final = 12
_NLMSG_ERROR: Final = 2
_NLMSG_DONE: Final = 3
_NLM_F_ACK_TLVS: Final = 0x200
_NLM_F_CAPPED: Final = 0x100
_NLMSGERR_ATTR_MSG: Final = 1
_HEADER: Final = struct.Struct("=IHHII")
_ATTRIBUTE: Final = struct.Struct("=HH")
_RECEIVE: Final = 1 << 17


class NetlinkError(OSError):
    """The kernel refused message number `index` of a batch; `strerror` carries its extended text when it gave one."""

    def __init__(self, code: int, text: str, index: int = 0) -> None:
        super().__init__(code, f"{os.strerror(code)}: {text}" if text else os.strerror(code))
        self.index = index


class Rtnetlink:
    """A socket of the network namespace of the thread that made it. Not for use by two threads at once."""

    def __init__(self) -> None:
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
        )
        try:
            self._socket.bind((0, 0))
            for option in (_NETLINK_EXT_ACK, _NETLINK_CAP_ACK, _NETLINK_GET_STRICT_CHK):
                self._socket.setsockopt(_SOL_NETLINK, option, 1)
        except OSError:
            self._socket.close()
            raise
        self._sequence = 0

    def __enter__(self) -> Rtnetlink:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket; idempotent."""
        self._socket.close()

    def batch(self, messages: Sequence[tuple[int, int, bytes]]) -> None:
        """Send (type, flags, body) in one write; all are worked off even when one fails.

        Raises NetlinkError for the first that failed.
        """
        first = self._sequence + 1
        self._socket.send(
            b"".join(self._numbered(kind, flags | NLM_F_ACK, body) for kind, flags, body in messages)
        )
        failures = self._acknowledgements(first, len(messages))
        if failures:
            raise failures[0]

    def dump(self, kind: int, request: bytes) -> list[bytes]:
        """All objects of a dump request (its header and attributes), as messages with their headers."""
        self._socket.send(self._numbered(kind, NLM_F_DUMP, request))
        return list(self._dumped())

    def get(self, kind: int, request: bytes) -> bytes:
        """One object, as a message with its header. Raises NetlinkError (ENODEV when absent)."""
        self._socket.send(self._numbered(kind, 0, request))
        for raw_type, raw in split(self._socket.recv(_RECEIVE)):
            if raw_type == _NLMSG_ERROR:
                raise _failure(raw, 0) or NetlinkError(errno.EPROTO, "an acknowledgement without an object")
            return raw
        raise NetlinkError(errno.EPROTO, "an empty answer")

    def _numbered(self, kind: int, flags: int, request: bytes) -> bytes:
        self._sequence += 1
        size = _HEADER.size + len(request)
        return _HEADER.pack(size, kind, flags | NLM_F_REQUEST, self._sequence, 0) + request

    def _acknowledgements(self, first: int, expected: int) -> list[NetlinkError]:
        failures: list[NetlinkError] = []
        while expected:
            for kind, raw in split(self._socket.recv(_RECEIVE)):
                if kind != _NLMSG_ERROR:
                    continue
                expected -= 1
                failure = _failure(raw, first)
                if failure is not None:
                    failures.append(failure)
        return failures

    def _dumped(self) -> Iterator[bytes]:
        while True:
            for kind, raw in split(self._socket.recv(_RECEIVE)):
                if kind == _NLMSG_DONE:
                    return
                if kind == _NLMSG_ERROR:
                    raise _failure(raw, 0) or NetlinkError(errno.EPROTO, "an acknowledgement inside a dump")
                yield raw


def split(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The (type, message with header) pairs of one datagram."""
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, _, _, _ = _HEADER.unpack_from(data, offset)
        if length < _HEADER.size:
            return
        yield kind, data[offset : offset + length]
        offset += (length + 3) & ~3


def attribute(kind: int, data: bytes) -> bytes:
    """A netlink attribute, padded."""
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(data), kind) + data + bytes(-len(data) % 4)


def nested(kind: int, *inner: bytes) -> bytes:
    """An attribute that holds attributes."""
    return attribute(kind | NLA_F_NESTED, b"".join(inner))


def attributes(raw: bytes, offset: int = 0) -> Iterator[tuple[int, bytes]]:
    """The (type, data) pairs from there on; types come without the bits that say how data are encoded."""
    last, unpack = len(raw) - 4, _ATTRIBUTE.unpack_from
    while offset <= last:
        length, kind = unpack(raw, offset)
        if length < 4:
            return
        yield kind & 0x3FFF, raw[offset + 4 : offset + length]
        offset += (length + 3) & ~3


def _failure(raw: bytes, first: int) -> NetlinkError | None:
    """The refusal in an NLMSG_ERROR message, None for an acknowledgement."""
    (code,) = struct.unpack_from("=i", raw, _HEADER.size)
    if code == 0:
        return None
    _, _, flags, sequence, _ = _HEADER.unpack_from(raw)
    return NetlinkError(-code, _extended_text(raw, flags), sequence - first)


def _extended_text(raw: bytes, flags: int) -> str:
    if not flags & _NLM_F_ACK_TLVS:
        return ""
    offset = _HEADER.size + 4
    (echoed,) = struct.unpack_from("=I", raw, offset)
    offset += _HEADER.size if flags & _NLM_F_CAPPED else (echoed + 3) & ~3
    while offset + 4 <= len(raw):
        length, kind = struct.unpack_from("=HH", raw, offset)
        if length < 4:
            break
        if kind == _NLMSGERR_ATTR_MSG:
            return raw[offset + 4 : offset + length].rstrip(b"\0").decode(errors="replace")
        offset += (length + 3) & ~3
    return ""


def family_of(ip: str) -> int:
    """AF_INET or AF_INET6, of an address or a subnet."""
    return socket.AF_INET6 if ":" in ip else socket.AF_INET
