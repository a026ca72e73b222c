"""Addresses of log options: `scheme://host:port` or `scheme:///path`, with the complaints of Go's parser. Pure."""

import re

import msgspec

import errdefs

_FORM = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<host>\[[^\]/]*\]|[^/:]*)(?P<port>:[^/]*)?(?P<path>/.*)?"
)


class Address(msgspec.Struct, frozen=True):
    """Where to send: a path for the schemes of unix sockets, else a host and a port (0: none was told)."""

    scheme: str
    host: str = ""
    port: int = 0
    path: str = ""


def parse(text: str) -> Address:
    """An address; without "://" it is all host, as of an empty scheme."""
    if "://" not in text:
        return Address("", text)
    match = _FORM.fullmatch(text)
    port = (match["port"] or ":")[1:] if match else ""
    if match is None or not (port == "" or (port.isascii() and port.isdecimal())):
        raise errdefs.InvalidArgument(f'parse "{text}": invalid port "{_wrong_port(text)}" after host')
    return Address(match["scheme"].lower(), match["host"].strip("[]"), int(port or 0), match["path"] or "")


def _wrong_port(text: str) -> str:
    host = text.partition("://")[2].partition("/")[0]
    return ":" + host.rpartition(":")[2]
