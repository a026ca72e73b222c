"""Loading what docker before 1.10 saved: each layer of an archive is an image, made on its parent's."""

import asyncio
from collections.abc import Callable

import msgspec

from engine.images import config, legacy_archive
from engine.images.config import ImageConfig
from engine.images.layers import Layers, LayerSession
from engine.images.legacy_archive import JSON, LAYER, REPOSITORIES
from engine.images.loading import Meter
from engine.images.reference import Reference
from engine.images.registration import Blob, Candidate
from engine.images.spool import Spool
from engine.progress import Progress
from runtime.content.store import ContentStore


class Planned(msgspec.Struct, frozen=True):
    """An image of the archive, by its old id there; `is_top` if no other one stands on it."""

    old: str
    parent: str
    names: list[Reference]
    is_top: bool


class _Made(msgspec.Struct, frozen=True):
    image: str
    parent: str
    diff_id: str
    blob: Blob


class LegacyImages:
    """The images of one archive. What is made of them belongs to the session of layers."""

    def __init__(
        self, spool: Spool, content: ContentStore, layers: Layers, held: LayerSession, progress: Progress
    ) -> None:
        self._spool = spool
        self._content = content
        self._layers = layers
        self._held = held
        self._progress = progress
        self._made: dict[str, _Made] = {}

    async def plan(self, is_wanted: Callable[[ImageConfig], bool]) -> list[Planned]:
        """The wanted images and all that they stand on, parents first; nothing is made yet.

        InvalidArgument for an archive that does not hold together.
        """
        names = legacy_archive.names(await self._spool.document(REPOSITORIES, REPOSITORIES))
        parents: dict[str, str] = {}
        wanted = []
        for old in legacy_archive.ids(self._spool.paths):
            said = await asyncio.to_thread(legacy_archive.read, await self._document(old))
            parents[old] = said.parent
            if is_wanted(said.made_for):
                wanted.append(old)
        legacy_archive.require_targets(names, parents)
        order = legacy_archive.parents_first(parents, wanted)
        below = {parents[old] for old in order}
        own = {old: names.get(old, []) for old in wanted}
        return [Planned(old, parents[old], own.get(old, []), old not in below) for old in order]

    async def candidate(self, planned: Planned) -> Candidate:
        """What an image becomes, its layer unpacked; after the candidate of its parent has become one."""
        blob, diff_id = await self._unpack(planned)
        parent = self._made.get(planned.parent)
        image = parent.image if parent else ""
        below = await self._content.read(image) if image else None
        stack = self._stack(planned.parent)
        diff_ids = [*(each.diff_id for each in stack), diff_id]
        own = await self._document(planned.old)
        raw = await asyncio.to_thread(legacy_archive.image_config, own, diff_ids, below)
        candidate = Candidate(
            raw_config=raw,
            config=await asyncio.to_thread(config.parse, raw),
            blobs=[*(each.blob for each in stack), blob],
            parent=image,
        )
        self._made[planned.old] = _Made(candidate.id, planned.parent, diff_id, blob)
        return candidate

    async def _unpack(self, planned: Planned) -> tuple[Blob, str]:
        """The blob of a layer, and the diff id that it turns out to have."""
        found = await self._spool.blob(f"{planned.old}/{LAYER}", "layer")
        chain = config.chain_ids([each.diff_id for each in self._stack(planned.parent)])
        meter = Meter(self._progress, planned.old, found.size)
        async with meter:
            applied = await self._layers.discover(
                self._held, self._content.path(found.digest), meter.count, chain[-1] if chain else ""
            )
            await meter.done()
        return Blob(digest=found.digest, size=found.size), applied.diff_id

    def _stack(self, old: str) -> list[_Made]:
        """An image and all below it, from the lowest up."""
        stack: list[_Made] = []
        while old:
            stack.append(self._made[old])
            old = stack[-1].parent
        return stack[::-1]

    async def _document(self, old: str) -> bytes:
        return await self._spool.document(f"{old}/{JSON}", "image JSON")
