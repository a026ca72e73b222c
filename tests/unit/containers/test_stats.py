"""The sampler and its watches, over real processes of this machine that run in no container."""

import asyncio
import os
from typing import cast

import pytest

from engine.containers.container import Container, State
from engine.containers.state import Status
from engine.containers.stats import BACKLOG, Sample, Stats, Watch
from engine.containers.store import ContainerStore
from tests.unit.api.samples import ID, container


class Records:
    """What the sampler needs of the store."""

    def __init__(self, *records: Container) -> None:
        self.by_id = {record.id: record for record in records}
        self.asked = 0

    def get(self, reference: str) -> Container:
        return self.by_id[reference]

    def find(self, container_id: str) -> Container | None:
        self.asked += 1
        return self.by_id.get(container_id)


def make(*records: Container) -> tuple[Stats, Records]:
    """A sampler that is in a hurry."""
    store = Records(*records)
    return Stats(cast("ContainerStore", store), interval=0.01), store


async def test_a_slow_client_gets_the_latest() -> None:
    watch = Watch()
    for number in range(BACKLOG + 5):
        watch.put(Sample(id=ID, name=str(number)))
    watch.end()
    assert [sample.name async for sample in watch] == [str(number) for number in range(5, BACKLOG + 5)]


async def test_everybody_gets_the_same_samples_and_it_stops_with_the_last() -> None:
    stats, store = make(container())
    first, second = stats.watch(ID), stats.watch(ID)
    assert await anext(first) is await anext(second)
    stats.unwatch(ID, first)
    await anext(second)
    stats.unwatch(ID, second)
    async with asyncio.timeout(20):
        while stats._sampler is not None:  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(0.01)
    asked = store.asked
    await asyncio.sleep(0.1)
    assert store.asked == asked
    assert (await anext(stats.watch(ID))).usage is None  # and it starts again
    await stats.close()


async def test_it_ends_with_the_container_and_with_the_engine() -> None:
    stats, store = make(container())
    watch = stats.watch(ID)
    await anext(watch)
    store.by_id.clear()
    assert len([sample async for sample in watch]) <= BACKLOG  # what had come before, and then the end
    store.by_id[ID] = container()
    watch = stats.watch(ID)
    await stats.close()
    assert len([sample async for sample in watch]) <= 1
    assert [sample async for sample in stats.watch(ID)] == []


async def test_a_failure_ends_it_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    stats, store = make(container())
    watch = stats.watch(ID)
    monkeypatch.setattr(store, "find", lambda _: 1 / 0)
    assert [sample async for sample in watch] == []
    await stats.close()


async def test_a_process_that_is_gone_counts_as_stopped() -> None:
    gone = State(status=Status.RUNNING, pid=2**22 + 1)
    stats, _ = make(container(state=gone))
    assert (await stats.once(ID)).usage is None
    here = State(status=Status.RUNNING, pid=os.getpid())
    stats, _ = make(container(state=here))
    sample = await stats.once(ID)
    assert sample.online_cpus > 0
    assert sample.read_at > 0
