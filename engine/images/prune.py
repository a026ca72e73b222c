"""Removing all images that nothing needs."""

import logging
from collections.abc import Iterable

import msgspec

import errdefs
from engine import faults
from engine.events import Events
from engine.filters import Filters
from engine.images.image import Image
from engine.images.images import Images
from engine.images.listing import Listed
from engine.images.remove import Removed
from engine.prune import Turn, until

_log = logging.getLogger(__name__)

STEPS = ("image", "collected")  # where the crash tests kill it
FILTERS = frozenset(("dangling", "label", "label!", "until"))


class Pruned(msgspec.Struct):
    """What went, in Docker's order, and the bytes that are free again: of layers, blobs, and what pulls left."""

    removed: list[Removed] = msgspec.field(default_factory=list)
    reclaimed: int = 0


class ImagePrune:
    """The door to it; one at a time."""

    def __init__(self, images: Images, events: Events) -> None:
        self._images = images
        self._events = events
        self._turn = Turn()

    async def prune(self, filters: Filters) -> Pruned:
        """Remove images without a name, or with `dangling=false` all that no container uses; and what pulls left.

        InvalidArgument for filters that mean nothing, Conflict while another prune works.
        """
        with self._turn:
            filters.require_known(FILTERS)
            dangling = filters.boolean("dangling", default=True)
            until(filters)
            everything = [each.image for each in self._images.list(Filters(), all_images=True)]
            pruned = Pruned()
            for listed in self._images.list(filters.without("dangling")):
                for name in names_to_go(listed, everything, dangling=dangling):
                    await self._remove(name, pruned)
            for lost in self._images.lost():
                if not filters.without("dangling") and not (dangling and lost.references):
                    await self._remove(lost.id, pruned)
            pruned.reclaimed += await self._images.collect()
            faults.hit("prune.collected")
            await self._events.publish("image", "prune", "", {"reclaimed": str(pruned.reclaimed)})
        return pruned

    async def _remove(self, name: str, pruned: Pruned) -> None:
        try:
            removed, freed = await self._images.reclaim(name)
        except (errdefs.Conflict, errdefs.NotFound):  # in use, or gone by an earlier removal
            return
        except errdefs.WherryError as error:
            _log.warning("image %s is not pruned: %s", name, error)
            return
        pruned.removed += removed
        pruned.reclaimed += freed
        faults.hit("prune.image")


def names_to_go(listed: Listed, everything: Iterable[Image], *, dangling: bool) -> list[str]:
    """By what an image is to be removed: its names, its ID when it has none, [] when it stays. Pure."""
    image = listed.image
    if dangling and (listed.references or any(each.parent == image.id for each in everything)):
        return []
    return [*listed.references, *listed.digests] or [image.id]
