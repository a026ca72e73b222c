"""Access to one host for one repository: what it demands, what opens it, and requests that carry that."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus

import msgspec
from yarl import URL

import errdefs
from engine.registry import errors, failures
from engine.registry.challenge import Challenge
from engine.registry.credentials import Credentials
from engine.registry.exchange import Wire
from engine.registry.hosts import Host
from engine.registry.messages import HEAD, Answer, Body, Request
from engine.registry.tokens import Tokens, Wanted, redacted
from engine.veiled import Veiled


class _Key(Veiled, frozen=True):
    """A value for the Authorization header, and the token that it was made of, if of one."""

    value: str = ""
    wanted: Wanted | None = None

    @property
    def token(self) -> str:
        return self.value.removeprefix("Bearer ")


class Access:
    """One host. Credentials are used at the registry itself alone, never at a mirror.

    Without `placed` failures to get what opens it do not say of which request they were.
    """

    def __init__(
        self,
        wire: Wire,
        tokens: Tokens,
        host: Host,
        credentials: Credentials | None,
        scopes: tuple[str, ...],
        *,
        placed: bool = True,
    ) -> None:
        self.host = host
        self._wire = wire
        self._tokens = tokens
        self._credentials = credentials if host.own else None
        self._scopes = scopes
        self._placed = placed
        self._challenges: list[Challenge] | None = None
        self._ping = asyncio.Lock()

    def url(self, path: str) -> URL:
        """The URL of something in the API ("library/busybox/tags/list")."""
        url = URL(f"{self.host.url}/{path}", encoded=True)
        return url.update_query(ns=self.host.namespace) if self.host.namespace else url

    async def ready(self) -> None:
        """Learn once what the host demands. errdefs if it cannot be spoken to."""
        async with self._ping:
            if self._challenges is None:
                async with self._wire.ask(
                    self._request("GET", URL(f"{self.host.url}/", encoded=True))
                ) as answer:
                    self._challenges = answer.challenges if answer.status == HTTPStatus.UNAUTHORIZED else []

    @asynccontextmanager
    async def ask(
        self,
        method: str,
        url: URL,
        headers: Mapping[str, str] | None = None,
        *,
        body: Body | None = None,
        patience: float = HEAD,
        scopes: tuple[str, ...] = (),
    ) -> AsyncIterator[Answer]:
        """A request with what opens the host, for `scopes` besides its own; to another origin with nothing.

        Errors: `Refusal` for any answer but success, errdefs.
        """
        await self.ready()
        request = msgspec.structs.replace(
            self._request(method, url), headers=headers or {}, body=body, patience=patience
        )
        if url.origin() != URL(self.host.url).origin():
            request = msgspec.structs.replace(request, secret_headers={}, tls=self.host.tls.without_clients())
            async with self._wire.ask(request) as answer:
                yield await self._successful(answer)
            return
        key = await self._key(request, scopes)
        async with self._wire.ask(msgspec.structs.replace(request, authorization=key.value)) as answer:
            if answer.status != HTTPStatus.UNAUTHORIZED or not self._learn(answer.challenges, key):
                yield await self._successful(answer)
                return
        key = await self._key(request, scopes)
        async with self._wire.ask(msgspec.structs.replace(request, authorization=key.value)) as answer:
            yield await self._successful(answer)

    def _request(self, method: str, url: URL) -> Request:
        return Request(
            method=method,
            url=url,
            tls=self.host.tls,
            secret_headers=self.host.headers,
            connect_timeout=self.host.connect_timeout,
        )

    def _learn(self, challenges: list[Challenge], key: _Key) -> bool:
        """Take over what a refused request says; whether that, or a new token, may open the host.

        Who shows a token that is not known any more is told by Harbor of passwords alone: that is not taken over.
        """
        if key.wanted is not None:
            self._tokens.forget(key.wanted, self._credentials, key.token)
            if any(each.scheme == "bearer" for each in challenges):
                self._challenges = challenges
            return True
        known, self._challenges = self._challenges, challenges or self._challenges
        return [_demand(each) for each in challenges] != [_demand(each) for each in known or []]

    async def _key(self, request: Request, scopes: tuple[str, ...]) -> _Key:
        """What opens the host, of what its challenges ask for; bearer tokens go before passwords."""
        if any(name.lower() == "authorization" for name in self.host.headers):
            return _Key()
        challenges = {each.scheme: each.parameters for each in reversed(self._challenges or [])}
        what = f'{request.method.capitalize()} "{failures.shown(request.url, whole=True)}": '
        what = what if self._placed else ""
        if "bearer" in challenges:
            return await self._bearer(challenges["bearer"], scopes, what)
        if "basic" not in challenges:
            return _Key()
        if self._credentials is None or not self._credentials.basic:
            raise errdefs.SystemFailure(f"{what}no basic auth credentials")
        return _Key(self._credentials.basic)

    async def _bearer(self, parameters: Mapping[str, str], scopes: tuple[str, ...], what: str) -> _Key:
        if self._credentials is not None and self._credentials.registry_token:
            return _Key(f"Bearer {self._credentials.registry_token}")
        try:
            wanted = Wanted.of(parameters, self._scopes + scopes, self.host)
            token = await self._tokens.bearer(wanted, self._credentials, self.host)
        except errors.Refusal as refused:
            raise errors.of_token_server(refused, what) from None
        except errors.Transient as failure:
            raise errors.Transient(what + failure.message, failure.retry_after) from None
        except errdefs.WherryError as failure:
            raise errdefs.SystemFailure(what + failure.message) from None
        return _Key(f"Bearer {token}", wanted)

    async def _successful(self, answer: Answer) -> Answer:
        if answer.succeeded:
            return answer
        refused = await answer.refusal()
        raise redacted(refused, self._credentials) if self._credentials is not None else refused


def _demand(challenge: Challenge) -> tuple[str, str, str]:
    """What tells one demand from another."""
    return challenge.scheme, challenge.parameters.get("realm", ""), challenge.parameters.get("service", "")
