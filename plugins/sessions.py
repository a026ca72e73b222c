"""Connections to plugins by aiohttp's client, which is loaded for the first plugin."""

import ssl

from aiohttp.client import ClientSession, ClientTimeout
from aiohttp.connector import TCPConnector, UnixConnector
from aiohttp.cookiejar import DummyCookieJar

__all__ = ["ClientSession", "ClientTimeout", "open_session"]


def open_session(socket: str, context: ssl.SSLContext | bool, headers: dict[str, str]) -> ClientSession:
    """A session with whom listens on a socket, "" for who has an address; a connection a call."""
    return ClientSession(
        connector=UnixConnector(socket, force_close=True)
        if socket
        else TCPConnector(ssl=context, force_close=True),
        cookie_jar=DummyCookieJar(),
        headers=headers,
        skip_auto_headers=("Content-Type",),
    )
