"""What can go wrong between us and a host, as failures in the words of Go's client, which users know.

URLs are shown without what a redirect put into their query: signatures are secrets.
"""

import asyncio
import os
import re
import socket
import ssl

from aiohttp import client_exceptions
from yarl import URL

import errdefs
from engine.registry.errors import Transient

_ADDRESS = re.compile(r"\('([0-9a-fA-F:.%\w]+)', (\d+)")
_UNKNOWN_AUTHORITY = frozenset({2, 18, 19, 20, 21})  # X509_V_ERR_*: no issuer, self-signed, no chain
_EXPIRED = frozenset({9, 10})
_WRONG_NAME = frozenset({62, 64})
_NOT_TLS = (
    *("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "UNKNOWN_PROTOCOL"),
    "RECORD_LAYER_FAILURE",
)
_PLAIN_TO_TLS = "http: server gave HTTP response to HTTPS client"

FAILURES = (
    client_exceptions.ClientError,
    OSError,
    TimeoutError,
    asyncio.TimeoutError,
    UnicodeError,
    ValueError,
)
"""What a request raises; see `translated`."""


class Unreachable(Transient):
    """Nobody answers there for the moment."""


class Unproven(errdefs.SystemFailure):
    """The host did not prove itself, or speaks no TLS."""


def shown(url: URL, *, whole: bool) -> str:
    """A URL for people: without user and fragment, and without its query unless `whole`."""
    bare = url.with_user(None).with_fragment(None)
    return str(bare if whole else bare.with_query(None))


def translated(error: BaseException, method: str, url: URL, *, whole: bool = True) -> errdefs.WherryError:
    """The failure for what a request raised. Transient unless it cannot pass by itself."""
    if isinstance(error, errdefs.WherryError):
        return error
    what = f'{method.capitalize()} "{shown(url, whole=whole)}": '
    if isinstance(error, client_exceptions.ClientConnectorError | client_exceptions.ClientSSLError):
        return _unconnected(error, what)
    if isinstance(error, client_exceptions.ServerTimeoutError | TimeoutError):
        return Unreachable(what + _late(error, url))
    if isinstance(error, client_exceptions.ServerDisconnectedError):
        return Transient(f"{what}EOF")
    if isinstance(error, client_exceptions.ClientPayloadError):
        return Transient(f"{what}unexpected EOF")
    if isinstance(error, OSError):
        return Transient(f"{what}read tcp {host_port(url)}: read: {_reason(error)}")
    return _malformed(error, what)


def require_port(method: str, url: URL) -> None:
    """Pass unless a URL has a port that cannot be: yarl refuses to say anything of such a one. SystemFailure."""
    try:
        url.port  # noqa: B018 - it raises
    except ValueError:
        netloc = url.raw_authority.rpartition("@")[2]
        raise errdefs.SystemFailure(
            f'{method.capitalize()} "{url.scheme}://{netloc}{url.raw_path_qs}": '
            f"dial tcp: address {netloc.rpartition(':')[2]}: invalid port"
        ) from None


def host_port(url: URL) -> str:
    """The host and port that a URL leads to."""
    host = url.host or ""
    return f"[{host}]:{url.port}" if ":" in host else f"{host}:{url.port}"


def _unconnected(
    error: client_exceptions.ClientConnectorError | client_exceptions.ClientSSLError, what: str
) -> errdefs.WherryError:
    if isinstance(error, client_exceptions.ClientConnectorDNSError):
        if error.os_error.errno == socket.EAI_AGAIN:
            return Unreachable(f"{what}dial tcp: lookup {error.host}: i/o timeout")
        return Unproven(f"{what}dial tcp: lookup {error.host}: no such host")
    if isinstance(error, client_exceptions.ClientConnectorCertificateError):
        return Unproven(what + _certificate(error.certificate_error))
    if isinstance(error, client_exceptions.ClientSSLError):
        return _tls(error, what)
    return Unreachable(f"{what}dial tcp {_where(error)}: connect: {_reason(error.os_error)}")


def _where(error: client_exceptions.ClientConnectorError) -> str:
    """The address that was tried, or the name if the error does not say."""
    found = _ADDRESS.search(str(error.os_error))
    host, port = found.groups() if found else (error.host, str(error.port))
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _malformed(error: BaseException, what: str) -> errdefs.WherryError:
    if isinstance(error, client_exceptions.ClientHttpProxyError):
        return errdefs.SystemFailure(f"{what}proxyconnect tcp: {error.status} {error.message}")
    if isinstance(error, client_exceptions.InvalidURL | UnicodeError):
        return errdefs.InvalidArgument(f"{what}invalid URL")
    if isinstance(error, client_exceptions.ClientResponseError | ValueError):
        return errdefs.SystemFailure(
            f"{what}net/http: HTTP/1.x transport connection broken: malformed HTTP response"
        )
    return Transient(f"{what}{type(error).__name__}")


def _late(error: BaseException, url: URL) -> str:
    if isinstance(error, client_exceptions.ConnectionTimeoutError):
        return f"dial tcp {host_port(url)}: i/o timeout"
    return "net/http: timeout awaiting response headers"


def _tls(error: client_exceptions.ClientSSLError, what: str) -> errdefs.WherryError:
    reason = getattr(error.os_error, "reason", None) or str(error.os_error)
    if any(word in reason.upper() for word in _NOT_TLS):
        return Unproven(what + _PLAIN_TO_TLS)
    if not isinstance(error.os_error, ssl.SSLError):
        return Unreachable(f"{what}{_reason(error.os_error)}")
    return Unproven(f"{what}remote error: tls: {reason.lower().replace('_', ' ')}")


def _certificate(error: Exception) -> str:
    prefix = "tls: failed to verify certificate: x509: "
    code = getattr(error, "verify_code", 0)
    message = getattr(error, "verify_message", "") or str(error)
    if code in _UNKNOWN_AUTHORITY:
        return prefix + "certificate signed by unknown authority"
    if code in _EXPIRED:
        return prefix + "certificate has expired or is not yet valid"
    if code in _WRONG_NAME:
        return prefix + f"certificate is not valid for this name: {message}"
    return prefix + message


def _reason(error: OSError) -> str:
    text = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
    return (text or type(error).__name__).lower()
