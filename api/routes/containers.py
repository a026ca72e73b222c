"""What is done to containers: create and the verbs."""

import contextlib
from collections.abc import Iterator
from typing import Protocol

import errdefs
from api import web
from api.call import Call, done
from api.routing import Route
from api.schema import create
from engine.containers.config import ContainerConfig, HostConfig, NetworkingConfig

_MAX_START_BODY = 7  # a body of more bytes is an object with something in it


class Created(Protocol):
    """The answer to a create request."""

    @property
    def id(self) -> str:
        """Of the new container."""

    @property
    def warnings(self) -> list[str]:
        """What the user should know."""


class Top(Protocol):
    """The processes of a container."""

    @property
    def titles(self) -> list[str]:
        """Of the columns."""

    @property
    def processes(self) -> list[list[str]]:
        """A row a process."""


class Containers(Protocol):
    """What these routes need of the engine's containers."""

    async def create(
        self,
        name: str,
        config: ContainerConfig,
        host: HostConfig,
        networking: NetworkingConfig | None,
        *,
        platform: str = "",
        recursive_read_only: bool = True,
    ) -> Created:
        """Make one."""

    async def start(self, reference: str, /) -> None:
        """Start."""

    async def stop(self, reference: str, /, *, signal: str = "", timeout: int | None = None) -> None:
        """Stop."""

    async def restart(self, reference: str, /, *, signal: str = "", timeout: int | None = None) -> None:
        """Stop and start."""

    async def kill(self, reference: str, signal: str = "", /) -> None:
        """Signal."""

    async def pause(self, reference: str, /) -> None:
        """Freeze."""

    async def unpause(self, reference: str, /) -> None:
        """Thaw."""

    async def rename(self, reference: str, name: str, /) -> None:
        """Another name."""

    async def remove(
        self, reference: str, /, *, force: bool = False, volumes: bool = False, link: bool = False
    ) -> None:
        """Remove."""

    async def top(self, reference: str, arguments: str, /) -> Top:
        """Its processes."""

    async def resize(self, reference: str, height: int, width: int, /) -> None:
        """Its terminal."""


class ContainerRoutes:
    """Routes of verbs. `cgroup_version` is the host's."""

    def __init__(self, containers: Containers, cgroup_version: int) -> None:
        self._containers = containers
        self._cgroup_version = cgroup_version

    def routes(self) -> list[Route]:
        """The table."""
        return [
            Route("POST", "/containers/create", self.create),
            Route("GET", "/containers/{name}/top", self.top),
            Route("POST", "/containers/{name}/start", self.start),
            Route("POST", "/containers/{name}/stop", self.stop),
            Route("POST", "/containers/{name}/restart", self.restart),
            Route("POST", "/containers/{name}/kill", self.kill),
            Route("POST", "/containers/{name}/pause", self.pause),
            Route("POST", "/containers/{name}/unpause", self.unpause),
            Route("POST", "/containers/{name}/rename", self.rename),
            Route("POST", "/containers/{name}/resize", self.resize),
            Route("DELETE", "/containers/{name}", self.remove),
        ]

    async def create(self, call: Call) -> web.StreamResponse:
        """A new container."""
        call.require_json()
        request = create.parse(await call.body(), call.version, cgroup_version=self._cgroup_version)
        platform = "" if call.version.before("1.41") else call.query.text("platform")
        created = await self._containers.create(
            call.query.text("name"),
            request.config,
            request.host,
            request.networking,
            platform=platform,
            recursive_read_only=request.recursive_read_only,
        )
        return call.answer({"Id": created.id, "Warnings": [*created.warnings, *request.warnings]}, 201)

    async def start(self, call: Call) -> web.StreamResponse:
        """Start one."""
        if call.chunked or call.content_length > _MAX_START_BODY:
            raise errdefs.InvalidArgument(
                "starting container with non-empty request body was deprecated since API v1.22 "
                "and removed in v1.24"
            )
        if call.query.text("checkpoint"):
            raise errdefs.InvalidArgument("checkpoint is only supported in experimental mode")
        await self._containers.start(call.name)
        return done()

    async def stop(self, call: Call) -> web.StreamResponse:
        """Stop one."""
        timeout = call.query.integer("t")
        with _told_as(f"cannot stop container: {call.name}: "):
            await self._containers.stop(call.name, signal=_signal(call), timeout=timeout)
        return done()

    async def restart(self, call: Call) -> web.StreamResponse:
        """Stop and start one."""
        timeout = call.query.integer("t")
        with _told_as(f"Cannot restart container {call.name}: "):
            await self._containers.restart(call.name, signal=_signal(call), timeout=timeout)
        return done()

    async def kill(self, call: Call) -> web.StreamResponse:
        """Send a signal."""
        with _told_as(f"cannot kill container: {call.name}: ", missing=True):
            await self._containers.kill(call.name, call.query.text("signal"))
        return done()

    async def pause(self, call: Call) -> web.StreamResponse:
        """Freeze one."""
        await self._containers.pause(call.name)
        return done()

    async def unpause(self, call: Call) -> web.StreamResponse:
        """Let one go on."""
        await self._containers.unpause(call.name)
        return done()

    async def rename(self, call: Call) -> web.StreamResponse:
        """Another name."""
        await self._containers.rename(call.name, call.query.text("name"))
        return done()

    async def remove(self, call: Call) -> web.StreamResponse:
        """Remove one."""
        if not call.name.strip("/"):
            raise errdefs.InvalidArgument(f'invalid name or ID supplied: "{call.name}"')
        await self._containers.remove(
            call.name,
            force=call.query.flag("force"),
            volumes=call.query.flag("v"),
            link=call.query.flag("link"),
        )
        return done()

    async def top(self, call: Call) -> web.StreamResponse:
        """The processes of one."""
        table = await self._containers.top(call.name, call.query.text("ps_args"))
        return call.answer({"Processes": table.processes, "Titles": table.titles})

    async def resize(self, call: Call) -> web.StreamResponse:
        """The size of its terminal."""
        height = call.query.size("h", "resize height")
        await self._containers.resize(call.name, height, call.query.size("w", "resize width"))
        return web.Response()


@contextlib.contextmanager
def _told_as(prefix: str, *, missing: bool = False) -> Iterator[None]:
    """Tell which verb failed on what, as Docker does; with `missing` also that there is no such container."""
    plain = (errdefs.NotModified,) if missing else (errdefs.NotModified, errdefs.NotFound)
    try:
        yield
    except errdefs.WherryError as error:
        if isinstance(error, plain) or error.message.startswith(prefix):
            raise
        raise type(error)(prefix + error.message) from error


def _signal(call: Call) -> str:
    return "" if call.version.before("1.42") else call.query.text("signal")
