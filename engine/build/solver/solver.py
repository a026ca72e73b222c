"""Vertices carried out: side by side, each when its inputs are there; from the cache where that has them."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress

import errdefs
from engine.build.plan.plan import NOTHING, ordered
from engine.build.refs import SCRATCH
from engine.build.results import BuildError
from engine.build.solver.step import Step, Tools
from engine.build.solver.work import Outcome, Work
from engine.build.steps import Vertex

_AT_ONCE = 16  # vertices that are had without letting others have their turn
_LAST_WORDS = 1.0  # seconds that a client has to be told that a step was given up


class Solver:
    """Carries out the steps of all builds, so that what several want at the same time is done once."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    async def solve(self, roots: Sequence[Vertex], work: Work) -> None:
        """Carry out vertices and all that they need; what comes of them is in `work.outcomes`.

        BuildError for the first that fails, which ends the others.
        """
        vertices = [vertex for vertex in ordered(roots) if vertex not in work.outcomes]
        for vertex in vertices:
            await work.told(vertex)
        await self._at_once(vertices, work)
        left = [vertex for vertex in vertices if vertex not in work.outcomes]
        tasks: dict[Vertex, asyncio.Task[Outcome]] = {}
        try:
            async with asyncio.TaskGroup() as group:
                for vertex in left:
                    tasks[vertex] = group.create_task(self._vertex(vertex, tasks, work))
        except BaseExceptionGroup as failed:
            first = failed.exceptions[0]
            raise first from first.__cause__

    async def _at_once(self, vertices: Sequence[Vertex], work: Work) -> None:
        """Have what waits for nothing: a task for each takes longer than to find it in the cache."""
        for number, vertex in enumerate(vertices, 1):
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
            if all(each is NOTHING or each in work.outcomes for each in vertex.inputs):
                inputs = [_there(each, work) for each in vertex.inputs]
                step = Step(self._tools, vertex, inputs[1:], work)
                if inputs:
                    step.root = inputs[0]
                if step.is_at_hand():
                    await self._carried_out(step, vertex, {}, work)

    async def _vertex(
        self, vertex: Vertex, tasks: dict[Vertex, asyncio.Task[Outcome]], work: Work
    ) -> Outcome:
        others = [await _input(each, tasks, work) for each in vertex.inputs[1:]]
        return await self._carried_out(Step(self._tools, vertex, others, work), vertex, tasks, work)

    async def _carried_out(
        self, step: Step, vertex: Vertex, tasks: dict[Vertex, asyncio.Task[Outcome]], work: Work
    ) -> Outcome:
        started = 0
        try:
            await step.look()
            if vertex.inputs:
                step.root = await _input(vertex.inputs[0], tasks, work)
            started = time.time_ns()
            await work.told(vertex, started=started)
            outcome = await step.run()
        except asyncio.CancelledError:
            if started:
                await _given_up(vertex, started, work)
            raise
        except BuildError:
            raise  # of an input
        except (errdefs.WherryError, OSError) as error:
            started = started or time.time_ns()
            message = error.message if isinstance(error, errdefs.WherryError) else str(error)
            await work.told(vertex, started=started, completed=time.time_ns(), error=message)
            raise BuildError(
                message,
                vertex=work.digest(vertex),
                operation=vertex.operation,
                positions=[vertex.position] if vertex.position else [],
            ) from error
        work.outcomes[vertex] = outcome
        await work.told(vertex, started=started, completed=time.time_ns(), cached=outcome.cached)
        return outcome


async def _given_up(vertex: Vertex, started: int, work: Work) -> None:
    with suppress(Exception):
        async with asyncio.timeout(_LAST_WORDS):
            await work.told(vertex, started=started, completed=time.time_ns(), error="context canceled")


async def _input(vertex: Vertex, tasks: dict[Vertex, asyncio.Task[Outcome]], work: Work) -> Outcome:
    if vertex not in tasks:
        return _there(vertex, work)
    if not tasks[vertex].done():
        await asyncio.wait([tasks[vertex]])
    return tasks[vertex].result()


def _there(vertex: Vertex, work: Work) -> Outcome:
    return Outcome(output=SCRATCH) if vertex is NOTHING else work.outcomes[vertex]
