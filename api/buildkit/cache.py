"""The build cache, as `docker buildx du` and `prune` ask for it."""

import time
from collections.abc import Sequence

from api.buildkit.doors import BuildCache
from api.buildkit.progress import moment
from api.buildkit.protos.control_pb2 import PruneRequest, UsageRecord
from engine.build.cache_filters import Usage
from engine.build.cache_prune import Wanted


class Cache:
    """The engine's build cache in the words of BuildKit's API."""

    def __init__(self, cache: BuildCache) -> None:
        self._cache = cache

    async def usage(self, filters: Sequence[str], unused: int) -> list[UsageRecord]:
        """The records that filters mean, of no use for that many nanoseconds. InvalidArgument for bad filters."""
        now = time.time_ns()
        return [
            _record(each) for each in await self._cache.usage(filters) if now - each.record.used >= unused
        ]

    async def prune(self, request: PruneRequest) -> list[UsageRecord]:
        """Remove what is asked for, and tell what went."""
        wanted = Wanted(
            filters=list(request.filter),
            unused=request.keepDuration,
            all=request.all,
            reserved=request.reservedSpace,
            max_used=request.maxUsedSpace,
            min_free=request.minFreeSpace,
        )
        return [_record(each) for each in (await self._cache.prune(wanted)).records]


def _record(usage: Usage) -> UsageRecord:
    record = usage.record
    return UsageRecord(
        ID=record.id,
        Mutable=bool(record.directory),
        InUse=usage.in_use,
        Size=usage.size,
        Parents=[record.parent] if record.parent else [],
        CreatedAt=moment(record.created),
        LastUsedAt=moment(record.used),
        UsageCount=record.uses,
        Description=record.description,
        RecordType=record.kind,
        Shared=usage.shared,
    )
