"""The client of registries: one for the daemon."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager

from engine import version
from engine.filters import Filters
from engine.images.reference import Reference
from engine.registry import errors
from engine.registry.credentials import Credentials
from engine.registry.download import Download, Source, download
from engine.registry.exchange import Wire
from engine.registry.hosts import Settings
from engine.registry.inspect import Inspected, inspect
from engine.registry.login import login
from engine.registry.repository import Repository
from engine.registry.search import Found, search
from engine.registry.tokens import Tokens

_USER_AGENT = f"wherry/{version.WHERRY}"


class Registry:
    """Every registry, by the daemon's settings. To be closed on the loop on which it was used."""

    def __init__(self, settings: Settings) -> None:
        self._wire = Wire(settings, _USER_AGENT)
        self._tokens = Tokens(self._wire)

    @property
    def settings(self) -> Settings:
        """The daemon's settings: proxies and what else is asked for by other means."""
        return self._wire.settings

    def reload(self, settings: Settings) -> None:
        """Take over other settings, for what is begun from now on."""
        self._wire.settings = settings

    async def close(self) -> None:
        """Close every connection."""
        await self._wire.close()

    def repository(
        self, reference: Reference, credentials: Credentials | None, actions: tuple[str, ...] = ("pull",)
    ) -> Repository:
        """The repository that a reference is of, for who has these credentials. Asks nobody yet."""
        return Repository(self._wire, self._tokens, reference, credentials, actions)

    async def login(self, credentials: Credentials, server_address: str) -> str:
        """Try credentials at a registry; the identity token that it gives for them, "" for none.

        Unauthorized and SystemFailure in Docker's words.
        """
        return await login(self._wire, credentials, server_address)

    async def inspect(self, reference: Reference, credentials: Credentials | None) -> Inspected:
        """What a name means at its registry. Failures in the registry's own words."""
        repository = Repository(
            self._wire,
            self._tokens,
            reference,
            credentials,
            ("pull",),
            voice=lambda said, _: errors.plain(said),
        )
        return await inspect(repository)

    async def search(
        self, term: str, limit: int, wanted: Filters, credentials: Credentials | None
    ) -> list[Found]:
        """What an index finds for a term; as of `engine.registry.search`."""
        return await search(self._wire, self._tokens, term, limit, wanted, credentials)

    def download(
        self,
        source: Source,
        *,
        brief: bool = False,
        head: bool = False,
        conditions: Mapping[str, str] | None = None,
    ) -> AbstractAsyncContextManager[Download]:
        """A file from a URL, while it is read; as of `engine.registry.download`."""
        return download(self._wire, source, brief=brief, head=head, conditions=conditions or {})
