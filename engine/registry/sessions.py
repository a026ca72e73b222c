"""Sessions of aiohttp's client, which is loaded for the first who asks a registry."""

from aiohttp.client import ClientSession, ClientTimeout
from aiohttp.connector import TCPConnector
from aiohttp.cookiejar import DummyCookieJar

__all__ = ["ClientSession", "ClientTimeout", "open_session"]

_CHUNK = (
    1 << 18
)  # bytes; a connection may have two to three times as many waiting, and what was taken is a copy
_IDLE = 1.0  # seconds for which a connection that nobody uses is kept


def open_session() -> ClientSession:
    """One that neither follows redirects nor unpacks nor keeps cookies by itself; of the loop that runs."""
    return ClientSession(
        connector=TCPConnector(limit=0, keepalive_timeout=_IDLE),
        cookie_jar=DummyCookieJar(),
        auto_decompress=False,
        read_bufsize=_CHUNK,
    )
