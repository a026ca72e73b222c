"""A Dockerfile made into a plan for one platform: the stages that are needed, and their instructions in turn."""

import asyncio
from collections.abc import Sequence

import errdefs
from engine.build.dockerfile import parser
from engine.build.dockerfile.document import Dockerfile
from engine.build.dockerfile.instructions import Add, Arg, Copy, Instruction, Run, Workdir
from engine.build.plan import arguments, classic, contexts, copying, running, settings, variables
from engine.build.plan.bases import Aim, Bases, Found
from engine.build.plan.contexts import Contexts
from engine.build.plan.graph import Graph, Node
from engine.build.plan.metadata import Metadata
from engine.build.plan.plan import NOTHING, Plan, Step
from engine.build.plan.stage import Stage
from engine.build.request import BuildRequest
from engine.build.source import DockerfileError, Position, at
from engine.build.steps import Vertex

_EPOCH = "SOURCE_DATE_EPOCH"
_MOST, _MOST_CLASSIC = 20_000, 2_000
_AT_ONCE = 50  # instructions that are planned before others have their turn


async def plan(
    dockerfile: Dockerfile, request: BuildRequest, aim: Aim, metadata: Metadata, given: Contexts
) -> Plan:
    """The plan; `given` are the contexts that all plans of a build have in common.

    DockerfileError for what cannot be built as it is written, and what `metadata` raises.
    """
    inherited = variables.global_arguments(dockerfile, request, aim.host, aim.platform)
    graph = Graph(dockerfile, inherited, classic=request.classic)
    target = graph.target(request.target)
    bases = Bases(request, aim, metadata, given)
    nodes = graph.up_to(target) if request.classic else graph.reachable(target)
    _require_few(nodes, _MOST_CLASSIC if request.classic else _MOST)
    if request.classic:
        classic.require_names(nodes)
    await bases.resolve(nodes)
    planner = _Planner(dockerfile, request, aim, graph, bases, given, inherited)
    for node in nodes:
        if node.stage is not None:
            await planner.stage(node, last=node is target)
    return planner.plan(planner.done[target])


def _require_few(nodes: Sequence[Node], most: int) -> None:
    """Pass for what can be planned without holding up everybody else."""
    if sum(1 + len(node.instructions) for node in nodes) > most:
        raise DockerfileError(f"the Dockerfile has more than {most} instructions")


def epoch_of(request: BuildRequest) -> int | None:
    """SOURCE_DATE_EPOCH in Unix seconds, None if it is not set. InvalidArgument for what is no time."""
    text = request.arguments.get(_EPOCH)
    if not text:
        return None
    if not text.isascii() or not text.isdecimal() or len(text) > 11:
        raise errdefs.InvalidArgument(f"invalid SOURCE_DATE_EPOCH: {text}")
    return int(text)


class _Planner:
    def __init__(
        self,
        dockerfile: Dockerfile,
        request: BuildRequest,
        aim: Aim,
        graph: Graph,
        bases: Bases,
        given: Contexts,
        inherited: dict[str, str | None],
    ) -> None:
        self.done: dict[Node, Stage] = {}
        self._images: dict[Node, str] = {}  # those that stages stand on, "" for none
        self._dockerfile = dockerfile
        self._request = request
        self._aim = aim
        self._graph = graph
        self._bases = bases
        self._given = given
        self._inherited = inherited
        self._values = variables.given(request)
        self._proxies = variables.proxies(request)
        self._epoch = epoch_of(request)
        self._steps: list[Step] = classic.global_steps(dockerfile) if request.classic else []

    async def stage(self, node: Node, *, last: bool) -> None:
        found = await self._bases.of(node)
        stage = self._begin(node, found)
        triggers = list(stage.run.on_build or ())
        image = found.source.image if found.source else ""
        if node.below is not None and not stage.history:  # nothing is done in that stage
            image = image or self._images[node.below]
        self._images[node] = image
        if found.replaces:
            self._count(stage, node.text, node, node.position, image=image)
        else:
            await self._triggers(stage, node, triggers)
            self._count(stage, node.text, node, node.position, triggers, image)
            await self._instructions(stage, node)
        self.done[node] = stage
        if last:
            for name, value in sorted(self._request.labels.items()):
                settings.label(stage, name, value)
                self._count(stage, f"LABEL {name}={value}", node, node.position)

    async def _triggers(self, stage: Stage, node: Node, triggers: list[str]) -> None:
        """Carry out what the base asks for."""
        stage.run.on_build = None
        stage.on_build = True
        for text in triggers:
            await self._apply(stage, parser.parse_instruction(text, node.position))
        stage.on_build = False

    async def _instructions(self, stage: Stage, node: Node) -> None:
        for number, instruction in enumerate(node.instructions):
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
            await self._apply(stage, instruction)
            self._count(stage, instruction.text, node, instruction.position)

    def _begin(self, node: Node, found: Found) -> Stage:
        below = self.done.get(node.below) if node.below and not found.replaces else None
        if below is not None:
            return below.followed_by(node, ignore_cache=self._ignores_cache(node))
        stage = Stage(
            node=node,
            platform=found.platform,
            config=found.config,
            classic=self._request.classic,
            escape=self._dockerfile.escape,
            several=self._aim.several,
            base=found.base,
            ignore_cache=self._ignores_cache(node),
        )
        if found.files is not None:
            stage.root = contexts.as_root(found.files)
            self._given.need(found.files, "/")
        elif found.source is not None:
            name = found.shown if found.context else stage.numbered(found.shown)
            stage.root = self._bases.vertex(found, name)
        stage.begin()
        return stage

    def _ignores_cache(self, node: Node) -> bool:
        stages = self._request.no_cache_stages
        return stages is not None and (not stages or node.name in [each.lower() for each in stages])

    async def _apply(self, stage: Stage, instruction: Instruction) -> None:
        with at(instruction.position):
            if isinstance(instruction, Arg):
                arguments.declare(stage, instruction, self._values, self._inherited)
            elif isinstance(instruction, Run):
                sources = {
                    each: await self._source(stage, instruction, each)
                    for each in self._graph.origins(instruction)
                }
                running.run(stage, instruction, self._mounts(sources), self._request, self._proxies)
            else:
                await self._change(stage, instruction, instruction.expanded(stage.expand))

    async def _change(self, stage: Stage, written: Instruction, instruction: Instruction) -> None:
        if isinstance(instruction, Copy | Add):
            named = isinstance(instruction, Copy) and instruction.origin
            source = await self._source(stage, written, str(named)) if named else self._given.main()
            copying.copy(stage, instruction, source, self._epoch)
            for path in instruction.sources:
                if not copying.is_fetched(path):
                    self._given.need(source, path)
        elif isinstance(instruction, Workdir):
            copying.work_in(stage, instruction, self._epoch)
        else:
            settings.apply(stage, instruction)

    async def _source(self, stage: Stage, instruction: Instruction, origin: str) -> Vertex:
        """What is copied or mounted from; a stage has to come before."""
        node = self._graph.source(instruction, origin, stage.node)
        if node.stage is None:
            return await self._bases.files(node) or NOTHING
        if node in self.done:
            found = await self._bases.of(node)
            return (found.files if found.replaces else None) or self.done[node].root or NOTHING
        if isinstance(instruction, Run):
            raise errdefs.InvalidArgument(
                f'cannot mount from stage "{origin}", stage needs to be defined before current command'
            )
        raise errdefs.InvalidArgument(
            f'cannot copy from stage "{origin}", it needs to be defined before current stage "{stage.node.shown}"'
        )

    def _mounts(self, sources: dict[str, Vertex]) -> running.Origin:
        def find(origin: str, path: str) -> Vertex:
            vertex = sources[origin] if origin else self._given.main()
            self._given.need(vertex, path)
            return vertex

        return find

    def _count(
        self,
        stage: Stage,
        text: str,
        node: Node,
        position: Position,
        triggers: Sequence[str] = (),
        image: str = "",
    ) -> None:
        """Tell a step of the classic API."""
        if self._request.classic:
            number = self._graph.stages.index(node)
            self._steps.append(classic.step(stage, text, position, number, triggers, image))

    def plan(self, stage: Stage) -> Plan:
        config, aim = stage.config, self._aim
        if aim.asked:
            config.os, config.architecture = aim.platform.os, aim.platform.architecture
            config.variant = aim.platform.variant
        known = {each.name for instruction in self._dockerfile.arguments for each in instruction.arguments}
        known |= {name for each in self.done.values() for name, _ in each.arguments}
        return Plan(
            platform=aim.platform if aim.asked else config.platform,
            root=stage.root,
            config=config,
            entries=stage.history,
            base=stage.base,
            steps=self._steps,
            epoch=self._epoch,
            unused=sorted(self._values.keys() - known - variables.PROXIES),
            stages=[self._graph.stages.index(node) for node in self.done],
            bases={
                self._graph.stages.index(node): each.base for node, each in self.done.items() if each.base
            },
            variables=self._inherited,
        )
