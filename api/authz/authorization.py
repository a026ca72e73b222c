"""Asks plugins whether a request may be handled, and whether its answer may be given.

Whoever is not asked cannot allow: a plugin that is away, hangs, fails or says nothing that is understood refuses.
A plugin sees what the handler is given: the path as it was matched, and the very bytes of the body, which are read
before and kept. A JSON body that is too long to be shown is refused. Other bodies (archives) are not shown, nor are
those of logins, nor answers that are under way already: streams, archives and hijacked connections.
"""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from typing import Any, Final

import errdefs
from api import errors, web
from api.authz import message
from api.authz.message import Message
from api.call import Call
from plugins.registry import Plugins

_log = logging.getLogger(__name__)

MAX_SHOWN: Final = 4 << 20  # bytes of a body, as in Docker
_IMPLEMENTS: Final = "authz"
_LOGIN: Final = "/auth"  # its body has a password, its answer a token
_JSON: Final = "application/json"


class Authorization:
    """The plugins that are asked, in their order."""

    def __init__(self, plugins: Plugins, names: Sequence[str]) -> None:
        self._plugins = plugins
        self._names: tuple[str, ...] = ()
        self.use(names)

    def use(self, names: Sequence[str]) -> None:
        """Ask these from now on, answers of what is under way included; a name that is given twice is asked once."""
        self._names = tuple(dict.fromkeys(names))

    async def ask(self, call: Call, route: str, uri: str) -> "Asked | None":
        """Pass if all allow a request; None if there is nobody to ask.

        Raises Forbidden for a refusal, InvalidArgument for a body that cannot be shown, SystemFailure when a plugin
        fails.
        """
        if not self._names:
            return None
        body = b""
        if call.is_json and route != _LOGIN:
            too_large = f"request body too large for authorization plugin: size exceeds {MAX_SHOWN} bytes"
            body = await call.keep_body(MAX_SHOWN, too_large)
        client = _client(call.request.transport)
        asked = message.of_request(client, call.request.method, uri, call.request.headers.items(), body)
        await self.consult("AuthZReq", asked)
        return Asked(self, asked, secret=route == _LOGIN)

    async def ask_call(
        self, transport: asyncio.BaseTransport | None, path: str, headers: Iterable[tuple[str, str]]
    ) -> None:
        """Pass if all allow a call of gRPC, which is a POST of its path; messages are not shown. Raises as ask()."""
        if self._names:
            told = message.of_request(_client(transport), "POST", path, headers, b"")
            await self.consult("AuthZReq", told)

    async def consult(self, verb: str, told: Message) -> None:
        """Pass if all allow it. Raises as ask()."""
        for name in self._names:
            try:
                plugin = await self._plugins.get(name, _IMPLEMENTS)
                _require_allowed(name, await plugin.client.call(f"AuthZPlugin.{verb}", told))
            except errdefs.Forbidden as error:
                _log.warning("%s %s: %s", told["RequestMethod"], told["RequestUri"], error.message)
                raise
            except errdefs.WherryError as error:
                raise errdefs.SystemFailure(f"plugin {name} failed with error: {error.message}") from error


class Asked:
    """A request that was allowed, whose answer is not yet."""

    def __init__(self, authorization: Authorization, told: Message, *, secret: bool) -> None:
        self._authorization = authorization
        self._told = told
        self._secret = secret

    async def about(self, response: web.StreamResponse) -> web.StreamResponse:
        """The answer if all allow it, else the error that takes its place; what is under way cannot be called back."""
        try:
            await self._authorization.consult("AuthZRes", self._answer(response))
        except errdefs.WherryError as error:
            where = f"{self._told['RequestMethod']} {self._told['RequestUri']}"
            status, text = errors.describe(error, where)
            return response if response.prepared else errors.response(status, text)
        return response

    def _answer(self, response: web.StreamResponse) -> Message:
        if response.prepared:
            return message.of_answer(self._told, 0, (), b"")
        return message.of_answer(
            self._told, response.status, response.headers.items(), b"" if self._secret else _json_of(response)
        )


def _client(transport: asyncio.BaseTransport | None) -> Message:
    return message.of_client(transport.get_extra_info("ssl_object")) if transport else {}


def _json_of(response: web.StreamResponse) -> bytes:
    body = response.body if isinstance(response, web.Response) else None
    return bytes(body) if isinstance(body, bytes | bytearray) and response.content_type == _JSON else b""


def _require_allowed(name: str, answer: dict[str, Any]) -> None:
    """By keys in any case, as Go reads them. Only `true` allows."""
    said = {key.lower(): value for key, value in answer.items()}
    if said.get("err"):
        raise errdefs.SystemFailure(str(said["err"]))
    if said.get("allow") is not True:
        raise errdefs.Forbidden(f"authorization denied by plugin {name}: {said.get('msg') or ''}")
