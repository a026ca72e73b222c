"""What a crash left half done with a volume is done or undone."""

import asyncio
from typing import TYPE_CHECKING

import msgspec

from engine.volumes import copy_up
from volumes.driver import Driver
from volumes.volume import Phase, Volume

if TYPE_CHECKING:
    from engine.volumes.volumes import Volumes


async def one(volumes: "Volumes", driver: Driver, volume: Volume) -> None:
    """Under the volume's lock: what no container came to need goes, everything else is completed.

    What was being filled is a directory of this host's own: no other is noted to be.
    """
    used = not volumes.unused(volume)
    if volume.phase is Phase.REMOVING or (volume.phase is Phase.NEW and not used):
        await volumes.discard(volume)
        return
    if volume.phase is Phase.FILLING and not used:
        await asyncio.to_thread(copy_up.empty, await driver.mount(volume, ""), volumes.owner)
    else:
        await driver.create(volume.name, volume.options)
    await volumes.save(msgspec.structs.replace(volume, phase=Phase.SETTLED), durable=False)
