"""Who changed nftables, and what: the kernel's notifications, so that a flushed ruleset is put back at once."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import struct
from collections.abc import Callable
from typing import Final

import msgspec

from network.netlink import split
from network.nftables.transaction import open_socket

_GROUP_NFTABLES: Final = 7
_SOL_NETLINK: Final = 270
_ADD_MEMBERSHIP: Final = 1
_SO_RCVBUFFORCE: Final = 33
_BUFFER: Final = 4 << 20
_SUBSYSTEM: Final = 10
_NEW_GENERATION: Final = 15
_GET_GENERATION: Final = 16
_FAMILIES: Final = {1: "inet", 2: "ip", 10: "ip6"}
_NLA_TYPE_MASK: Final = 0x3FFF
_HEADERS: Final = 16 + 4


class Change(msgspec.Struct, frozen=True):
    """One transaction: its generation (None: notifications were lost, anything may have changed), tables and speaker.

    The speaker is the netlink address (port id) of the socket that asked for it: no two are open by one in a namespace.
    """

    generation: int | None
    tables: frozenset[tuple[str, str]]
    speaker: int = 0


class Parser:
    """Notifications in, transactions out: the kernel ends each with a message that names the new generation. Pure."""

    def __init__(self) -> None:
        self._tables: set[tuple[str, str]] = set()

    def feed(self, data: bytes) -> list[Change]:
        """The transactions that are complete with this datagram."""
        changes: list[Change] = []
        for kind, raw in split(data):
            if kind >> 8 != _SUBSYSTEM:
                continue
            first = _first_attribute(raw)
            if kind & 0xFF == _NEW_GENERATION:
                (generation,), (speaker,) = struct.unpack(">I", first[:4]), struct.unpack_from("=I", raw, 12)
                changes.append(Change(generation, frozenset(self._tables), speaker))
                self._tables.clear()
            else:
                family = _FAMILIES.get(raw[16], "")
                self._tables.add((family, first.rstrip(b"\0").decode(errors="replace")))
        return changes


class Generation:
    """Asks for the number of the last transaction, in the namespace of the thread that made it."""

    def __init__(self) -> None:
        self._socket = open_socket()

    def current(self) -> int:
        """The generation of the ruleset."""
        request = struct.pack("=IHHII", _HEADERS, _SUBSYSTEM << 8 | _GET_GENERATION, 1, 1, 0)
        self._socket.send(request + struct.pack(">BBH", 0, 0, 0))
        for kind, raw in split(self._socket.recv(1 << 14)):
            if kind == _SUBSYSTEM << 8 | _NEW_GENERATION:
                generation: int = struct.unpack(">I", _first_attribute(raw)[:4])[0]
                return generation
        raise OSError(errno.EPROTO, "the kernel did not tell nftables' generation")

    def close(self) -> None:
        """Close the socket: slow, never on the loop."""
        self._socket.close()


class Watch:
    """Calls back on the loop for every transaction in this namespace. Made and closed off the loop, started on it."""

    def __init__(self) -> None:
        self._socket = open_socket()
        self._socket.settimeout(0)
        with contextlib.suppress(OSError):  # without the right, the default size
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
        self._socket.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, _GROUP_NFTABLES)
        self._parser = Parser()
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self, changed: Callable[[Change], None]) -> None:
        """Begin to watch, on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket.fileno(), self._receive, changed)

    def stop(self) -> None:
        """No callback after this; on the loop. Idempotent."""
        if self._loop is not None:
            self._loop.remove_reader(self._socket.fileno())
            self._loop = None

    def close(self) -> None:
        """Close the socket: slow, never on the loop."""
        self._socket.close()

    def _receive(self, changed: Callable[[Change], None]) -> None:
        for _ in range(256):
            try:
                data = self._socket.recv(1 << 16)
            except BlockingIOError:
                return
            except OSError:  # ENOBUFS: the kernel had to drop some
                self._listen_again(changed)
                changed(Change(None, frozenset()))
                continue
            for change in self._parser.feed(data):
                changed(change)

    def _listen_again(self, changed: Callable[[Change], None]) -> None:
        """Uvloop polls no descriptor on after an error."""
        if self._loop is not None:
            self._loop.remove_reader(self._socket.fileno())
            self._loop.add_reader(self._socket.fileno(), self._receive, changed)


def _first_attribute(raw: bytes) -> bytes:
    """The data of attribute 1: the table's name in all messages but NEWGEN, where it is the generation."""
    offset = _HEADERS
    while offset + 4 <= len(raw):
        length, kind = struct.unpack_from("=HH", raw, offset)
        if length < 4:
            break
        if kind & _NLA_TYPE_MASK == 1:
            return raw[offset + 4 : offset + length]
        offset += (length + 3) & ~3
    return b"\0\0\0\0"
