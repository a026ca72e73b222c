"""Execs: create, start, resize, inspect."""

import contextlib
from typing import Protocol

import errdefs
from api import hijack, multiplex, web
from api.call import Call
from api.connection import Taken
from api.reframe import as_asked
from api.relay import relay
from api.routes.container_streams import stream_type
from api.routing import Route
from api.schema import execs as schema
from engine.containers.container import Container
from engine.containers.exec_process import ExecConfig
from engine.containers.state import Action
from engine.wire import Noun


class StartRequest(Noun):
    """The body of an exec's start."""

    detach: bool = False
    tty: bool = False
    console_size: list[int] | None = None  # height, width


class Execs(Protocol):
    """What these routes need of the engine's execs."""

    async def create(self, reference: str, config: ExecConfig, /) -> str:
        """Note what is to be run; returns the exec's ID."""

    def get(self, exec_id: str, /) -> schema.Exec:
        """By full ID."""

    async def start(
        self, exec_id: str, /, *, detach: bool, console_size: list[int] | None
    ) -> hijack.Attachment | None:
        """Run it."""

    async def resize(self, exec_id: str, height: int, width: int, /) -> None:
        """Its terminal."""


class Containers(Protocol):
    """What these routes need of the engine's containers."""

    def get(self, reference: str, /) -> Container:
        """By name, ID or prefix."""


class ExecRoutes:
    """Routes of execs."""

    def __init__(self, execs: Execs, containers: Containers) -> None:
        self._execs = execs
        self._containers = containers

    def routes(self) -> list[Route]:
        """The table."""
        return [
            Route("POST", "/containers/{name}/exec", self.create),
            Route("POST", "/exec/{name}/start", self.start),
            Route("POST", "/exec/{name}/resize", self.resize),
            Route("GET", "/exec/{name}/json", self.inspect),
        ]

    async def create(self, call: Call) -> web.StreamResponse:
        """Note what is to be run in a container."""
        config = await call.json(ExecConfig)
        if not config.cmd:
            raise errdefs.InvalidArgument("No exec command specified")
        _check_size(config.console_size)
        if call.version.before("1.42"):
            config.console_size = None
        return call.answer({"Id": await self._execs.create(call.name, config)}, 201)

    async def start(self, call: Call) -> web.StreamResponse:
        """Run it, detached or with this connection as its stdio."""
        request = await call.json(StartRequest)
        _check_size(request.console_size)
        self._require_startable(call.name)
        size = request.console_size if request.tty and not call.version.before("1.42") else None
        if request.detach:
            await self._execs.start(call.name, detach=True, console_size=size)
            return web.Response()
        # The head goes out before the process starts, as in Docker: docker-py loses output that comes with it.
        head = hijack.upgrade_head(
            upgrade="Upgrade" in call.request.headers,
            content_type=stream_type(call, terminal=request.tty),
            headers=call.headers,
        )
        taken = hijack.hijack(hijack.hold(call.request), head)
        try:
            await self._run(taken, call.name, size, terminal=request.tty)
        finally:
            taken.end()
        return Taken()

    async def _run(
        self, taken: hijack.Hijacked, exec_id: str, size: list[int] | None, *, terminal: bool
    ) -> None:
        """Start it with a connection as its stdio; a failure is told as the process's output."""
        try:
            attachment = await self._execs.start(exec_id, detach=False, console_size=size)
        except errdefs.WherryError as error:
            with contextlib.suppress(ConnectionError):
                await taken.write(_framed(error.message, terminal=terminal))
            await taken.finish()
            return
        assert attachment is not None
        made_terminal = self._execs.get(exec_id).config.tty
        await relay(taken, as_asked(attachment, made_terminal=made_terminal, asked_terminal=terminal))

    async def resize(self, call: Call) -> web.StreamResponse:
        """The size of its terminal."""
        height = call.query.size("h", "resize height")
        await self._execs.resize(call.name, height, call.query.size("w", "resize width"))
        return web.Response()

    async def inspect(self, call: Call) -> web.StreamResponse:
        """All about one exec."""
        return call.answer(schema.inspect(self._execs.get(call.name)))

    def _require_startable(self, exec_id: str) -> None:
        """What fails here is answered by status; later failures travel in the stream, as in Docker."""
        process = self._execs.get(exec_id)
        try:
            container = self._containers.get(process.container_id)
        except errdefs.NotFound:
            raise errdefs.NotFound(f"No such exec instance: {exec_id}") from None
        container.require(Action.EXEC)


def _check_size(size: list[int] | None) -> None:
    if size is not None and (len(size) != 2 or not all(0 <= number < 2**16 for number in size)):
        raise errdefs.InvalidArgument("invalid ConsoleSize: height and width, 0 to 65535")


def _framed(message: str, *, terminal: bool) -> bytes:
    text = f"{message}\r\n".encode()
    return text if terminal else multiplex.frame(multiplex.STDOUT, text)
