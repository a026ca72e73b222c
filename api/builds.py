"""Builds, by both of Docker's APIs: what serves them is loaded for the first who asks.

That is a quarter of all code. A daemon that builds nothing neither waits for it when it starts nor has it in memory.
"""

import asyncio
import gc
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import msgspec

import errdefs
from api import web
from api.buildkit import doors
from api.call import Call
from api.connection import Connection
from api.routes.buildkit import BuildKitRoutes
from api.routing import Route

if TYPE_CHECKING:
    from api.buildkit.history import History
    from api.buildkit.service import BuildKit
    from api.buildkit.worker import Describer, Networks, System
    from api.grpc.server import Admit
    from api.routes import build

_log = logging.getLogger(__name__)
_SKEWED = (ImportError, AttributeError, SyntaxError, TypeError)  # what code meets that was replaced in part


class Doors(Protocol):
    """What builds in the engine."""

    @property
    def classic(self) -> "build.Builds":
        """Builds of the classic API."""

    @property
    def builds(self) -> doors.Builds:
        """Builds."""

    @property
    def exporters(self) -> doors.Exporters:
        """Where results of builds go."""

    @property
    def history(self) -> doors.Chronicle:
        """What was built."""


class Building(Protocol):
    """What leads to them."""

    async def doors(self) -> Doors:
        """What builds, when it is there."""


class Engine(Protocol):
    """What is needed of an engine."""

    @property
    def building(self) -> Building:
        """What builds."""

    @property
    def build_cache(self) -> doors.BuildCache:
        """What was kept of builds."""

    @property
    def system(self) -> "System":
        """The engine itself."""

    @property
    def networks(self) -> "Networks":
        """Networks."""


class _Served(msgspec.Struct, frozen=True):
    classic: "build.BuildRoutes"
    buildkit: "BuildKit"


class Builds:
    """Serves builds of an engine; `gateways` are what host-gateway stands for."""

    def __init__(self, engine: Engine, gateways: Sequence[str]) -> None:
        self._engine = engine
        self._gateways = gateways
        self._turn = asyncio.Lock()
        self._served: _Served | None = None
        self._beginning: set[asyncio.Task[None]] = set()

    def routes(self) -> list[Route]:
        """The table."""
        return [
            Route("POST", "/build", self._build),
            Route("POST", "/build/cancel", self._cancel),
            *BuildKitRoutes(self).routes(),
        ]

    async def serve(self, connection: Connection, head: bytes = b"", admit: "Admit | None" = None) -> None:
        """Take a connection over and answer calls on it, behind a head, until it ends; those that are admitted."""
        served = await self._load()
        await served.buildkit.serve(connection, head, admit).closed.wait()

    async def join(self, connection: Connection, head: bytes, name: str, shared_key: str) -> None:
        """Take a connection over whose client serves, and keep its session until it ends."""
        served = await self._load()
        await served.buildkit.join(connection, head, name, shared_key)

    def begin(self, connection: Connection, admit: "Admit") -> None:
        """Serve a connection that begins with HTTP/2."""
        task = asyncio.get_running_loop().create_task(self._begin(connection, admit))
        self._beginning.add(task)
        task.add_done_callback(self._beginning.discard)

    async def close(self) -> None:
        """End what is under way."""
        for task in self._beginning:
            task.cancel()
        await asyncio.gather(*self._beginning, return_exceptions=True)
        if self._served is not None:
            await self._served.buildkit.close()

    async def _begin(self, connection: Connection, admit: "Admit") -> None:
        try:
            await self.serve(connection, admit=admit)
        except ConnectionResetError:
            _log.debug("a client of HTTP/2 has gone before it was served")
        except Exception:  # noqa: BLE001 - the top frame of a task
            _log.error("a connection of HTTP/2 cannot be served", exc_info=True)
            connection.force_close()

    async def _build(self, call: Call) -> web.StreamResponse:
        return await (await self._load()).classic.build(call)

    async def _cancel(self, call: Call) -> web.StreamResponse:
        return await (await self._load()).classic.cancel(call)

    async def _load(self) -> _Served:
        async with self._turn:
            if self._served is None:
                self._served = await self._serving()
        return self._served

    async def _serving(self) -> _Served:
        engine = self._engine
        try:
            found = await engine.building.doors()
            classic, buildkit, history, describer = await asyncio.to_thread(_load)
        except _SKEWED as error:
            _log.error("what builds cannot be loaded", exc_info=True)
            raise errdefs.SystemFailure(
                f"what builds cannot be loaded: {error}; if wherry was upgraded, restart the daemon"
            ) from error
        return _Served(
            classic(found.classic),
            buildkit(
                found.builds,
                found.exporters,
                engine.build_cache,
                await history.open(found.history),
                describer(engine.system, engine.networks, self._gateways),
            ),
        )


def _load() -> "tuple[type[build.BuildRoutes], type[BuildKit], type[History], type[Describer]]":
    """Blocks for a tenth of a second, the first time."""
    from api.buildkit.history import History
    from api.buildkit.service import BuildKit
    from api.buildkit.worker import Describer
    from api.routes.build import BuildRoutes

    gc.collect()
    gc.freeze()  # it stays, too
    return BuildRoutes, BuildKit, History, Describer
