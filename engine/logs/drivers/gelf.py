"""The driver `gelf`: Graylog's messages, by UDP (compressed, in chunks) or TCP."""

import gzip
import os
import zlib

import msgspec

import errdefs
from engine.logs.drivers import address, values
from engine.logs.drivers.link import DatagramLink, StreamLink
from engine.logs.drivers.target import Batch, Driver, Link, Message, Retry, Subject
from engine.logs.record import short_time

_OPTIONS = frozenset(
    {
        *("gelf-address", "gelf-compression-level", "gelf-compression-type"),
        *("gelf-tcp-max-reconnect", "gelf-tcp-reconnect-delay"),
        *("env", "env-regex", "labels", "labels-regex", "tag"),
    }
)
_CHUNK = 1420 - 12  # bytes of a datagram that crosses the internet, without the chunk's header
_MAGIC = b"\x1e\x0f"
_MAX_CHUNKS = 128
_ERROR, _INFO = 3, 6
# Go's encoder makes JSON that may stand in HTML.
_ESCAPES = str.maketrans(
    {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
)


def check(options: dict[str, str]) -> None:
    """InvalidArgument for a bad address, and for what its protocol does not have."""
    text = options.get("gelf-address", "")
    if not text:
        raise errdefs.InvalidArgument("gelf-address is a required parameter")
    to = address.parse(text)
    if to.scheme not in ("udp", "tcp"):
        raise errdefs.InvalidArgument("gelf: endpoint needs to be TCP or UDP")
    if not to.port:
        raise errdefs.InvalidArgument("gelf: please provide gelf-address as proto://host:port")
    for name, value in options.items():
        _check_option(name, value, to.scheme)


def _check_option(name: str, value: str, scheme: str) -> None:
    if name.startswith("gelf-compression") and scheme != "udp":
        raise errdefs.InvalidArgument("compression is only supported on UDP")
    if name == "gelf-compression-type":
        wrong = value not in ("gzip", "zlib", "none")
    elif name == "gelf-compression-level":
        wrong = value not in {str(level) for level in range(-1, 10)}
    else:
        wrong = False
    if wrong:
        raise errdefs.InvalidArgument(f'unknown value "{value}" for log opt "{name}" for gelf log driver')
    if name.startswith("gelf-tcp"):
        if scheme != "tcp":
            raise errdefs.InvalidArgument(f'"{name}" is only valid for TCP')
        if not (value.isascii() and value.isdecimal()):
            raise errdefs.InvalidArgument(f'"{name}" must be a positive integer')


def make(options: dict[str, str], subject: Subject) -> "Gelf":
    """The target for options that were checked."""
    return Gelf(options, subject)


class Gelf:
    """One JSON object a record; empty lines are left out, as in Docker."""

    def __init__(self, options: dict[str, str], subject: Subject) -> None:
        self._to = address.parse(options["gelf-address"])
        self._compression = options.get("gelf-compression-type", "gzip")
        self._level = int(options.get("gelf-compression-level", "1"))
        self._host = subject.host
        self._extra = _json(_extra(subject))[1:]
        delay = values.integer(options.get("gelf-tcp-reconnect-delay", "0"))
        self.retry = Retry(first=float(delay), most=max(float(delay), 5.0)) if delay else Retry()

    def encode(self, messages: list[Message]) -> Batch:
        """As of Target."""
        pieces: list[bytes] = []
        for message in messages:
            if message.line:
                pieces += self._pieces(self._object(message))
        return Batch(pieces, [])

    async def connect(self) -> Link:
        """As of Target."""
        if self._to.scheme == "tcp":
            return await StreamLink.open(self._to.host, self._to.port)
        return await DatagramLink.open(self._to.host, self._to.port)

    def _object(self, message: Message) -> bytes:
        head = {
            "version": "1.1",
            "host": self._host,
            "short_message": message.line,
            "timestamp": message.time // 10**6 / 1000,
            "level": _ERROR if message.stream == "stderr" else _INFO,
        }
        return _json(head)[:-1] + b"," + self._extra

    def _pieces(self, data: bytes) -> list[bytes]:
        if self._to.scheme == "tcp":
            return [data + b"\0"]
        if self._compression == "gzip":
            data = gzip.compress(data, self._level, mtime=0)
        elif self._compression == "zlib":
            data = zlib.compress(data, self._level)
        return chunks(data)


def chunks(data: bytes) -> list[bytes]:
    """The datagrams of a message; none for one that no receiver could put together."""
    if len(data) <= _CHUNK + 12:
        return [data]
    parts = [data[begin : begin + _CHUNK] for begin in range(0, len(data), _CHUNK)]
    if len(parts) > _MAX_CHUNKS:
        return []
    head = _MAGIC + os.urandom(8)
    return [head + bytes((number, len(parts))) + part for number, part in enumerate(parts)]


def _extra(subject: Subject) -> dict[str, str]:
    found = {
        "_container_id": subject.id,
        "_container_name": subject.name,
        "_image_id": subject.image_id,
        "_image_name": subject.image_name,
        "_command": subject.command,
        "_tag": subject.tag,
        "_created": short_time(subject.created),
    }
    found |= {key if key.startswith("_") else f"_{key}": value for key, value in subject.extra.items()}
    return dict(sorted(found.items()))


def _json(value: dict[str, object] | dict[str, str]) -> bytes:
    return msgspec.json.encode(value).decode().translate(_ESCAPES).encode()


DRIVER = Driver(_OPTIONS, check, make)
