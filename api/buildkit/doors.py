"""What these services need of the engine: builds, where their results go, and what was kept of them."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # the doors are known before builds are loaded
    from engine.build.builds import Planned
    from engine.build.cache_filters import Usage
    from engine.build.cache_prune import Pruned, Wanted
    from engine.build.history import Kept
    from engine.build.progress import Watch
    from engine.build.request import BuildRequest
    from engine.build.results import CacheSource, Context, Result
    from engine.build.session import Session


class Builds(Protocol):
    """Builds of the engine; each is held while its block lasts."""

    def plan(
        self, request: "BuildRequest", session: "Session | None", context: "Context", watch: "Watch", /
    ) -> "AbstractAsyncContextManager[Planned]":
        """Read the Dockerfile, and say what is to be done."""

    def require_granted(self, *, insecure: bool, host_network: bool) -> None:
        """Pass if builds may have these."""

    async def execute(self, planned: "Planned", imports: "Sequence[CacheSource]" = ..., /) -> "Result":
        """Do it."""


class Exporters(Protocol):
    """Where results go, and caches come from."""

    def imports(
        self, request: "BuildRequest", session: "Session | None", watch: "Watch", /
    ) -> "AbstractAsyncContextManager[CacheSource]":
        """The caches that a request names; what it could not write at its end is refused now."""

    async def run(
        self, request: "BuildRequest", result: "Result", session: "Session | None", watch: "Watch", /
    ) -> Mapping[str, str]:
        """Write a result where the client wants it; what it is told."""


class Chronicle(Protocol):
    """The history of builds on the disk."""

    async def all(self) -> "Sequence[Kept]":
        """Every record, the oldest first."""

    async def told(self, ref: str, /) -> bytes:
        """What a build told."""

    async def put(self, ref: str, record: bytes, told: bytes, /) -> int:
        """Keep a build; the bytes that it takes."""

    async def update(self, ref: str, record: bytes, /) -> None:
        """Have another record of a build."""

    async def remove(self, refs: Sequence[str], /, *, durable: bool = ...) -> None:
        """Forget builds."""


class BuildCache(Protocol):
    """What was kept of builds."""

    async def usage(self, filters: Sequence[str] = ...) -> "list[Usage]":
        """The records that filters mean."""

    async def prune(self, wanted: "Wanted", /) -> "Pruned":
        """Remove what is wanted."""
