"""The stages of a Dockerfile and what they need of one another. Pure."""

import csv
import re
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from engine.build.dockerfile.document import Dockerfile, Stage
from engine.build.dockerfile.expand import expand
from engine.build.dockerfile.instructions import Add, Copy, Instruction, Run, Workdir
from engine.build.dockerfile.text import did_you_mean
from engine.build.plan.variables import defined
from engine.build.source import DockerfileError, Position, at
from engine.images import platforms
from engine.images.platforms import Platform

SCRATCH = "scratch"
_NUMBER = re.compile("[+-]?[0-9]+")
_MOST = (1 << 63) - 1  # what is larger is no number


class Node(msgspec.Struct, eq=False, kw_only=True):
    """A stage, or an image or context that COPY and RUN take files from, which then has no instructions.

    `base` is the name after FROM with its variables replaced, `below` the stage that it means. `shown` is how progress
    calls it, "" where there is nothing to tell apart. `total` counts the steps that progress shows.
    """

    base: str
    position: Position
    name: str = ""
    shown: str = ""
    platform: Platform | None = None
    below: "Node | None" = None
    stage: Stage | None = None
    needs: "list[tuple[Node, Instruction]]" = msgspec.field(default_factory=list)
    total: int = 0

    @property
    def instructions(self) -> Sequence[Instruction]:
        """What is done in it."""
        return self.stage.instructions if self.stage else ()

    @property
    def text(self) -> str:
        """Its FROM as it is written."""
        return self.stage.start.text if self.stage else ""


class Graph:
    """All stages. DockerfileError for what cannot be told apart, or needs itself.

    `classic`: to those of Docker's first builder there is nothing but what came before.
    """

    def __init__(
        self, dockerfile: Dockerfile, variables: Mapping[str, str | None], *, classic: bool = False
    ) -> None:
        self._classic = classic
        self.nodes: list[Node] = []
        """Stages in their order, then what is taken from outside."""
        self._names: dict[str, Node] = {}
        self._sources: dict[tuple[int, str], Node] = {}
        known = defined(variables)
        for number, stage in enumerate(dockerfile.stages):
            self._add(number, stage, known, dockerfile.escape)
        self.stages = list(self.nodes)
        for node in self.stages:
            self._connect(node)
        _require_no_circle(self.stages)
        if len(self.nodes) == 1:
            self.nodes[0].shown = ""

    def target(self, name: str) -> Node:
        """The stage to build: by name, not by number; the last without one. DockerfileError if it is not there."""
        if not name:
            return self.stages[-1]
        found = self._names.get(name.lower())
        if found is None:
            message = f'target stage "{name}" could not be found'
            raise DockerfileError(message if self._classic else did_you_mean(message, name, self._names))
        return found

    def source(self, instruction: Instruction, origin: str, stage: Node) -> Node:
        """What `--from=` or `from=` of an instruction of a stage means."""
        key = (id(instruction), origin)
        if key not in self._sources:
            found = (
                self._before(stage, instruction, origin) if self._classic else self._find(instruction, origin)
            )
            self._sources[key] = found or self._outside(instruction, origin)
        return self._sources[key]

    def reachable(self, *targets: Node) -> list[Node]:
        """What stages need, themselves included, in the order of `nodes`."""
        found: set[int] = set()
        waiting = list(targets)
        while waiting:
            node = waiting.pop()
            if id(node) not in found:
                found.add(id(node))
                waiting += [need for need, _ in node.needs] + ([node.below] if node.below else [])
        return [node for node in self.nodes if id(node) in found]

    def up_to(self, target: Node) -> list[Node]:
        """A stage and all before it, with what they take from outside, in the order of `nodes`."""
        return self.reachable(*self.stages[: self.stages.index(target) + 1])

    def origins(self, instruction: Instruction) -> list[str]:
        """What an instruction names as places to take files from."""
        return list(_origins(instruction))

    def _add(self, number: int, stage: Stage, variables: Mapping[str, str], escape: str) -> None:
        start = stage.start
        with at(start.position):
            base = expand(start.base, variables, escape)
            if not base:
                raise DockerfileError(f"base name ({start.base}) should not be blank")
            platform = _platform(expand(start.platform, variables, escape)) if start.platform else None
        node = Node(
            base=base,
            position=start.position,
            name=start.name,
            shown=start.name or f"stage-{number}",
            platform=platform,
            below=self._names.get(base.lower()),
            stage=stage,
        )
        counted = sum(isinstance(each, Add | Copy | Run | Workdir) for each in stage.instructions)
        node.total = counted + (node.below is None and base != SCRATCH)
        self.nodes.append(node)
        if start.name:
            self._names[start.name] = node

    def _connect(self, node: Node) -> None:
        for instruction in node.instructions:
            for origin in _origins(instruction):
                node.needs.append((self.source(instruction, origin, node), instruction))

    def _find(self, instruction: Instruction, origin: str) -> Node | None:
        if isinstance(instruction, Copy) and origin.lstrip("+-").isdecimal():
            number = int(origin)
            if not 0 <= number < len(self.stages):
                raise DockerfileError(f"invalid stage index {number}", instruction.position)
            return self.nodes[number]
        return self._names.get(origin.lower())

    def _before(self, stage: Node, instruction: Instruction, origin: str) -> Node | None:
        """The same for Docker's first builder."""
        before = self.stages[: self.stages.index(stage)]
        named = next((each for each in before if each.name == origin.lower()), None)
        if named is not None or not _NUMBER.fullmatch(origin) or abs(int(origin)) > _MOST:
            return named
        if 0 <= int(origin) < len(before):
            return before[int(origin)]
        why = "refers to current build stage" if int(origin) == len(before) else "index out of bounds"
        raise DockerfileError(f"invalid from flag value {origin}: {why}", instruction.position)

    def _outside(self, instruction: Instruction, origin: str) -> Node:
        outside = Node(base=origin, position=instruction.position)
        self.nodes.append(outside)
        return outside


def _platform(text: str) -> Platform:
    try:
        return platforms.parse(text)
    except Exception as error:
        raise DockerfileError(f"failed to parse platform {text}: {error}") from error


def _origins(instruction: Instruction) -> Iterator[str]:
    if isinstance(instruction, Copy) and instruction.origin:
        yield instruction.origin
    if isinstance(instruction, Run):
        yield from (origin for origin in map(_mounted_from, instruction.mounts) if origin)


def _mounted_from(mount: str) -> str:
    """The `from=` of a `--mount`, "" without one; what is wrong with the rest is seen when it is read."""
    for part in next(csv.reader([mount]), []):
        key, _, value = part.partition("=")
        if key.strip().lower() == "from":
            return value
    return ""


def _require_no_circle(stages: Sequence[Node]) -> None:
    done: set[int] = set()
    for stage in stages:
        path: list[tuple[Node, Iterator[tuple[Node, Instruction]]]] = [(stage, iter(stage.needs))]
        first: Instruction | None = None
        while path:
            node, needs = path[-1]
            need, instruction = next(needs, (None, None))
            if need is None:
                done.add(id(node))
                path.pop()
                continue
            first = instruction if len(path) == 1 else first
            if any(need is above for above, _ in path):
                message = f"circular dependency detected on stage: {stage.shown}"
                raise DockerfileError(message, *([first.position] if first else []))
            if id(need) not in done:
                path.append((need, iter(need.needs)))
