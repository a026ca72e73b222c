"""What the classic API tells of a build: one step after the other, in the words of Docker's first builder.

Steps run side by side; what one says before its turn has come waits here, and beyond some bytes the step waits, too.
"""

import asyncio
import codecs
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from typing import Protocol

from engine.build.dockerfile import parser
from engine.build.plan.plan import Entry, Step
from engine.build.progress import STDERR, Event, Log, Status, VertexState
from engine.build.saying import Saying
from engine.build.source import Position, SourceFile
from engine.build.steps import Files, MakeDirectory, Run, Vertex
from engine.ids import short
from engine.progress import Message, Stream

_AHEAD = 256 << 10  # bytes of output that wait for the turn of their step
_PACE = 0.002  # seconds in which more may come to be said with it
_RED, _PLAIN = "\x1b[91m", "\x1b[0m"


class Steps(Protocol):
    """What is known of the steps of a build while it goes on."""

    def digest(self, vertex: Vertex, /) -> str:
        """By which the progress names a vertex."""

    def image(self, step: Step, /) -> str:
        """The id of the image that a step made, once it is done."""

    def was_done(self, step: Step, /) -> bool:
        """Whether a step that changes no file was done before."""


class Telling(Saying):
    """Tells one build. It is its `Watch`, too: `tell` runs beside the execution, and passes on all as it goes.

    `remove`: containers of steps are said to be removed, `force` of failed ones as well. `names_images`: the id of
    what each stage made is told by a message of its own, too.
    """

    def __init__(self, progress: Stream, *, remove: bool, force: bool, names_images: bool) -> None:
        super().__init__(progress)
        self._names_images = names_images
        self._remove = remove
        self._force = force
        self._states: dict[str, VertexState] = {}
        self._output: defaultdict[str, deque[Log]] = defaultdict(deque)
        self._waiting: defaultdict[str, int] = defaultdict(int)
        self._changed = asyncio.Condition()
        self._over = False
        self._failed = ""
        self._telling = False

    async def watch(self, event: Event, /) -> None:
        """Take in what happens."""
        async with self._changed:
            if isinstance(event, VertexState):
                self._states[event.digest] = event
            elif isinstance(event, Log):
                await self._changed.wait_for(lambda: self._waiting[event.vertex] < _AHEAD or self._over)
                self._output[event.vertex].append(event)
                self._waiting[event.vertex] += len(event.data)
            elif isinstance(event, Status) and not self._telling:
                await self._progress(_transfer(event))
            self._changed.notify_all()

    async def over(self, failed: str = "") -> None:
        """Nothing more happens: `tell` ends with the step that failed, by its digest."""
        async with self._changed:
            self._over = True
            self._failed = failed
            self._changed.notify_all()

    async def tell(self, known: Steps, steps: Sequence[Step]) -> None:
        """Say all, as it comes; ends with the last step or with the one that failed.

        What is said of the last one is passed on with what follows: its image, or why there is none.
        """
        self._telling = True
        await self._tell_steps(known, steps)

    async def _tell_steps(self, known: Steps, steps: Sequence[Step]) -> None:
        cached = True
        for number, step in enumerate(steps):
            self.say(f"Step {number + 1}/{len(steps)} : {step.text}")
            self.say("\n")
            if step.stage < 0:
                continue  # an ARG before all stages
            before = steps[number - 1] if number else None
            if before is None or before.stage != step.stage:
                cached = True
                self.say_triggers(len(step.triggers))
                entries = step.entries[len(step.entries) - len(step.triggers) :]
            else:
                entries = step.entries[len(before.entries) :]
            ended = await self._tell_entries(known, step, entries, cached=cached)
            if ended is None or not await self._is_done(known, step):
                if self._ends_with(known, step):
                    return
                continue  # it was given up for the one that failed
            cached = ended
            image = known.image(step)
            self.say(f" ---> {short(image)}\n")
            if (
                self._names_images
                and image
                and (number + 1 == len(steps) or steps[number + 1].stage != step.stage)
            ):
                self.say_image(image)

    async def _tell_entries(
        self, known: Steps, step: Step, entries: Sequence[Entry], *, cached: bool
    ) -> bool | None:
        """Tell of what one instruction does: whether all up to it came from the cache, None if it failed."""
        for entry in entries:
            if entry.vertex is None:
                if not await self._is_done(known, step):
                    return None
                cached = cached and known.was_done(step)
                self._say_config(cached=cached)
                continue
            found = await self._follow(entry.vertex, known.digest(entry.vertex))
            if found is None:
                return None
            cached = cached and found
        return cached

    def _ends_with(self, known: Steps, step: Step) -> bool:
        """Whether a step that is not done is the one that failed."""
        vertices = [step.root, *(entry.vertex for entry in step.entries)]
        return not self._failed or self._failed in [
            known.digest(each) for each in vertices if each is not None
        ]

    async def tell_first(self, source: SourceFile, position: Position) -> None:
        """Say which FROM it is that failed before anything was done. DockerfileError for a bad Dockerfile."""
        dockerfile = await asyncio.to_thread(parser.parse, source)
        instructions = [
            *dockerfile.arguments,
            *(each for stage in dockerfile.stages for each in (stage.start, *stage.instructions)),
        ]
        for number, each in enumerate(instructions):
            if each.position == position:
                self.say(f"Step {number + 1}/{len(instructions)} : {each.text}")
                self.say("\n")
        await self.pass_on()

    def _say_config(self, *, cached: bool) -> None:
        """Of a step that changes no file."""
        if cached:
            self.say_cached()
            return
        container = self.say_running()
        if self._remove or self._force:
            self.say_removed(container)

    async def _follow(self, vertex: Vertex, digest: str) -> bool | None:
        """Tell of one step until its end: whether it came from the cache, None if it failed."""
        state = await self._begun(digest)
        if state is not None and state.cached:
            self.say_cached()
            return True
        container = self.say_running() if state is not None and _runs(vertex) else ""
        decoders = {stream: codecs.getincrementaldecoder("utf-8")("replace") for stream in (1, 2)}
        while (log := await self._next(digest)) is not None:
            text = decoders[log.stream].decode(log.data)
            if text:
                self.say(f"{_RED}{text}{_PLAIN}" if log.stream == STDERR else text)
                await self.pass_on()
        ended = self._states.get(digest)
        failed = ended is None or not ended.completed or bool(ended.error)
        if container and (self._force or (self._remove and not failed)):
            self.say_removed(container)
        return None if failed else False

    async def _is_done(self, known: Steps, step: Step) -> bool:
        """Wait until there are the files that a step leaves; False if they do not come to be."""
        if step.root is None:
            return True
        digest = known.digest(step.root)
        await self._until(lambda: self._has_ended(digest))
        return self._has_ended(digest) and not self._states[digest].error

    async def _begun(self, digest: str) -> VertexState | None:
        await self._until(lambda: self._has_begun(digest))
        return self._states.get(digest)

    async def _until(self, known: Callable[[], bool]) -> None:
        """Wait for something to be known, or for the end of all."""
        if self._over or known():
            return
        try:
            async with asyncio.timeout(_PACE if self.unsaid else None):
                await self._change(known)
        except TimeoutError:
            await self.pass_on()
            await self._change(known)

    async def _change(self, known: Callable[[], bool]) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: self._over or known())

    def _has_begun(self, digest: str) -> bool:
        state = self._states.get(digest)
        return state is not None and bool(state.working or state.completed)

    async def _next(self, digest: str) -> Log | None:
        """The next of a step's output, None at its end."""
        await self._until(lambda: bool(self._output[digest]) or self._has_ended(digest))
        if not self._output[digest]:
            return None
        log = self._output[digest].popleft()
        self._waiting[digest] -= len(log.data)
        async with self._changed:
            self._changed.notify_all()
        return log

    def _has_ended(self, digest: str) -> bool:
        state = self._states.get(digest)
        return state is not None and bool(state.completed)


def _transfer(event: Status) -> Message:
    """A line of a pull, which comes before all steps."""
    if event.id == event.name:
        return Message(status=event.name)
    if event.total:
        return Message.counted(event.id, event.name, event.current, event.total)
    return Message.step(event.id, event.name)


def _runs(vertex: Vertex) -> bool:
    """Whether Docker's first builder had a container for it: for RUN and WORKDIR, not to copy."""
    operation = vertex.operation
    if isinstance(operation, Files):
        return all(isinstance(action, MakeDirectory) for action in operation.actions)
    return isinstance(operation, Run)
