"""Logging in to a registry."""

from typing import Protocol

import msgspec

from api import gojson, web
from api.call import Call
from api.routing import Route
from engine.registry.credentials import Credentials

_MAX_BODY = 64 << 10


class AuthConfig(msgspec.Struct, kw_only=True):
    """The body; `serveraddress` is "" for Docker's own registry, else a host or a URL."""

    username: str = ""
    password: str = ""
    serveraddress: str = ""
    identitytoken: str = ""
    registrytoken: str = ""


class Registry(Protocol):
    """What this route needs of the registry client."""

    async def login(self, credentials: Credentials, server_address: str, /) -> str:
        """Try credentials; the identity token that is given for them."""


class AuthRoutes:
    """The route of `docker login`."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def routes(self) -> list[Route]:
        """The table."""
        return [Route("POST", "/auth", self.login)]

    async def login(self, call: Call) -> web.StreamResponse:
        """Whether a registry lets these credentials in."""
        config = gojson.decode(await call.body(_MAX_BODY), AuthConfig)
        credentials = Credentials(
            config.username, config.password, config.identitytoken, config.registrytoken
        )
        token = await self._registry.login(credentials, config.serveraddress)
        return call.answer({"IdentityToken": token, "Status": "Login Succeeded"})
