"""The driver `journald`: fields in the journal's own protocol, to the host's socket."""

import os
import secrets
import struct

import errdefs
from engine.logs.drivers.link import DatagramLink
from engine.logs.drivers.target import Batch, Driver, Link, Message, Retry, Subject
from engine.logs.record import short_time

SOCKET = "/run/systemd/journal/socket"

_OPTIONS = frozenset({"env", "env-regex", "labels", "labels-regex", "tag"})
_ERROR, _INFO = "3", "6"


def check(options: dict[str, str]) -> None:
    """Nothing can be wrong with them."""


def make(options: dict[str, str], subject: Subject) -> "Journald":  # noqa: ARG001
    """The target of a container's log."""
    return Journald(subject)


def require(_: dict[str, str]) -> None:
    """Pass if this host has a journal; else SystemFailure in Docker's words."""
    if not os.path.exists(SOCKET):
        raise errdefs.SystemFailure("journald is not enabled on this host")


class Journald:
    """One entry a record, with the fields that `journalctl CONTAINER_NAME=…` looks for."""

    retry = Retry()

    def __init__(self, subject: Subject) -> None:
        fields = {
            "CONTAINER_ID": subject.id[:12],
            "CONTAINER_ID_FULL": subject.id,
            "CONTAINER_NAME": subject.name,
            "CONTAINER_TAG": subject.tag,
            "IMAGE_NAME": subject.image_name,
            "SYSLOG_IDENTIFIER": subject.tag,
            "CONTAINER_LOG_EPOCH": secrets.token_hex(32),
        }
        fields |= {field_name(key): value for key, value in subject.extra.items() if field_name(key)}
        self._fields = b"".join(field(name, value) for name, value in fields.items())

    def encode(self, messages: list[Message]) -> Batch:
        """As of Target."""
        return Batch([self._entry(each) for each in messages], [])

    async def connect(self) -> Link:
        """As of Target."""
        return await DatagramLink.open(path=SOCKET, by_memfd=True)

    def _entry(self, message: Message) -> bytes:
        fields = {
            "PRIORITY": _ERROR if message.stream == "stderr" else _INFO,
            "MESSAGE": message.line,
            "SYSLOG_TIMESTAMP": short_time(message.time),
            "CONTAINER_LOG_ORDINAL": str(message.ordinal),
        }
        if (partial := message.partial) is not None:
            fields |= {
                "CONTAINER_PARTIAL_ID": partial.id,
                "CONTAINER_PARTIAL_ORDINAL": str(partial.ordinal),
                "CONTAINER_PARTIAL_LAST": str(partial.last).lower(),
            }
            if not partial.last:
                fields["CONTAINER_PARTIAL_MESSAGE"] = "true"
        return b"".join(field(name, value) for name, value in fields.items()) + self._fields


def field(name: str, value: str) -> bytes:
    """A field as the journal takes it: one with a newline tells its length."""
    data = value.encode()
    if b"\n" not in data:
        return name.encode() + b"=" + data + b"\n"
    return name.encode() + b"\n" + struct.pack("<Q", len(data)) + data + b"\n"


def field_name(key: str) -> str:
    """A label's or variable's name as a field's: capitals, digits and underscores, no underscore first."""
    upper = "".join(each.upper() if each.isascii() and each.isalnum() else "_" for each in key)
    return upper.lstrip("_")


DRIVER = Driver(_OPTIONS, check, make, require)
