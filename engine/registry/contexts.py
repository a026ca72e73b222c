"""TLS contexts by what a host's configuration says, kept as long as the files are the same."""

import asyncio
import os
import ssl
from pathlib import Path

import errdefs
from engine.registry.hosts import Tls

_KEPT = 64

Stamp = tuple[tuple[int, int, int], ...]


class Contexts:
    """The contexts that were made; reading certificates takes 10 ms and is done in a thread."""

    def __init__(self) -> None:
        self._made: dict[tuple[Tls, Stamp], ssl.SSLContext] = {}

    async def get(self, tls: Tls) -> ssl.SSLContext:
        """The context. SystemFailure, naming the file, if a certificate cannot be used."""
        key = tls, await asyncio.to_thread(_stamp, tls) if tls.authorities or tls.clients else ()
        context = self._made.get(key)
        if context is None:
            context = await asyncio.to_thread(make, tls)
            while len(self._made) >= _KEPT:
                self._made.pop(next(iter(self._made)))
            self._made[key] = context
        return context


def make(tls: Tls) -> ssl.SSLContext:
    """A context of a client. Blocking; errors as of `Contexts.get`."""
    context = ssl.create_default_context()
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    for authority in tls.authorities:
        try:
            context.load_verify_locations(cafile=authority)
        except (OSError, ssl.SSLError) as error:
            raise errdefs.SystemFailure(f"unable to load CA cert {authority}: {error}") from error
    for certificate, key in tls.clients:
        try:
            # Without a password of ours OpenSSL would ask for one on the terminal.
            context.load_cert_chain(certificate, key, password="")
        except (OSError, ssl.SSLError, ValueError) as error:
            raise errdefs.SystemFailure(f"failed to load X509 key pair {certificate}: {error}") from error
    return context


def _stamp(tls: Tls) -> Stamp:
    return tuple(_facts(path) for path in (*tls.authorities, *(one for pair in tls.clients for one in pair)))


def _facts(path: Path) -> tuple[int, int, int]:
    try:
        facts = os.stat(path)
    except OSError:
        return 0, 0, 0
    return facts.st_ino, facts.st_mtime_ns, facts.st_size
