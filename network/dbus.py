"""One call of a method on the system's message bus: the few lines of D-Bus that it takes.

The protocol is that of the D-Bus specification 0.43: little endian, strings as arguments only, EXTERNAL authentication.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

_DEFAULT: Final = "unix:path=/run/dbus/system_bus_socket"
_CALL, _RETURN, _ERROR = 1, 2, 3
_NO_AUTO_START: Final = 2
_PATH, _INTERFACE, _MEMBER, _ERROR_NAME, _REPLY_SERIAL, _DESTINATION, _SIGNATURE = 1, 2, 3, 4, 5, 6, 8
_LARGEST: Final = 1 << 20


class BusError(Exception):
    """No bus, nobody of that name, or what was called refuses; the text begins with the error's name if it has one."""


class Method(msgspec.Struct, frozen=True):
    """What to call, and where."""

    destination: str
    path: str
    interface: str
    member: str


class Reply(msgspec.Struct, frozen=True):
    """The answer to the call of that serial; `error` is "" for success, `text` the first string of the body, or ""."""

    serial: int
    error: str
    text: str


class Bus:
    """A connection, for blocking use by one thread; `close` may be called by another."""

    def __init__(self, seconds: float) -> None:
        """Connect; each wait is bounded by so many seconds. Raises BusError."""
        address = os.environ.get("DBUS_SYSTEM_BUS_ADDRESS", _DEFAULT)
        path = address.partition("unix:path=")[2].partition(",")[0].partition(";")[0]
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(seconds)
        self._serial = 0
        try:
            self._socket.connect(path)
            self._authenticate()
        except OSError as error:
            self._socket.close()
            raise BusError(f"no message bus at {path}: {error.strerror}") from error
        bus = "org.freedesktop.DBus"
        try:
            self.call(Method(bus, "/org/freedesktop/DBus", bus, "Hello"))
        except BusError:
            self._socket.close()
            raise

    def close(self) -> None:
        """End it, and whatever waits for an answer."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def call(self, method: Method, *arguments: str) -> str:
        """The first string that is answered, "" for none. Raises BusError; nobody is started who is not there."""
        self._serial += 1
        try:
            self._socket.sendall(encode(method, arguments, self._serial))
            while True:
                reply = self._receive()
                if reply.serial == self._serial:
                    break
        except (OSError, ValueError) as error:
            raise BusError(f"the message bus does not answer: {error}") from error
        if reply.error:
            raise BusError(f"{reply.error}: {reply.text}")
        return reply.text

    def _authenticate(self) -> None:
        uid = str(os.getuid()).encode().hex()
        self._socket.sendall(f"\0AUTH EXTERNAL {uid}\r\n".encode())
        answer = b""
        while not answer.endswith(b"\r\n"):
            got = self._socket.recv(1)  # what follows is of another kind
            if not got or len(answer) > 1000:
                raise ConnectionError("the bus hung up")
            answer += got
        if not answer.startswith(b"OK "):
            raise ConnectionError("the bus refuses us")
        self._socket.sendall(b"BEGIN\r\n")

    def _receive(self) -> Reply:
        fixed = self._exactly(16)
        body, fields = struct.unpack("<I", fixed[4:8])[0], struct.unpack("<I", fixed[12:16])[0]
        if fixed[:1] != b"l" or body + fields > _LARGEST:
            raise ConnectionError("not a message that we read")
        return decode(fixed + self._exactly(_aligned(fields, 8) + body))

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            got = self._socket.recv(size - len(data))
            if not got:
                raise ConnectionError("the bus hung up")
            data += got
        return data


def encode(method: Method, arguments: Sequence[str], serial: int) -> bytes:
    """A call, as bytes."""
    fields = b""
    for code, kind, value in (
        (_PATH, "o", method.path),
        (_INTERFACE, "s", method.interface),
        (_MEMBER, "s", method.member),
        (_DESTINATION, "s", method.destination),
        *([(_SIGNATURE, "g", "s" * len(arguments))] if arguments else []),
    ):
        fields = _padded(fields, 8) + bytes([code, 1]) + kind.encode() + b"\0"
        raw = value.encode() + b"\0"
        size = bytes([len(raw) - 1]) if kind == "g" else struct.pack("<I", len(raw) - 1)
        fields += size + raw
    body = b""
    for argument in arguments:
        raw = argument.encode()
        body = _padded(body, 4) + struct.pack("<I", len(raw)) + raw + b"\0"
    head = struct.pack("<cBBBIII", b"l", _CALL, _NO_AUTO_START, 1, len(body), serial, len(fields))
    return _padded(head + fields, 8) + body


def decode(message: bytes) -> Reply:
    """A whole message; what is no reply has the serial 0. Raises ValueError for bytes that are none."""
    try:
        return _decoded(message)
    except (struct.error, IndexError) as error:
        raise ValueError("a message that is cut off") from error


def _decoded(message: bytes) -> Reply:
    kind = message[1]
    body_size, _, size = struct.unpack_from("<III", message, 4)
    body = _aligned(16 + size, 8)
    if body + body_size > len(message):
        raise ValueError("a message that is cut off")
    fields = dict(_fields(message, 16 + size))
    if kind not in (_RETURN, _ERROR):
        return Reply(0, "", "")
    text = ""
    if str(fields.get(_SIGNATURE, "")).startswith("s") and body_size:
        text, _ = _string(message, body)
    error = str(fields.get(_ERROR_NAME, "unknown")) if kind == _ERROR else ""
    return Reply(int(fields.get(_REPLY_SERIAL, 0)), error, text)


def _fields(message: bytes, end: int) -> Iterator[tuple[int, str | int]]:
    at = 16
    while at < end:
        at = _aligned(at, 8)
        code, kind = message[at], message[at + 2 : at + 3]
        at += 4
        if kind == b"u":
            yield code, struct.unpack_from("<I", message, at)[0]
            at += 4
        elif kind == b"g":
            text, at = _text(message, at + 1, message[at])
            yield code, text
        else:
            text, at = _string(message, at)
            yield code, text


def _string(message: bytes, at: int) -> tuple[str, int]:
    at = _aligned(at, 4)
    return _text(message, at + 4, struct.unpack_from("<I", message, at)[0])


def _text(message: bytes, at: int, size: int) -> tuple[str, int]:
    """So many bytes, and where what comes after them and the zero at their end begins."""
    if at + size >= len(message):
        raise ValueError("a text that is cut off")
    return message[at : at + size].decode(errors="replace"), at + size + 1


def _aligned(size: int, to: int) -> int:
    return -(-size // to) * to


def _padded(data: bytes, to: int) -> bytes:
    return data + bytes(_aligned(len(data), to) - len(data))
