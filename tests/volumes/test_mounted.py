"""Uses that are noted."""

import asyncio
import os
from pathlib import Path

from engine.volumes.mounted import Mounted, Use


async def test_who_is_cancelled_while_it_notes_a_use_has_noted_it(tmp_path: Path) -> None:
    """Else the file comes after all, for a use that nobody ends."""
    mounted, use = Mounted(tmp_path), Use(volume="vol", user="user", container="box")
    os.mkfifo(tmp_path / ".user")  # is not written before somebody reads
    async with asyncio.TaskGroup() as tasks:
        adding = tasks.create_task(mounted.add(use))
        await asyncio.sleep(0)
        adding.cancel()
        await asyncio.sleep(0)
        assert b"vol" in await asyncio.to_thread((tmp_path / ".user").read_bytes)
    assert adding.cancelled()
    assert mounted.all() == [use]
    await mounted.drop(use)
    assert os.listdir(tmp_path) == []
