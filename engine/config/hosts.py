"""Addresses to listen on, as `-H` takes them: pure."""

from urllib.parse import urlsplit

import errdefs

DEFAULT_HOST = "unix:///var/run/docker.sock"
DEFAULT_TLS_HOST = "tcp://localhost:2376"
"""Where a daemon that serves TLS listens if it is not told: there is no TLS on a unix socket."""

_DEFAULT_SOCKET = "/var/run/docker.sock"
_DEFAULT_NAME = "localhost"
_DEFAULT_PORT = 2375


def parse_host(address: str) -> str:
    """The full form of an address: "unix:///path", "tcp://host:port" or "fd://name".

    A bare word is a TCP address. InvalidArgument, in dockerd's words, for what is none.
    """
    address = address.strip()
    protocol, separator, rest = address.partition("://")
    if not separator:
        protocol, rest = "tcp", address
    if protocol == "fd":
        return address
    if protocol == "unix":
        if "://" in rest:
            raise _invalid(address, f"invalid unix address: {rest}")
        return f"unix://{rest or _DEFAULT_SOCKET}"
    if protocol == "tcp":
        return _tcp(address, rest)
    raise _invalid(address, f"unsupported proto '{protocol}'")


def _tcp(address: str, rest: str) -> str:
    try:
        parts = urlsplit(f"tcp://{rest}")
        port = parts.port
    except ValueError as error:
        raise _invalid(address, str(error)) from error
    if parts.path or parts.query or parts.fragment:
        raise _invalid(address, "should not contain a path element")
    if port == 0 or parts.netloc.endswith(":"):
        raise _invalid(address, f"invalid port: {'' if port is None else port}")
    name = parts.hostname or _DEFAULT_NAME
    return f"tcp://{f'[{name}]' if ':' in name else name}:{port or _DEFAULT_PORT}"


def _invalid(address: str, why: str) -> errdefs.InvalidArgument:
    return errdefs.InvalidArgument(f"invalid bind address ({address}): {why}")
