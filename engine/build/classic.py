"""Builds of the classic API (`POST /build`): the same planner and solver, in the words of Docker's first builder."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack

import msgspec

import errdefs
from engine.build.builds import Builds, Planned
from engine.build.classic_context import classic_context
from engine.build.contexts.contexts import Contexts
from engine.build.export import attributes
from engine.build.export.exporters import Exporters
from engine.build.given import GivenCredentials
from engine.build.lending import Lending
from engine.build.plan.plan import Step
from engine.build.request import BuildRequest
from engine.build.results import BuildError, Result
from engine.build.run.failure import StepFailed, alone
from engine.build.source import DockerfileError
from engine.build.steps import ContextSource, Files, Run, UrlSource, Vertex
from engine.build.telling import Telling
from engine.ids import short
from engine.images import config
from engine.images.config import ImageConfig
from engine.images.image import Image
from engine.images.images import Images
from engine.images.reference import Reference
from engine.progress import Stream
from engine.registry.credentials import Credentials

_NO_INSTRUCTIONS = "file with no instructions"
_ALONE = ("dockerfile parse error", "no build stage")
_MISSING = re.compile(r'"(?P<path>[^"]*)": not found')


class StepError(errdefs.WherryError):
    """A step failed: `code` is the one that a command of RUN ended with, 0 for all other failures."""

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code


class ClassicBuild(msgspec.Struct, frozen=True, kw_only=True):
    """One request. `tags` are names for the image, `cache_from` names of images that alone may be taken for a cache.

    `remove` and `force_remove` are about containers of steps, of failed ones as well. `names_images`: ids are told by
    `aux` messages, too.
    """

    request: BuildRequest
    tags: Sequence[str] = ()
    cache_from: Sequence[str] = ()
    remove: bool = True
    force_remove: bool = False
    names_images: bool = True
    credentials: Mapping[str, Credentials] = msgspec.field(default_factory=dict)


class Classic:
    """The door to them. `require` raises InvalidArgument for limits that steps cannot have."""

    def __init__(
        self,
        builds: Builds,
        exporters: Exporters,
        contexts: Contexts,
        images: Images,
        require: Callable[[BuildRequest], None],
    ) -> None:
        self._require = require
        self._builds = builds
        self._exporters = exporters
        self._contexts = contexts
        self._images = images
        self._running: dict[str, asyncio.Task[str]] = {}

    async def build(self, asked: ClassicBuild, archive: AsyncIterator[bytes], progress: Stream) -> str:
        """Build an image; its id. The context is an archive unless the request names a remote one.

        InvalidArgument for what cannot be, DockerfileError for a bad Dockerfile, StepError; StepError as well for a
        build that is cancelled.
        """
        building = asyncio.get_running_loop().create_task(self._build(asked, archive, progress))
        self._running[asked.request.id] = building
        try:
            await asyncio.wait([building])
        finally:
            building.cancel()
            self._running.pop(asked.request.id, None)
            await asyncio.wait([building])
        if building.cancelled():
            raise StepError("Build cancelled")
        return building.result()

    def cancel(self, build_id: str) -> None:
        """End a build, if there is one of that id."""
        if building := self._running.get(build_id):
            building.cancel()

    async def _build(self, asked: ClassicBuild, archive: AsyncIterator[bytes], progress: Stream) -> str:
        tags = attributes.tags(asked.tags)
        self._require(asked.request)
        telling = Telling(
            progress, remove=asked.remove, force=asked.force_remove, names_images=asked.names_images
        )
        session = GivenCredentials(asked.credentials)
        async with AsyncExitStack() as stack:
            lending = Lending()
            await stack.enter_async_context(lending.needed())
            context = await lending.held.enter_async_context(
                classic_context(self._contexts, asked.request, archive, session)
            )
            request, sources = self._with_caches(asked)
            try:
                planned = await stack.enter_async_context(
                    self._builds.plan(request, session, context, telling.watch, lending)
                )
            except BuildError as failure:
                if failure.source is not None and failure.positions:
                    await telling.tell_first(failure.source, failure.positions[0])
                raise _worded(failure, None) from failure
            except DockerfileError as failure:
                raise await _refusal(failure, request.filename, telling) from None
            try:
                result = await self._executed(planned, sources, telling)
                image_id = await self._kept(result, planned.plans[0].steps, tags)
            except BuildError as failure:
                await telling.pass_on()
                raise _worded(failure, planned) from failure
            except (errdefs.WherryError, OSError):
                await telling.pass_on()
                raise
        if unused := planned.plans[0].unused:
            telling.say(f"[Warning] One or more build-args [{' '.join(unused)}] were not consumed\n")
        telling.say(f"Successfully built {short(image_id)}\n")
        for tag in tags:
            telling.say(f"Successfully tagged {tag.familiar}\n")
        await telling.pass_on()
        return image_id

    async def _kept(self, result: Result, steps: Sequence[Step], tags: Sequence[Reference]) -> str:
        """The id of the image in the store, under its tags; that of FROM where nothing was done to it."""
        if steps[-1].entries:
            return (await self._exporters.keep(result.only, tags, parent=_parent(steps))).id
        if not steps[-1].image:
            raise StepError("No image was generated. Is your Dockerfile empty?")
        for tag in tags:
            await self._images.tag(steps[-1].image, tag.familiar_name, tag.tag)
        return steps[-1].image

    def _with_caches(self, asked: ClassicBuild) -> tuple[BuildRequest, list[Image] | None]:
        """The request, and the images that it takes for its cache: None for all.

        Without any of those that it names, nothing is taken from the cache.
        """
        if not asked.cache_from:
            return asked.request, None
        sources: list[Image] = []
        for name in asked.cache_from:
            try:
                sources.append(self._images.get(name))
            except errdefs.WherryError:
                continue  # as Docker does
        return asked.request if sources else msgspec.structs.replace(
            asked.request, no_cache_stages=()
        ), sources

    async def _executed(self, planned: Planned, sources: list[Image] | None, telling: Telling) -> Result:
        steps = planned.plans[0].steps
        if planned.request.no_cache_stages is not None:
            sources = []
        elif sources is None:
            sources = self._images.workshop.store.all()
        known = _Known(self._builds, planned, sources)
        executed = asyncio.get_running_loop().create_task(self._builds.execute(planned))
        told = asyncio.get_running_loop().create_task(telling.tell(known, steps))
        try:
            await asyncio.wait([told, executed], return_when=asyncio.FIRST_EXCEPTION)
            if executed.done() and (failure := executed.exception()) is not None:
                await telling.over(failure.vertex if isinstance(failure, BuildError) else "")
            await told  # fails first if its client is gone
            return await executed
        finally:
            for task in (told, executed):
                task.cancel()
            await asyncio.wait([told, executed])


class _Known:
    """The steps of a build that goes on, as images."""

    def __init__(self, builds: Builds, planned: Planned, images: Sequence[Image]) -> None:
        self._builds = builds
        self._planned = planned
        self._images = images
        self._made: tuple[Step, ImageConfig] | None = None

    def digest(self, vertex: Vertex, /) -> str:
        """By which the progress names it."""
        return self._planned.digest(vertex)

    def image(self, step: Step, /) -> str:
        """The id of the image that a step made; "" of scratch."""
        if not step.entries:
            return step.image
        return config.digest_of(config.encode(self._config(step)))

    def was_done(self, step: Step, /) -> bool:
        """Whether an image began as this does, up to that step."""
        made = self._config(step)
        history = [(each.created_by, each.empty_layer) for each in made.history]
        return any(
            each.config.diff_ids[: len(made.diff_ids)] == made.diff_ids
            and [(one.created_by, one.empty_layer) for one in each.config.history[: len(history)]] == history
            for each in self._images
        )

    def _config(self, step: Step) -> ImageConfig:
        if self._made is None or self._made[0] is not step:
            self._made = step, self._builds.config(self._planned, step)
        return self._made[1]


async def _refusal(failure: DockerfileError, filename: str, telling: Telling) -> errdefs.WherryError:
    """What cannot be built as it is written, as Docker's first builder tells of it: in the stream if it finds that at a
    step, and before any stream in all that it reads first.
    """
    if failure.source is None or not failure.positions:
        return _unread(failure, filename) if failure.message == _NO_INSTRUCTIONS else failure
    try:
        await telling.tell_first(failure.source, failure.positions[0])
    except DockerfileError:
        return failure if failure.message.startswith(_ALONE) else _unread(failure, filename)
    return StepError(failure.message)


def _unread(failure: DockerfileError, filename: str) -> DockerfileError:
    return DockerfileError(f"failed to parse {filename}: {failure.message}")


def _worded(failure: BuildError, planned: Planned | None) -> StepError:
    """A failure as Docker's first builder words it."""
    cause, operation = failure.__cause__, failure.operation
    if isinstance(cause, StepFailed) and isinstance(operation, Run):
        command = " ".join(operation.args)
        return StepError(f"The command '{command}' returned a non-zero code: {cause.code}", cause.code)
    missing = _MISSING.search(failure.message)
    if missing and planned is not None and isinstance(operation, Files):
        path = missing["path"].lstrip("/")
        where = ""
        if _copies_from_context(planned, failure.vertex):
            where = "file not found in build context or excluded by .dockerignore: "
        return StepError(f"COPY failed: {where}stat {path}: file does not exist")
    message = cause.message if isinstance(cause, errdefs.WherryError) else failure.message
    if isinstance(operation, UrlSource):
        return StepError(f"ADD failed: {message}")
    return StepError(alone(operation.args, message) if isinstance(operation, Run) else message)


def _copies_from_context(planned: Planned, digest: str) -> bool:
    found = [vertex for vertex in planned.plans[0].vertices if planned.digest(vertex) == digest]
    return any(isinstance(each.operation, ContextSource) for vertex in found for each in vertex.inputs)


def _parent(steps: Sequence[Step]) -> str:
    """The image of the last stage's FROM, "" where that is another stage or none."""
    begins = [
        step for number, step in enumerate(steps) if not number or steps[number - 1].stage != step.stage
    ]
    return begins[-1].image if begins else ""
