"""The build cache kept within its size: what goes by itself, after builds and now and then."""

import asyncio
import logging
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import errdefs
from engine.build.cache_prune import BuildCache, Wanted
from engine.config.builder import BuilderConfig, Policy

_log = logging.getLogger(__name__)
_EVERY = 3600.0  # seconds between two looks, if nothing is built meanwhile
_GIGABYTE = 10**9
_DAY = 24 * 3600 * 10**9
_EASY = "type==source.local,type==exec.cachemount,type==source.git.checkout"
_EASY_PERCENT = 13.8  # of the size, as BuildKit keeps of what is easily made again
_EASY_LEAST = 512 * 10**6


class Keeping:
    """Looks after the cache. `close` ends it."""

    def __init__(self, cache: BuildCache, directory: Path, config: BuilderConfig) -> None:
        """Begin, on the running loop; `directory` is on the disk of the cache."""
        self._cache = cache
        self._directory = directory
        self._config = config
        self._grown = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._run(), name="build-cache-gc")

    def configure(self, config: BuilderConfig) -> None:
        """Go by this from now on."""
        self._config = config
        self._grown.set()

    def grown(self) -> None:
        """Something was built."""
        self._grown.set()

    async def close(self) -> None:
        """End it."""
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _run(self) -> None:
        while True:
            with suppress(TimeoutError):
                # wait_for would swallow a cancellation that comes with the event
                async with asyncio.timeout(_EVERY):
                    await self._grown.wait()
            self._grown.clear()
            if self._config.gc:
                try:
                    await self.look(self._config)
                except Exception:  # noqa: BLE001 - the top frame of a task
                    _log.error("the build cache could not be looked after", exc_info=True)

    async def look(self, config: BuilderConfig) -> None:
        """Remove what is too old or too much; what builds use at this moment stays."""
        keep = config.keep or await asyncio.to_thread(_share, self._directory)
        wanted = usual(keep) if config.policies is None else [_wanted(each, keep) for each in config.policies]
        for each in wanted:
            with suppress(errdefs.Conflict):  # somebody prunes
                pruned = await self._cache.reclaim(each)
                if pruned.records:
                    _log.info(
                        "the build cache gave back %d bytes of %d records",
                        pruned.reclaimed,
                        len(pruned.records),
                    )


def usual(keep: int) -> Sequence[Wanted]:
    """What goes of a cache that may have `keep` bytes: as BuildKit does it."""
    easy = max(int(keep * _EASY_PERCENT / 100), _EASY_LEAST)
    return [
        Wanted(filters=[_EASY], unused=2 * _DAY, max_used=easy),
        Wanted(unused=60 * _DAY, max_used=keep),
        Wanted(max_used=keep),
        Wanted(max_used=keep, all=True),
    ]


def _wanted(policy: Policy, keep: int) -> Wanted:
    terms = [f"{key}=={value}" for key, _, value in (each.partition("=") for each in policy.filters)]
    return Wanted(
        filters=[",".join(terms)] if terms else [],
        unused=policy.unused,
        max_used=policy.keep or keep,
        all=policy.all,
    )


def _share(directory: Path) -> int:
    """A tenth of the disk, in whole gigabytes."""
    found = os.statvfs(directory)
    return (found.f_frsize * found.f_blocks // 10 // (1 << 30) + 1) * _GIGABYTE
