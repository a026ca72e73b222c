"""A small resolver of the tests, which takes messages apart by itself, and a nameserver that does as it is told."""

import contextlib
import secrets
import select
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from network import netns

EMBEDDED = "127.0.0.11"
KINDS = {"A": 1, "NS": 2, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28, "SRV": 33, "HTTPS": 65, "ANY": 255}
RCODES = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}


@dataclass(frozen=True)
class Reply:
    """An answer: its code, flags other than QR, the question as sent, and (name, type, TTL, value) of its records."""

    rcode: str
    flags: frozenset[str]
    question: str
    records: tuple[tuple[str, str, int, str], ...]

    @property
    def values(self) -> list[str]:
        return [value for _, _, _, value in self.records]


def query(name: str, kind: str = "A", *, ident: bytes | None = None, edns: int = 0) -> bytes:
    header = (ident or secrets.token_bytes(2)) + struct.pack(">HHHHH", 0x0100, 1, 0, 0, 1 if edns else 0)
    labels = [label.encode() for label in name.split(".") if label]
    encoded = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    option = b"\0" + struct.pack(">HHIH", 41, edns, 0, 0) if edns else b""
    return header + encoded + struct.pack(">HH", KINDS[kind], 1) + option


def parse(message: bytes) -> Reply:
    _, bits, questions, answers, _, _ = struct.unpack_from(">HHHHHH", message)
    assert bits & 0x8000, "no answer"
    names = {0x400: "AA", 0x200: "TC", 0x100: "RD", 0x80: "RA", 0x20: "AD", 0x10: "CD"}
    flags = frozenset(name for bit, name in names.items() if bits & bit)
    offset, question = 12, ""
    for _ in range(questions):
        question, offset = _name(message, offset)
        offset += 4
    records = []
    for _ in range(answers):
        owner, offset = _name(message, offset)
        kind, _, ttl, length = struct.unpack_from(">HHIH", message, offset)
        offset += 10
        records.append((owner, _kind(kind), ttl, _value(message, kind, offset, length)))
        offset += length
    return Reply(RCODES[bits & 15], flags, question, tuple(records))


def answer(request: bytes, *addresses: str, bits: int = 0x8180, ttl: int = 60) -> bytes:
    """What an honest nameserver says."""
    _, end = _name(request, 12)
    records = b""
    for each in addresses:
        family = socket.AF_INET6 if ":" in each else socket.AF_INET
        packed = socket.inet_pton(family, each)
        kind = 28 if ":" in each else 1
        records += b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, ttl, len(packed)) + packed
    return (
        request[:2] + struct.pack(">HHHHH", bits, 1, len(addresses), 0, 0) + request[12 : end + 4] + records
    )


def ask(
    fd: int,
    name: str,
    kind: str = "A",
    *,
    tcp: bool = False,
    edns: int = 0,
    server: str = EMBEDDED,
    seconds: float = 6,
) -> Reply | None:
    """Ask in the namespace `fd`; None when nothing is answered in time."""
    request = query(name, kind, edns=edns)
    raw = netns.inside(fd, lambda: exchange(request, tcp=tcp, server=server, seconds=seconds))
    if raw is None:
        return None
    assert raw[:2] == request[:2]
    return parse(raw)


def exchange(
    request: bytes, *, tcp: bool = False, server: str = EMBEDDED, seconds: float = 6
) -> bytes | None:
    """The raw answer, in the namespace of the calling thread."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM) as client:
        client.settimeout(seconds)
        try:
            client.connect((server, 53))
            if not tcp:
                client.send(request)
                return client.recv(65535)
            client.sendall(len(request).to_bytes(2, "big") + request)
            return receive(client, int.from_bytes(receive(client, 2), "big"))
        except (OSError, EOFError):
            return None


def receive(connection: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        more = connection.recv(length - len(data))
        if not more:
            raise EOFError
        data += more
    return data


@dataclass
class Seen:
    """A query as it arrived."""

    request: bytes
    peer: tuple[str, int]
    tcp: bool

    @property
    def name(self) -> str:
        return _name(self.request, 12)[0]


Script = Callable[[Seen], list[bytes]]


@dataclass
class Nameserver:
    """Listens on port 53 of an address in a namespace; `script` says what is sent back for each query."""

    script: Script
    seen: list[Seen] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _sockets: list[socket.socket] = field(default_factory=list)
    _thread: threading.Thread | None = None

    def start(self, fd: int, address: str) -> None:
        self._sockets = netns.inside(fd, lambda: _bound(address))
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        for each in self._sockets:
            each.close()

    def names(self) -> list[str]:
        return [each.name for each in self.seen]

    def _serve(self) -> None:
        while not self._stop.is_set():
            for ready in select.select(self._sockets, [], [], 0.05)[0]:
                with contextlib.suppress(OSError, EOFError):
                    self._one(ready)

    def _one(self, ready: socket.socket) -> None:
        if ready.type == socket.SOCK_DGRAM:
            data, peer = ready.recvfrom(65535)
            for response in self._scripted(Seen(data, peer[:2], tcp=False)):
                ready.sendto(response, peer)
            return
        connection, peer = ready.accept()
        with connection:
            connection.settimeout(10)
            data = receive(connection, int.from_bytes(receive(connection, 2), "big"))
            for response in self._scripted(Seen(data, peer[:2], tcp=True)):
                connection.sendall(len(response).to_bytes(2, "big") + response)

    def _scripted(self, seen: Seen) -> list[bytes]:
        self.seen.append(seen)
        return self.script(seen)


def _bound(address: str) -> list[socket.socket]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    udp, tcp = socket.socket(family, socket.SOCK_DGRAM), socket.socket(family)
    tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    for each in (udp, tcp):
        each.bind((address, 53))
    tcp.listen(16)
    return [udp, tcp]


def _name(message: bytes, offset: int) -> tuple[str, int]:
    labels: list[str] = []
    end = -1
    while message[offset]:
        length = message[offset]
        if length >= 0xC0:
            end = offset + 2 if end < 0 else end
            offset = (length & 0x3F) << 8 | message[offset + 1]
            continue
        labels.append(message[offset + 1 : offset + 1 + length].decode())
        offset += length + 1
    return ".".join(labels) + ".", offset + 1 if end < 0 else end


def _kind(kind: int) -> str:
    return next((name for name, number in KINDS.items() if number == kind), str(kind))


def _value(message: bytes, kind: int, offset: int, length: int) -> str:
    data = message[offset : offset + length]
    if kind == 1:
        return socket.inet_ntop(socket.AF_INET, data)
    if kind == 28:
        return socket.inet_ntop(socket.AF_INET6, data)
    return _name(message, offset)[0] if kind == 12 else data.hex()
