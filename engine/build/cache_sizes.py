"""How much of the disk the build cache takes, each byte once: files of layers, their archives, caches of mounts."""

from collections.abc import Iterator
from contextlib import suppress

import errdefs
from engine.build.cache_filters import Usage
from engine.build.solver.records import CacheStore, Record
from engine.images.layers import Layers
from engine.images.store import ImageStore


class Sizes:
    """Measures. Files of a layer never change, and are measured once."""

    def __init__(self, cache: CacheStore, layers: Layers, images: ImageStore) -> None:
        self._cache = cache
        self._layers = layers
        self._images = images
        self._files: dict[str, int] = {}  # chain id: bytes

    async def usages(self) -> list[Usage]:
        """All records as they are now, the oldest first."""
        await self._measure()
        imaged = self._images.layers()
        counted = {f"files {name}" for name in imaged} | {f"blob {name}" for name in self._images.blobs()}
        found: list[Usage] = []
        for record in sorted(self._cache.all(), key=lambda each: (each.created, each.id)):
            parts = dict(self._parts(record))
            usage = Usage(
                record=record,
                in_use=self._cache.in_use(record.id),
                shared=any(layer.chain_id in imaged for layer in record.layers),
                size=sum(parts.values()),
                own=sum(size for part, size in parts.items() if part not in counted),
            )
            counted.update(parts)
            found.append(usage)
        return found

    async def _measure(self) -> None:
        there = self._cache.layers()
        self._files = {chain_id: size for chain_id, size in self._files.items() if chain_id in there}
        for chain_id in there - self._files.keys():
            with suppress(errdefs.NotFound):  # it went meanwhile
                self._files[chain_id] = await self._layers.size(chain_id)

    def _parts(self, record: Record) -> Iterator[tuple[str, int]]:
        for layer in record.layers:
            yield f"files {layer.chain_id}", self._files.get(layer.chain_id, 0)
            yield f"blob {layer.blob}", layer.size
        if record.directory:
            yield f"directory {record.directory}", record.size
