"""Logging in to a registry: until wherry speaks with registries, only whether one is there at all."""

import asyncio
import ipaddress
import socket

import msgspec
from aiohttp import web

import errdefs
from api import gojson
from api.call import Call
from api.routing import Route

_HUB = "registry-1.docker.io"
_TIMEOUT = 15.0  # seconds to reach a registry


class AuthConfig(msgspec.Struct, kw_only=True):
    """The body; `serveraddress` is "" for Docker's own registry, else a host or a URL."""

    username: str = ""
    password: str = ""
    serveraddress: str = ""
    identitytoken: str = ""
    registrytoken: str = ""


def routes() -> list[Route]:
    """The table."""
    return [Route("POST", "/auth", _login)]


async def _login(call: Call) -> web.StreamResponse:
    """Reach the registry. No credentials are sent anywhere."""
    config = gojson.decode(await call.body(), AuthConfig)
    if not (config.username or config.identitytoken or config.registrytoken):
        raise errdefs.InvalidArgument("nothing to log in with: neither a username nor a token is given")
    host, port, scheme = endpoint(config.serveraddress)
    await _reach(host, port, f'Get "{scheme}://{_netloc(config.serveraddress)}/v2/"')
    raise errdefs.Unsupported(
        "logging in to a registry is not supported by this version of wherry: pulling and pushing are not, either"
    )


def endpoint(address: str) -> tuple[str, int, str]:
    """Host, port and scheme that a server address means; loopback registries are spoken to without TLS. Pure."""
    netloc = _netloc(address)
    host, colon, port = netloc.rpartition(":")
    if not colon or not port.isascii() or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        host, port = netloc, ""
    host = host.strip("[]")
    scheme = "http" if _is_loopback(host) else "https"
    return host, int(port) if port else {"http": 80, "https": 443}[scheme], scheme


def _netloc(address: str) -> str:
    bare = address.partition("://")[2] if "://" in address else address
    bare = bare.partition("/")[0]
    return _HUB if bare in ("", "index.docker.io", "docker.io") else bare


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def _reach(host: str, port: int, what: str) -> None:
    """Connect, and no more. SystemFailure in the words of Go's client."""
    try:
        async with asyncio.timeout(_TIMEOUT):
            _, writer = await asyncio.open_connection(host, port)
    except socket.gaierror:
        raise errdefs.SystemFailure(f"{what}: dial tcp: lookup {host}: no such host") from None
    except TimeoutError:
        raise errdefs.SystemFailure(f"{what}: dial tcp: lookup {host}: i/o timeout") from None
    except (OSError, UnicodeError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise errdefs.SystemFailure(f"{what}: dial tcp {host}:{port}: connect: {reason}") from None
    writer.close()
