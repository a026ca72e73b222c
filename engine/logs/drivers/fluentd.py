"""The driver `fluentd`: the forward protocol's messages in msgpack, by TCP, TLS or a unix socket."""

import base64
import os
import ssl
import struct

import msgspec

import errdefs
from engine.images.durations import parse_duration
from engine.logs.drivers import address, values
from engine.logs.drivers.address import Address
from engine.logs.drivers.link import StreamLink
from engine.logs.drivers.target import Batch, Driver, Link, Message, Retry, Subject

_PORT = 24224
_SCHEMES = ("tcp", "tls", "unix")
_ASYNC, _ASYNC_CONNECT = "fluentd-async", "fluentd-async-connect"
_INTERVAL = "fluentd-async-reconnect-interval"
_SHORTEST, _LONGEST = 10**8, 10**10  # nanoseconds between two attempts
_OPTIONS = frozenset(
    {
        *("env", "env-regex", "labels", "labels-regex", "tag", "fluentd-address", _ASYNC, _ASYNC_CONNECT),
        *(_INTERVAL, "fluentd-buffer-limit", "fluentd-max-retries", "fluentd-request-ack"),
        *("fluentd-retry-wait", "fluentd-sub-second-precision"),
    }
)
_encoder = msgspec.msgpack.Encoder()


def check(options: dict[str, str]) -> None:
    """InvalidArgument for a bad address and values that are none."""
    _parse(options.get("fluentd-address", ""))
    values.size(options.get("fluentd-buffer-limit") or "1", base=1024)
    _retry(options)
    if options.get(_ASYNC) and options.get(_ASYNC_CONNECT):
        raise errdefs.InvalidArgument(
            f"conflicting options: cannot specify both '{_ASYNC}' and '{_ASYNC_CONNECT}"
        )
    for name in (_ASYNC, _ASYNC_CONNECT, "fluentd-sub-second-precision", "fluentd-request-ack"):
        _flag(options, name)


def make(options: dict[str, str], subject: Subject) -> "Fluentd":
    """The target for options that were checked."""
    return Fluentd(options, subject)


class Fluentd:
    """One event a record. With `fluentd-request-ack` a batch is sent once all of its events were acknowledged."""

    def __init__(self, options: dict[str, str], subject: Subject) -> None:
        self._to = _parse(options.get("fluentd-address", ""))
        self._tag = subject.tag
        self._fine = _flag(options, "fluentd-sub-second-precision")
        self._acknowledged = _flag(options, "fluentd-request-ack")
        self._id, self._name, self._extra = subject.id, f"/{subject.name}", subject.extra
        self.retry = _retry(options)

    def encode(self, messages: list[Message]) -> Batch:
        """As of Target."""
        pieces, acks = [], []
        for message in messages:
            option = {}
            if self._acknowledged:
                option["chunk"] = base64.b64encode(os.urandom(16)).decode()
                acks.append(_encoder.encode({"ack": option["chunk"]}))
            pieces.append(
                _encoder.encode((self._tag, self._time(message.time), self._event(message), option))
            )
        return Batch(pieces, acks)

    async def connect(self) -> Link:
        """As of Target."""
        if self._to.scheme == "unix":
            return await StreamLink.open(path=self._to.path)
        tls = ssl.create_default_context() if self._to.scheme == "tls" else None
        return await StreamLink.open(self._to.host, self._to.port, tls=tls)

    def _time(self, at: int) -> int | msgspec.msgpack.Ext:
        seconds, fraction = divmod(at, 10**9)
        return msgspec.msgpack.Ext(0, struct.pack(">II", seconds, fraction)) if self._fine else seconds

    def _event(self, message: Message) -> dict[str, str]:
        event = {
            "container_id": self._id,
            "container_name": self._name,
            "source": message.stream,
            "log": message.line,
            **self._extra,
        }
        if (partial := message.partial) is not None:
            event |= {
                "partial_message": "true",
                "partial_id": partial.id,
                "partial_ordinal": str(partial.ordinal),
                "partial_last": str(partial.last).lower(),
            }
        return event


def _flag(options: dict[str, str], name: str) -> bool:
    return values.boolean(options[name]) if options.get(name) else False


def _retry(options: dict[str, str]) -> Retry:
    wait = parse_duration(options.get("fluentd-retry-wait") or "1s") / 1e9
    most = 5.0
    if interval := options.get(_INTERVAL):
        try:
            nanoseconds = parse_duration(interval)
        except errdefs.InvalidArgument as error:
            raise errdefs.InvalidArgument(f"invalid value for {_INTERVAL}: {error.message}") from error
        if not _SHORTEST <= nanoseconds <= _LONGEST:
            told = _span(nanoseconds)
            raise errdefs.InvalidArgument(
                f'invalid value for {_INTERVAL}: value ("{told}") must be between 100ms and 10s'
            )
        wait = most = nanoseconds / 1e9
    times = options.get("fluentd-max-retries")
    return Retry(
        first=max(wait, 0.01),
        most=max(most, wait),
        times=values.integer(times, "ParseUint") if times else None,
    )


def _span(nanoseconds: int) -> str:
    """A span as Go prints it: "1ms", "1m40s"."""
    if nanoseconds < 10**9:
        return f"{nanoseconds / 10**6:g}ms"
    minutes, rest = divmod(nanoseconds, 60 * 10**9)
    hours, minutes = divmod(minutes, 60)
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if hours or minutes else "") + f"{rest / 10**9:g}s"


def _parse(text: str) -> Address:
    if not text:
        return Address("tcp", "127.0.0.1", _PORT)
    whole = text if "://" in text else f"tcp://{text}"
    try:
        found = address.parse(whole)
        _require_good(found)
    except errdefs.InvalidArgument as error:
        raise errdefs.InvalidArgument(f"invalid fluentd-address ({text}): {error.message}") from error
    if found.scheme == "unix":
        return found
    return Address(found.scheme, found.host or "127.0.0.1", found.port or _PORT)


def _require_good(found: Address) -> None:
    if found.scheme not in _SCHEMES:
        raise errdefs.InvalidArgument(f"unsupported scheme: '{found.scheme}'")
    if found.scheme == "unix":
        if not found.path:
            raise errdefs.InvalidArgument("path is empty")
        return
    if found.path:
        raise errdefs.InvalidArgument("should not contain a path element")
    if found.port > 0xFFFF:
        raise errdefs.InvalidArgument(
            f'invalid port: strconv.ParseUint: parsing "{found.port}": value out of range'
        )


DRIVER = Driver(_OPTIONS, check, make)
