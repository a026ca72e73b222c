"""Steps that several builds want at the same time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

import errdefs
from engine.build.solver.executable import require_executable
from engine.build.solver.sharing import Output, Shared


class Work:
    """A work that says what it is told to, until it is let go."""

    def __init__(self) -> None:
        self.begun = 0
        self.ended = 0
        self.go = asyncio.Event()
        self.failure: Exception | None = None

    @asynccontextmanager
    async def make(self, output: Output) -> AsyncIterator[str]:
        self.begun += 1
        try:
            await output(1, b"begun")
            await self.go.wait()
            if self.failure:
                raise self.failure
            await output(1, b"done")
            yield "result"
        finally:
            self.ended += 1


class Reader:
    """What a build heard."""

    def __init__(self, shared: Shared[str], work: Work) -> None:
        self.heard: list[bytes] = []
        self._shared = shared
        self._work = work

    async def hear(self, stream: int, data: bytes) -> None:
        self.heard.append(data)

    async def run(self) -> str:
        async with self._shared.join("key", self._work.make, self.hear) as result:
            return result


async def passed() -> None:
    """Let others have their turns."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_all_get_one_result_and_all_the_output() -> None:
    shared, work = Shared[str](), Work()
    one, two = Reader(shared, work), Reader(shared, work)
    async with asyncio.TaskGroup() as group:
        first = group.create_task(one.run())
        await passed()
        second = group.create_task(two.run())
        await passed()
        work.go.set()
    assert (first.result(), second.result(), work.begun, work.ended) == ("result", "result", 1, 1)
    assert one.heard == two.heard == [b"begun", b"done"]


async def test_who_leaves_does_not_end_it_for_the_others() -> None:
    shared, work = Shared[str](), Work()
    one, two = Reader(shared, work), Reader(shared, work)
    async with asyncio.TaskGroup() as group:
        first, second = group.create_task(one.run()), group.create_task(two.run())
        await passed()
        first.cancel()
        await passed()
        assert work.ended == 0
        work.go.set()
    assert second.result() == "result"


async def test_the_last_who_leaves_ends_it_and_another_begins_anew() -> None:
    shared, work = Shared[str](), Work()
    going = asyncio.get_running_loop().create_task(Reader(shared, work).run())
    await passed()
    going.cancel()
    await asyncio.wait([going])
    assert (work.begun, work.ended) == (1, 1)
    work.go.set()
    assert await Reader(shared, work).run() == "result"
    assert work.begun == 2


async def test_a_failure_is_everybodys() -> None:
    shared, work = Shared[str](), Work()
    work.failure = errdefs.NotFound("gone")
    running = [asyncio.get_running_loop().create_task(Reader(shared, work).run()) for _ in range(2)]
    await passed()
    work.go.set()
    for each in running:
        with pytest.raises(errdefs.NotFound, match="gone"):
            await each


async def test_who_cannot_be_told_is_not_told() -> None:
    shared, work = Shared[str](), Work()

    async def deaf(stream: int, data: bytes) -> None:
        raise OSError("gone")

    work.go.set()
    async with shared.join("key", work.make, deaf) as result:
        assert result == "result"


def test_what_can_be_run_here() -> None:
    require_executable("")
    with pytest.raises(errdefs.InvalidArgument, match="cannot run programs for linux/loong64 on this host"):
        require_executable("linux/loong64")
