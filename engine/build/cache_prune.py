"""The build cache as people see it: what it takes, and removal of what is not needed (`docker builder du`, `prune`)."""

import asyncio
import heapq
import shutil
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

import errdefs
from engine.build import cache_filters, leftovers
from engine.build.cache_filters import Usage
from engine.build.cache_sizes import Sizes
from engine.build.solver.records import CacheStore, Record
from engine.filters import Filters
from engine.images.workshop import Workshop

_HIDDEN = frozenset({"internal", "frontend"})
"""Kinds that only `all` takes."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which records are to go: BuildKit's filters, of no use for so many nanoseconds, also shared ones with `all`.

    With sizes in bytes, those that were not used for the longest go until the cache is as small as that: no larger
    than `max_used`, so small that `min_free` are free on the disk, but never smaller than `reserved`. 0 is none.
    """

    filters: Sequence[str] = ()
    unused: int = 0
    all: bool = False
    reserved: int = 0
    max_used: int = 0
    min_free: int = 0


class Pruned(msgspec.Struct):
    """What went, and the bytes that it took."""

    records: list[Usage] = msgspec.field(default_factory=list)

    @property
    def ids(self) -> list[str]:
        """Of the records."""
        return [each.record.id for each in self.records]

    @property
    def reclaimed(self) -> int:
        """Without what images have as well."""
        return _size(self.records)


class BuildCache:
    """The door to it. `directory` has the directories of cache mounts and of clients' files."""

    def __init__(self, cache: CacheStore, workshop: Workshop, directory: Path) -> None:
        self._cache = cache
        self._workshop = workshop
        self._directory = directory
        self._sizes = Sizes(cache, workshop.layers, workshop.store)
        self._turn = asyncio.Lock()

    async def usage(self, filters: Sequence[str] = ()) -> list[Usage]:
        """The records that BuildKit's filters mean, the oldest first. InvalidArgument for bad filters."""
        means = cache_filters.matching(filters)
        return [each for each in await self._sizes.usages() if means(each)]

    async def prune_by(self, filters: Filters, wanted: Wanted) -> Pruned:
        """Remove what Docker's filters mean, and the rest of `wanted`. InvalidArgument in Docker's words."""
        try:
            terms, unused = cache_filters.of_docker(filters)
            return await self.prune(msgspec.structs.replace(wanted, filters=terms, unused=unused))
        except errdefs.InvalidArgument as error:
            raise errdefs.InvalidArgument(f"failed to prune build cache: {error.message}") from None

    async def prune(self, wanted: Wanted) -> Pruned:
        """Remove what is wanted and nobody works with, and tell it; one prune after the other."""
        pruned = await self.reclaim(wanted)
        await self._workshop.events.publish("builder", "prune", "", {"reclaimed": str(pruned.reclaimed)})
        return pruned

    async def reclaim(self, wanted: Wanted) -> Pruned:
        """As `prune`, without an event."""
        async with self._turn:
            everything = await self.usage()
            means = cache_filters.matching(wanted.filters)
            free = (await asyncio.to_thread(shutil.disk_usage, self._directory)).free
            candidates = [each for each in everything if means(each)]
            pruned = Pruned(select(candidates, wanted, time.time_ns(), _size(everything), free))
            await self._cache.remove(pruned.ids)
            await self._let_go([each.record for each in pruned.records])
        return pruned

    async def _let_go(self, records: Iterable[Record]) -> None:
        """Remove what only these records kept: the layers that stand on others first."""
        for record in sorted(records, key=lambda each: each.created, reverse=True):
            if record.layers:
                await self._workshop.layers.release(record.layers[-1].chain_id)
            await self._workshop.blobs.drop([*record.blobs, *(layer.blob for layer in record.layers)])
            if record.directory and not self._cache.in_use(record.id):  # else its last user removes it
                await asyncio.to_thread(leftovers.remove, self._directory / record.directory)


def select(candidates: Sequence[Usage], wanted: Wanted, now: int, total: int, free: int) -> list[Usage]:
    """Those that are to go. `now` in Unix nanoseconds, bytes of the whole cache, and those free on the disk."""
    idle = [
        each
        for each in candidates
        if not each.in_use
        and (wanted.all or not (each.shared or each.record.kind in _HIDDEN))
        and now - each.record.used >= wanted.unused
    ]
    kept = kept_bytes(wanted, total, free)
    if kept is None:
        return idle
    gone: list[Usage] = []
    for each in _oldest_first(idle):
        if total <= kept:
            break
        gone.append(each)
        total -= _size([each])
    return gone


def _oldest_first(usages: Sequence[Usage]) -> Iterator[Usage]:
    """By their last use; but what others stand on, which is of no use without it, only after those."""
    by_id = {each.record.id: each for each in usages}
    above = Counter(each.record.parent for each in usages)
    ready = [_ranked(each) for each in usages if not above[each.record.id]]
    heapq.heapify(ready)
    while ready:
        each = by_id[heapq.heappop(ready)[-1]]
        yield each
        parent = each.record.parent
        above[parent] -= 1
        if parent in by_id and not above[parent]:
            heapq.heappush(ready, _ranked(by_id[parent]))


def _ranked(usage: Usage) -> tuple[int, int, str]:
    return usage.record.used, usage.record.uses, usage.record.id


def kept_bytes(wanted: Wanted, total: int, free: int) -> int | None:
    """How large the cache may stay, None if no size was asked for."""
    if not (wanted.reserved or wanted.max_used or wanted.min_free):
        return None
    allowed = [wanted.max_used] if wanted.max_used else []
    if (missing := wanted.min_free - free) > 0:
        allowed.append(total - missing)
    elif not allowed and wanted.min_free:
        allowed.append(total)
    return max(min(allowed, default=0), wanted.reserved)


def _size(usages: Iterable[Usage]) -> int:
    return sum(each.own for each in usages)
