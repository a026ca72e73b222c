"""Builds by the classic API: an archive comes in, what the builder says goes out."""

from collections import deque
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Protocol, TypeVar

import msgspec

import errdefs
from api import gojson, web
from api.call import Call
from api.jsonstream import CONTENT_TYPE, JSONStream
from api.lasting import while_connected
from api.routing import Route
from engine.build.classic import ClassicBuild, StepError
from engine.build.request import BuildRequest
from engine.build.steps import Limits
from engine.containers.config import Ulimit
from engine.ids import new_id
from engine.images import platforms
from engine.progress import Message, Stream
from engine.registry import credentials

T = TypeVar("T")
_KEPT = 1000  # last messages of a quiet build, told if it fails
_ISOLATIONS = ("", "default")


class Builds(Protocol):
    """What these routes need of the engine."""

    async def build(self, asked: ClassicBuild, archive: AsyncIterator[bytes], progress: Stream, /) -> str:
        """Build an image; its id."""

    def cancel(self, build_id: str, /) -> None:
        """End a build, if there is one of that id."""


class Output(msgspec.Struct, rename="pascal", kw_only=True):
    """Where a result is to go: the classic builder has one place alone, but reads what it is asked."""

    type: str = ""
    attrs: dict[str, str] = msgspec.field(default_factory=dict)


class BuildRoutes:
    """Routes of builds."""

    def __init__(self, builds: Builds) -> None:
        self._builds = builds

    def routes(self) -> list[Route]:
        """The table."""
        return [Route("POST", "/build", self.build), Route("POST", "/build/cancel", self.cancel)]

    async def build(self, call: Call) -> web.StreamResponse:
        """Build an image. Failures travel in the stream once that has begun."""
        asked = request_of(call)
        quiet = call.query.flag("q")
        stream = JSONStream(call)
        held = _Held(stream)
        finished = False
        with while_connected(call.request):
            try:
                image_id = await self._builds.build(asked, call.chunks(), held if quiet else stream)
            except ConnectionError:
                raise
            except Exception as error:  # noqa: BLE001 - the top frame of a build
                if quiet:
                    await held.release()
                code = error.code if isinstance(error, StepError) else 0
                return await stream.fail(
                    error, "build", by_status=not isinstance(error, StepError), code=code
                )
            if quiet:
                await stream(Message(stream=f"{image_id}\n"))
            finished = True
        if not finished:  # a client that is still there must not take the end of the stream for a success
            with suppress(ConnectionError):
                await stream(Message.failure("Build cancelled"))
        return await stream.end()

    async def cancel(self, call: Call) -> web.StreamResponse:
        """End a build by the id that its client gave it."""
        build_id = call.query.text("id")
        if not build_id:
            raise errdefs.InvalidArgument("build ID not provided")
        self._builds.cancel(build_id)
        return web.Response(headers={"Content-Type": CONTENT_TYPE})


class _Held:
    """A `Stream` that nobody sees unless the build fails."""

    def __init__(self, progress: Stream) -> None:
        self._progress = progress
        self._messages: deque[Message] = deque(maxlen=_KEPT)

    async def __call__(self, *messages: Message) -> None:
        self._messages.extend(messages)

    async def release(self) -> None:
        """Tell all."""
        while self._messages:
            await self._progress(self._messages.popleft())


def request_of(call: Call) -> ClassicBuild:
    """What a request asks for. InvalidArgument in Docker's words."""
    query, since = call.query, call.version
    _require_served(call)
    platform = "" if since.before("1.32") else query.text("platform")
    if platform:
        platforms.parse(platform)
    return ClassicBuild(
        request=BuildRequest(
            id=query.text("buildid") or new_id(),
            filename=query.text("dockerfile") or "Dockerfile",
            target=query.text("target"),
            arguments=_mapping(call, "buildargs", dict[str, str | None], "error reading build args"),
            labels=_mapping(call, "labels", dict[str, str], "error reading labels"),
            platforms=[platform] if platform else [],
            remote=query.text("remote"),
            no_cache_stages=() if query.flag("nocache") else None,
            pull=query.flag("pull"),
            network=_network(query.text("networkmode")),
            extra_hosts=query.all("extrahosts"),
            limits=_limits(call),
            classic=True,
        ),
        tags=query.all("t"),
        cache_from=_json(call, "cachefrom", list[str], "error reading cache-from") or [],
        remove=query.flag("rm", default=True) if query.text("rm") else True,
        force_remove=query.flag("forcerm"),
        names_images=not since.before("1.30"),
        credentials=credentials.decode_all(call.request.headers.get("X-Registry-Config", "")),
    )


def _require_served(call: Call) -> None:
    """Pass if this can be built at all."""
    query = call.query
    if "securityopt" in query:
        raise errdefs.InvalidArgument("security options are not supported on linux")
    isolation = query.text("isolation")
    if isolation.lower() not in _ISOLATIONS:
        raise errdefs.InvalidArgument(f'unsupported isolation: "{isolation}"')
    if query.text("version") not in ("", "1", "2"):
        raise errdefs.InvalidArgument(f'invalid version "{query.text("version")}"')
    if not call.version.before("1.40"):
        _json(call, "outputs", list[Output], "invalid outputs specified")
    if query.flag("squash"):
        raise errdefs.InvalidArgument("squash is only supported with experimental mode")
    if query.text("remote") == "client-session":
        raise errdefs.InvalidArgument(
            "experimental session with v1 builder is no longer supported, use builder version v2 (BuildKit) instead"
        )
    if query.text("version") == "2":
        raise errdefs.Unsupported("builder version 2 is served to clients of BuildKit's API, by POST /grpc")


def _limits(call: Call) -> Limits:
    return Limits(
        memory=_number(call, "memory"),
        memory_swap=_number(call, "memswap"),
        cpu_shares=_number(call, "cpushares"),
        cpu_period=_number(call, "cpuperiod"),
        cpu_quota=_number(call, "cpuquota"),
        cpuset_cpus=call.query.text("cpusetcpus"),
        cpuset_mems=call.query.text("cpusetmems"),
        shm_size=_shm_size(call),
        ulimits=_json(call, "ulimits", list[Ulimit], "error reading ulimit settings") or (),
        cgroup_parent=call.query.text("cgroupparent"),
    )


def _number(call: Call, name: str) -> int:
    """A number; what is none counts as 0, as in Docker."""
    try:
        return call.query.integer(name) or 0
    except errdefs.InvalidArgument:
        return 0


def _shm_size(call: Call) -> int:
    try:
        return call.query.integer("shmsize") or 0
    except errdefs.InvalidArgument as error:
        text = error.message.partition(": ")[2].replace("Atoi", "ParseInt")
        raise errdefs.InvalidArgument(text) from None


def _network(mode: str) -> str:
    return "default" if mode in ("", "default", "bridge") else mode


def _mapping(call: Call, name: str, kind: type[T], problem: str) -> T:
    return _json(call, name, kind, problem) or kind()


def _json(call: Call, name: str, kind: type[T], problem: str) -> T | None:
    """A parameter that is JSON, None without it."""
    text = call.query.text(name)
    if not text:
        return None
    try:
        return gojson.decode(text.encode(), kind)
    except errdefs.InvalidArgument as error:
        text = error.message.removeprefix("invalid JSON: ")
        raise errdefs.InvalidArgument(f"{problem}: {text}") from None
