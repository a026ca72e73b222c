"""Calls to one plugin: POST /Method with a JSON object, answered by a JSON object.

A plugin that is not there (refused, no such socket) is tried again after 1, 2, 4 and 8 seconds, as Docker does; one
that answers nothing is waited for two minutes. What it sends beyond a MiB is a failure.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import ssl
from collections.abc import Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from aiohttp import client_exceptions

import errdefs
from plugins.discovery import Address, Tls
from plugins.loading import later

if TYPE_CHECKING:
    from aiohttp.client import ClientSession
    from aiohttp.streams import StreamReader

_log = logging.getLogger(__name__)

MIME: Final = "application/vnd.docker.plugins.v1.2+json"
PATIENCE: Final = (1.0, 2.0, 4.0, 8.0)
_HOST: Final = "plugin.moby.localhost"  # what Docker calls a plugin behind a socket
_SECONDS: Final = 120.0
_SECONDS_AGAIN: Final = 10.0
AWAY: Final = 60.0
_MAX_BODY: Final = 1 << 20


class PluginFailure(errdefs.SystemFailure):
    """The plugin said no, or nothing that can be understood. `status` is that of its answer, 0 without one."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class PluginAway(PluginFailure):
    """Nothing answers at the plugin's address, or not in time. `asked`: it may have heard the question."""

    def __init__(self, message: str, *, asked: bool = True) -> None:
        super().__init__(message)
        self.asked = asked


class Client:
    """Speaks to a plugin until close()."""

    def __init__(self, address: Address, *, patient: bool = True) -> None:
        """One that is not patient takes the plugin for one that was away just now."""
        self._address = address
        self._session: ClientSession | None = None
        self._closed = False
        self._away_until = 0.0 if patient else asyncio.get_running_loop().time() + AWAY
        self._seconds = _SECONDS

    async def call(
        self, method: str, arguments: Mapping[str, Any] | None = None, *, patient: bool = True
    ) -> dict[str, Any]:
        """The answer to a call. Raises PluginAway, PluginFailure.

        Without patience it is tried once, which says nothing to others.
        One that was away a minute ago is tried once, and one that did not answer has 10 seconds: what is undone takes
        many calls.
        """
        loop = asyncio.get_running_loop()
        for seconds in PATIENCE if patient and loop.time() >= self._away_until else ():
            try:
                return await self._once(method, arguments)
            except OSError as error:
                _log.warning(
                    "cannot reach plugin: %s; trying again in %g s", self._why(method, error), seconds
                )
                await asyncio.sleep(seconds)
        try:
            return await self._once(method, arguments)
        except OSError as error:
            if patient:
                self._away_until = loop.time() + AWAY
            raise PluginAway(self._why(method, error), asked=False) from error

    async def close(self) -> None:
        """End what is under way, and all that comes; idempotent."""
        self._closed = True
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _once(self, method: str, arguments: Mapping[str, Any] | None) -> dict[str, Any]:
        """Lets OSError through when there was no connection, and nothing was sent."""
        body = b"" if arguments is None else json.dumps(arguments).encode()
        try:
            sessions = await later("plugins.sessions")
            session = await self._opened(sessions)
            timeout = sessions.ClientTimeout(total=self._seconds)
            async with session.post(self._url(method), data=body, timeout=timeout) as response:
                raw = await _bounded(response.content)
                self._seconds = _SECONDS
                if raw is None:
                    raise PluginFailure(f"{method}: the plugin's answer is longer than {_MAX_BODY} bytes")
                return _parsed(method, response.status, raw)
        except client_exceptions.ClientConnectorError as error:
            raise error.os_error from error
        except TimeoutError as error:
            seconds, self._seconds = self._seconds, _SECONDS_AGAIN
            raise PluginAway(f"{method}: the plugin did not answer in {seconds:g} seconds") from error
        except (client_exceptions.ClientError, OSError) as error:
            raise PluginAway(f"{method}: the plugin broke off: {error}") from error

    async def _opened(self, sessions: ModuleType) -> ClientSession:
        """A connection a call: a plugin that was restarted has closed those of before, and a call is not sent twice."""
        if self._closed:
            raise PluginAway("the daemon is shutting down", asked=False)
        if self._session is None:
            socket = self._address.socket
            context = await asyncio.to_thread(_context, self._address.tls) if self._secure else True
            headers = {"Accept": MIME, "Accept-Encoding": "identity", "User-Agent": "wherry"}
            self._session = sessions.open_session(socket, context, headers)
        return self._session

    def _url(self, method: str) -> str:
        host = _HOST if self._address.socket else urlsplit(self._address.url).netloc
        return f"{'https' if self._secure else 'http'}://{host}/{method}"

    @property
    def _secure(self) -> bool:
        return urlsplit(self._address.url).scheme == "https"

    def _why(self, method: str, error: OSError) -> str:
        """In Go's words, which clients of Docker know."""
        if isinstance(error, ssl.SSLError):
            reason = str(error)
            if isinstance(error, ssl.SSLCertVerificationError):
                reason = f"failed to verify certificate: {error.verify_message}"
            return f'Post "{self._url(method)}": tls: {reason}'
        parts = urlsplit(self._address.url)
        where = f"unix {self._address.socket}" if self._address.socket else f"tcp {parts.netloc}"
        reason = (os.strerror(error.errno) if error.errno else str(error)).lower()
        return f'Post "{self._url(method)}": dial {where}: connect: {reason}'


async def _bounded(stream: StreamReader) -> bytes | None:
    chunks = bytearray()
    async for chunk in stream.iter_any():
        chunks += chunk
        if len(chunks) > _MAX_BODY:
            return None
    return bytes(chunks)


def _parsed(method: str, status: int, raw: bytes) -> dict[str, Any]:
    text = raw.decode(errors="replace")
    answer: Any = text
    with contextlib.suppress(ValueError, RecursionError):
        answer = json.loads(text)
    if status != 200:
        said = answer.get("Err") if isinstance(answer, dict) else None
        raise PluginFailure(f"{method}: {said or text}", status)
    if answer is None:
        return {}
    if not isinstance(answer, dict):
        raise PluginFailure(f"{method}: the plugin's answer is not a JSON object: {text[:200]!r}")
    return answer


def _context(tls: Tls) -> ssl.SSLContext:
    """What an https address is spoken to with. Reads files; raises PluginFailure for those that cannot be used."""
    try:
        made = ssl.create_default_context(cafile=tls.ca_file if tls.verify and tls.ca_file else None)
    except OSError as error:  # ssl.SSLError is one
        raise PluginFailure(f"could not read CA certificate {tls.ca_file}: {error.strerror}") from error
    if not tls.verify:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    if tls.cert_file:
        try:
            made.load_cert_chain(tls.cert_file, tls.key_file or None)
        except OSError as error:
            files = f"{tls.cert_file}, {tls.key_file}"
            raise PluginFailure(f"could not load X509 key pair ({files}): {error.strerror}") from error
    return made
