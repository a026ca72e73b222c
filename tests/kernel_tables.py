"""Tables of the kernel by netlink, so that a look at them starts no program: links, listening sockets, nftables.

Sources: linux/rtnetlink.h, if_link.h, inet_diag.h, sock_diag.h and netfilter/nf_tables.h.
"""

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

_ROUTE, _SOCK_DIAG, _NETFILTER = 0, 4, 12
_REQUEST, _ACK, _DUMP = 0x1, 0x4, 0x300
_ERROR, _DONE = 2, 3
_INTERRUPTED = 0x10
_GETLINK, _BY_FAMILY, _GETGEN = 18, 20, 10 << 8 | 16
_IFNAME, _LINK, _MASTER, _IFALIAS, _PROP_LIST = 3, 5, 10, 20, 52
_TYPE = 0x3FFF
_LISTEN, _EVERY_STATE = 1 << 10, 0xFFF


@dataclass(frozen=True)
class Link:
    """An interface; master and lower are indexes, 0 for none; names are all that it is known by, its alias too."""

    index: int
    name: str
    names: tuple[str, ...]
    master: int
    lower: int


@dataclass(frozen=True)
class BoundSocket:
    """A TCP socket that listens, or a UDP socket."""

    protocol: str
    address: str
    port: int
    inode: int


def links() -> list[Link]:
    """All interfaces of this network namespace."""
    return [_link(message) for message in _ask(_ROUTE, _GETLINK, struct.pack("=B15x", socket.AF_UNSPEC))]


def _link(message: bytes) -> Link:
    index = struct.unpack_from("=i", message, 4)[0]
    found = list(_attributes(message[16:]))
    plain = dict(found)
    others = [name for _, name in _attributes(plain.get(_PROP_LIST, b""))]
    name = plain[_IFNAME]
    words = [name, plain.get(_IFALIAS, b""), *others]
    return Link(
        index,
        _text(name),
        tuple(_text(word) for word in words),
        _number(plain.get(_MASTER)),
        _number(plain.get(_LINK)),
    )


def bound_sockets() -> Iterator[BoundSocket]:
    """Those of this network namespace."""
    for family in (socket.AF_INET, socket.AF_INET6):
        for protocol, states in ((socket.IPPROTO_TCP, _LISTEN), (socket.IPPROTO_UDP, _EVERY_STATE)):
            request = struct.pack("=BBBBI48x", family, protocol, 0, 0, states)
            for message in _ask(_SOCK_DIAG, _BY_FAMILY, request):
                size = 4 if family == socket.AF_INET else 16
                yield BoundSocket(
                    "tcp" if protocol == socket.IPPROTO_TCP else "udp",
                    socket.inet_ntop(family, message[8 : 8 + size]),
                    struct.unpack_from("!H", message, 4)[0],
                    struct.unpack_from("=I", message, 68)[0],
                )


def nft_generation() -> int:
    """The number of the last transaction of nftables in this network namespace."""
    (message,) = _ask(_NETFILTER, _GETGEN, bytes(4), flags=_REQUEST)
    return int.from_bytes(dict(_attributes(message[4:]))[1], "big")


def _ask(protocol: int, kind: int, body: bytes, flags: int = _REQUEST | _DUMP) -> list[bytes]:
    """The bodies of all answers, of one moment. Raises OSError."""
    while True:
        answers = list(_asked(protocol, kind, body, flags))
        # Where others changed the table meanwhile some may lack.
        if not any(told & _INTERRUPTED for told, _ in answers):
            return [message for _, message in answers if message]


def _asked(protocol: int, kind: int, body: bytes, flags: int) -> Iterator[tuple[int, bytes]]:
    """Yield flags and body of each answer, the end of a dump too, which has no body."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol) as asked:
        asked.sendto(struct.pack("=IHHII", 16 + len(body), kind, flags, 1, 0) + body, (0, 0))
        while True:
            answer, start = asked.recv(1 << 18), 0
            while start < len(answer):
                length, answered, told = struct.unpack_from("=IHH", answer, start)
                message = answer[start + 16 : start + length]
                start += (length + 3) & ~3
                if answered == _DONE:
                    yield told, b""
                    return
                if answered == _ERROR:
                    raise OSError(-struct.unpack_from("=i", message)[0], "netlink")
                yield told, message
            if not flags & _DUMP:
                return


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    start = 0
    while start + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, start)
        yield kind & _TYPE, data[start + 4 : start + length]
        start += (length + 3) & ~3


def _text(data: bytes) -> str:
    return data.rstrip(b"\0").decode(errors="replace")


def _number(data: bytes | None) -> int:
    return struct.unpack("=I", data)[0] if data else 0
