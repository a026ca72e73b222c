"""Garbage collection by itself: what `image-gc` in daemon.json asks for. Off unless it does."""

import asyncio
import contextlib
import logging
import os
import time
from pathlib import Path

import errdefs
from engine import faults
from engine.config.image_gc import ImageGC
from engine.filters import Filters
from engine.images.garbage import Choice, Disk, choose
from engine.images.images import Images

_log = logging.getLogger(__name__)
STEPS = ("collected", "image")  # where the crash tests kill it
_EVERY = 300.0  # seconds between two looks at the disk, if no image comes meanwhile


class Collector:
    """Looks at the disk now and then, and whenever an image came. `close` ends it."""

    def __init__(self, images: Images, data_root: Path, policy: ImageGC | None) -> None:
        """Begin, on the running loop."""
        self._images = images
        self._data_root = data_root
        self._policy = policy
        self._is_short = False
        self._task = asyncio.get_running_loop().create_task(self._run(), name="image-gc")

    def configure(self, policy: ImageGC | None) -> None:
        """Go by this from now on; None for not at all."""
        self._policy = policy
        self._images.grown.set()

    async def close(self) -> None:
        """End it; a removal that goes on is completed by the next start."""
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._images.grown.wait(), _EVERY if self._policy else None)
            self._images.grown.clear()
            if self._policy is not None:
                try:
                    await self.look(self._policy)
                except Exception:  # noqa: BLE001 - the top frame of a task
                    _log.error("image-gc: looking at the disk failed", exc_info=True)

    async def look(self, policy: ImageGC) -> None:
        """Make room, if the disk is too full."""
        disk = await asyncio.to_thread(_disk, self._data_root)
        if not disk.excess(policy):
            self._is_short = False
            return
        full = disk.percent
        if freed := await self._images.collect(policy.min_age):
            _log.info(
                "image-gc: the disk is %.0f%% full: gave back %d bytes that no image needs", full, freed
            )
        faults.hit("gc.collected")
        disk = await asyncio.to_thread(_disk, self._data_root)
        everything = [each.image for each in self._images.list(Filters(), all_images=True)]
        going = choose(everything, self._images.users, policy, disk.excess(policy), time.time_ns())
        for choice in going:
            await self._remove(choice, full)
        if not going and disk.excess(policy) and not self._is_short:
            self._is_short = True
            _log.warning("image-gc: the disk is %.0f%% full, and no image may be removed", full)

    async def _remove(self, choice: Choice, full: float) -> None:
        image = choice.image
        names = [*image.references, *image.digests] or [image.id]
        shown = ", ".join(names)
        try:
            freed = 0
            for name in names:
                freed += (await self._images.reclaim(name, prune=False))[1]
        except errdefs.WherryError as error:  # used meanwhile, or gone
            _log.info("image-gc: the image %s stays: %s", shown, error)
            return
        _log.info(
            "image-gc: the disk is %.0f%% full: removed the image %s, which nobody has used since %s, %d bytes",
            *(full, shown, time.strftime("%FT%TZ", time.gmtime(choice.last_use // 1_000_000_000)), freed),
        )
        faults.hit("gc.image")


def _disk(root: Path) -> Disk:
    found = os.statvfs(root)
    return Disk(used=(found.f_blocks - found.f_bfree) * found.f_frsize, free=found.f_bavail * found.f_frsize)
