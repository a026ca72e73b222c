"""Builds: the door through which both APIs plan and execute them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import lru_cache

import msgspec

import errdefs
from engine.build import finishing
from engine.build.base_images import BaseImages, Shelf
from engine.build.cache_writing import CacheWriting
from engine.build.contexts.contexts import Contexts
from engine.build.dockerfile import parser
from engine.build.dockerfile.checks import Scene, check
from engine.build.dockerfile.document import Dockerfile
from engine.build.ignore import Ignore
from engine.build.inputs import Inputs
from engine.build.lending import Lending
from engine.build.plan import contexts, planner, variables
from engine.build.plan.bases import Aim
from engine.build.plan.plan import Plan, Step
from engine.build.progress import Finding, Watch
from engine.build.request import BuildRequest
from engine.build.results import BuildError, CacheSource, Context, Result
from engine.build.session import Session
from engine.build.solver import keys
from engine.build.solver.solver import Solver
from engine.build.solver.step import Tools
from engine.build.solver.work import Outcome, Work
from engine.build.source import DockerfileError, SourceFile
from engine.build.steps import Vertex
from engine.config.builder import BuilderConfig
from engine.images import platforms
from engine.images.config import History, ImageConfig

_SHORT = 4096  # bytes of a Dockerfile that is parsed in less time than a thread takes to begin


class Planned(msgspec.Struct, kw_only=True):
    """A build that can be executed: a plan for each platform. `several`: it was asked for more than one.

    `findings` are what `docker build --check` tells.
    """

    request: BuildRequest
    source: SourceFile
    dockerfile: Dockerfile
    plans: Sequence[Plan]
    work: Work
    several: bool = False
    lines: dict[int, History] = msgspec.field(default_factory=dict)
    findings: Sequence[Finding] = ()

    def digest(self, vertex: Vertex) -> str:
        """What the progress names a vertex by."""
        return self.work.digest(vertex)

    def outcome(self, vertex: Vertex) -> Outcome | None:
        """What came of a vertex, None before it is done."""
        return self.work.outcomes.get(vertex)


class Builds:
    """The builds of this engine."""

    def __init__(
        self, tools: Tools, shelf: Shelf, contexts: Contexts, config: BuilderConfig, grown: Callable[[], None]
    ) -> None:
        """`grown` is told of the cache."""
        self._config = config
        self._tools = tools
        self._shelf = shelf
        self._contexts = contexts
        self._solver = Solver(tools)
        self._writing = CacheWriting(tools.store, self._settle, grown)

    def configure(self, config: BuilderConfig) -> None:
        """Grant what this says from now on."""
        self._config = config

    def require_granted(self, *, insecure: bool, host_network: bool) -> None:
        """Pass if builds may be granted these. Forbidden, in BuildKit's words, otherwise."""
        wanted = [("security.insecure", insecure and not self._config.insecure)]
        wanted.append(("network.host", host_network and not self._config.host_network))
        for name, refused in wanted:
            if refused:
                raise errdefs.Forbidden(
                    f"granting entitlement {name} is not allowed by build daemon configuration"
                )

    async def close(self) -> None:
        """When no build goes on any more: write down what the cache got."""
        await self._writing.close()

    async def _settle(self) -> None:
        await self._tools.workspaces.settle()
        await self._contexts.local.settle()

    @asynccontextmanager
    async def plan(
        self,
        request: BuildRequest,
        session: Session | None,
        context: Context,
        watch: Watch,
        lending: Lending | None = None,
    ) -> AsyncIterator[Planned]:
        """Plan a build. All that it needs, and makes, is held until the block is left.

        `lending` holds the context, if that is to stay until the steps that other builds share are done with it.
        DockerfileError for what cannot be built as it is written, BuildError for what a step before that failed with,
        InvalidArgument and NotFound for what is asked for.
        """
        async with AsyncExitStack() as stack:
            stack.callback(self._writing.note)
            lending = lending or Lending()
            await stack.enter_async_context(lending.needed())
            holds = await stack.enter_async_context(self._tools.workspaces.holds())
            images = BaseImages(self._shelf, request, session, holds, watch)
            inputs = Inputs(
                request=request,
                given=context,
                session=session,
                watch=watch,
                contexts=self._contexts,
                lending=lending,
                images=images,
                wanted={},
            )
            work = Work(
                session=session,
                watch=watch,
                holds=holds,
                sources=inputs,
                lending=lending,
                classic=request.classic,
                digest=keys.Numbers() if request.classic else keys.Digests(),
            )
            stack.enter_context(work.in_use)
            planned = await self._plan(request, inputs, images, work)
            yield planned

    async def _plan(self, request: BuildRequest, inputs: Inputs, images: BaseImages, work: Work) -> Planned:
        self.require_granted(insecure=request.insecure, host_network=False)
        aims = _aims(request)
        source = await inputs.dockerfile()
        try:
            dockerfile = await _parsed(source)
            given = contexts.Contexts(request)
            plans = [await planner.plan(dockerfile, request, aim, images, given) for aim in aims]
            inputs.wanted = given.wanted()
            ignore = await inputs.ignore()
            findings: Sequence[Finding] = ()
            if not request.classic:  # which knows no checks
                findings = await asyncio.to_thread(
                    _checked, dockerfile, request, plans[0], ignore, inputs.source_vertex
                )
        except (DockerfileError, BuildError) as error:
            error.source = source
            raise
        for finding in findings:
            await work.watch(finding)
        return Planned(
            request=request,
            source=source,
            dockerfile=dockerfile,
            plans=plans,
            work=work,
            several=len(aims) > 1,
            findings=findings,
        )

    async def execute(self, planned: Planned, imports: Sequence[CacheSource] = ()) -> Result:
        """Carry out all plans; `imports` are asked for what the cache has not. BuildError for a step that failed."""
        work = planned.work
        work.imports = imports
        roots = [vertex for plan in planned.plans for vertex in plan.roots]
        try:
            await self._solver.solve(roots, work)
        except BuildError as error:
            error.source = planned.source
            raise
        finally:
            await self._writing.keep()
        images = [
            finishing.built(plan, work.outcomes, classic=planned.request.classic, lines=planned.lines)
            for plan in planned.plans
        ]
        return Result(images=images, several=planned.several)

    def config(self, planned: Planned, step: Step) -> ImageConfig:
        """The whole config of the image that a step of the classic API makes, once it and those before are done."""
        return finishing.config_of(
            step.config,
            step.entries,
            step.root,
            planned.work.outcomes,
            epoch=planned.plans[0].epoch,
            classic=True,
            lines=planned.lines,
        )


async def _parsed(source: SourceFile) -> Dockerfile:
    if len(source.content) <= _SHORT:
        return _remembered(source)
    return await asyncio.to_thread(parser.parse, source)


@lru_cache(maxsize=32)
def _remembered(source: SourceFile) -> Dockerfile:
    return parser.parse(source)


def _aims(request: BuildRequest) -> list[Aim]:
    host = platforms.host()
    wanted = list(dict.fromkeys(platforms.parse(text) for text in request.platforms))
    if not wanted:
        return [Aim(platform=host, host=host)]
    several = len(wanted) > 1
    return [Aim(platform=each, host=host, asked=True, several=several) for each in wanted]


def _checked(
    dockerfile: Dockerfile, request: BuildRequest, plan: Plan, ignore: Ignore | None, vertex: str
) -> list[Finding]:
    """What the Dockerfile should better not do. DockerfileError if it says that it fails for that."""
    scene = Scene(
        given=variables.given(request),
        variables=plan.variables,
        stages=plan.stages,
        target=plan.platform,
        bases=plan.bases,
        ignore=ignore,
    )
    report = check(dockerfile, scene)
    if report.failure:
        raise DockerfileError(report.failure, *(each.position for each in report.violations))
    return [violation.finding(vertex) for violation in report.violations]
