"""Bearer tokens: fetched from where a challenge says, kept until they expire. They appear in no log and no text."""

import asyncio
import hashlib
import secrets
import time
from collections.abc import Mapping
from urllib.parse import urlencode

import msgspec
from yarl import URL

import errdefs
from engine.registry import errors
from engine.registry.credentials import Credentials, is_printable
from engine.registry.exchange import Wire
from engine.registry.hosts import Host, Tls
from engine.registry.messages import Answer, Request
from engine.veiled import Veiled

CLIENT_ID = "docker"
_SHORTEST_LIFE = 60  # seconds; what lives shorter is said to live as long, as Docker takes it
_LONGEST_LIFE = 86400
_MARGIN = 5.0  # seconds before its end in which a token is not used any more
_MAX_KEPT = 1024
_now = time.monotonic


class Issued(Veiled, frozen=True):
    """What a token server gave. `refresh_token` is "" unless it was asked for, and not always then."""

    token: str
    refresh_token: str = ""
    lifetime: float = _SHORTEST_LIFE


class Wanted(msgspec.Struct, frozen=True):
    """A token: from which realm, for which service and scopes ("repository:library/busybox:pull")."""

    realm: URL
    service: str
    scopes: tuple[str, ...]

    @classmethod
    def of(cls, parameters: Mapping[str, str], scopes: tuple[str, ...], host: Host) -> "Wanted":
        """What a challenge of a host demands. SystemFailure for a realm that cannot be."""
        if not parameters.get("realm"):
            raise errdefs.SystemFailure("no realm specified for token auth challenge")
        try:
            realm = URL(parameters["realm"]).with_user(None).with_fragment(None)
            realm.origin()
        except ValueError:
            raise errdefs.SystemFailure("invalid token auth challenge realm") from None
        if realm.scheme not in ("http", "https"):
            raise errdefs.SystemFailure(
                f'invalid token auth challenge realm: unsupported protocol scheme "{realm.scheme}"'
            )
        if realm.scheme == "http" and host.scheme == "https":
            raise errdefs.SystemFailure(
                f"invalid token auth challenge realm: {realm.origin()} is without TLS, unlike {host.netloc}"
            )
        return cls(realm, parameters.get("service", ""), scopes)


class Tokens:
    """The tokens of a daemon. One that several wait for is fetched once."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._key = secrets.token_bytes(32)
        self._kept: dict[tuple[Wanted, bytes], tuple[str, float]] = {}
        self._locks: dict[tuple[Wanted, bytes], tuple[asyncio.Lock, int]] = {}

    async def bearer(self, wanted: Wanted, credentials: Credentials | None, host: Host) -> str:
        """A token for those credentials, None for anybody's. `Refusal` if the server refuses, else errdefs."""
        key = wanted, self._mark(credentials)
        lock, waiting = self._locks.get(key, (asyncio.Lock(), 0))
        self._locks[key] = lock, waiting + 1
        try:
            async with lock:
                token, end = self._kept.get(key, ("", 0.0))
                if end <= _now():
                    issued = await fetch(self._wire, wanted, credentials, host)
                    token = issued.token
                    self._keep(key, issued)
                return token
        finally:
            lock, waiting = self._locks.pop(key)
            if waiting > 1:
                self._locks[key] = lock, waiting - 1

    def forget(self, wanted: Wanted, credentials: Credentials | None, token: str) -> None:
        """Drop a token that a registry did not take, unless another has come in its place."""
        key = wanted, self._mark(credentials)
        if self._kept.get(key, ("", 0.0))[0] == token:
            del self._kept[key]

    def _keep(self, key: tuple[Wanted, bytes], issued: Issued) -> None:
        now = _now()
        if len(self._kept) >= _MAX_KEPT:
            self._kept = {each: kept for each, kept in self._kept.items() if kept[1] > now}
        while len(self._kept) >= _MAX_KEPT:
            self._kept.pop(next(iter(self._kept)))
        self._kept[key] = issued.token, now + issued.lifetime - _MARGIN

    def _mark(self, credentials: Credentials | None) -> bytes:
        """Tells credentials apart without keeping them."""
        given = credentials or Credentials()
        parts = (given.username, given.password, given.identity_token)
        return hashlib.blake2b(msgspec.json.encode(parts), key=self._key, digest_size=16).digest()


async def fetch(
    wire: Wire, wanted: Wanted, credentials: Credentials | None, host: Host, *, offline: bool = False
) -> Issued:
    """Ask a token server; `offline` asks for a refresh token as well. Errors as of `Tokens.bearer`."""
    given = credentials or Credentials()
    request = (
        _by_identity(wanted, given, host) if given.identity_token else _by_basic(wanted, given, host, offline)
    )
    async with wire.ask(request) as answer:
        if not answer.succeeded:
            raise redacted(await answer.refusal(), given)
        return await _issued(answer)


def _by_identity(wanted: Wanted, given: Credentials, host: Host) -> Request:
    form = {
        "grant_type": "refresh_token",
        "refresh_token": given.identity_token,
        "service": wanted.service,
        "scope": " ".join(wanted.scopes),
        "client_id": CLIENT_ID,
    }
    return Request(method="POST", url=wanted.realm, tls=_tls(wanted, host), form=form)


def _by_basic(wanted: Wanted, given: Credentials, host: Host, offline: bool) -> Request:
    query = [("service", wanted.service)] if wanted.service else []
    query += [("scope", scope) for scope in wanted.scopes]
    if offline:
        query += [("offline_token", "true"), ("client_id", CLIENT_ID)]
    if given.basic:
        query.append(("account", given.username))
    query += wanted.realm.query.items()
    query.sort(key=lambda pair: pair[0])
    url = URL(f"{wanted.realm.with_query(None)}?{urlencode(query)}", encoded=True)
    return Request(method="GET", url=url, tls=_tls(wanted, host), authorization=given.basic)


def _tls(wanted: Wanted, host: Host) -> Tls:
    """The token server of a registry with an authority of its own has the same, as a rule."""
    same = wanted.realm.origin() == URL(host.url).origin()
    return host.tls if same else host.tls.without_clients()


async def _issued(answer: Answer) -> Issued:
    body = await answer.body(errors.MAX_BODY)
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise errdefs.SystemFailure("unable to decode token response: no JSON object")
    token = document.get("access_token") or document.get("token") or ""
    refresh = document.get("refresh_token") or ""
    if not isinstance(token, str) or not isinstance(refresh, str):
        raise errdefs.SystemFailure("unable to decode token response: a token that is no text")
    if not token:
        raise errdefs.SystemFailure("authorization server did not include a token in the response")
    if not is_printable(token):
        raise errdefs.SystemFailure("unable to decode token response: the token cannot stand in a header")
    life = document.get("expires_in")
    seconds = life if isinstance(life, int | float) and not isinstance(life, bool) else 0
    return Issued(token, refresh, min(max(seconds, _SHORTEST_LIFE), _LONGEST_LIFE))


def redacted(refused: errors.Refusal, given: Credentials) -> errors.Refusal:
    """The refusal without the secrets that a server may have echoed."""
    problems = [
        errors.Problem(each.code, given.redact(each.message), told=each.told) for each in refused.problems
    ]
    return errors.Refusal(
        refused.status,
        given.redact(refused.text),
        problems,
        passing=refused.passing,
        retry_after=refused.retry_after,
    )


def scope(path: str, actions: tuple[str, ...]) -> str:
    """The scope of a repository."""
    return f"repository:{path}:{','.join(actions)}"
