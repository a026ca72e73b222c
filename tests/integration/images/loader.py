"""A process that does one thing with images, to be killed: python -m … ROOT load|import|commit|remove FILE|NAME."""

import asyncio
import sys
from pathlib import Path

from engine import faults
from engine.containers.config import ContainerConfig
from engine.images.commit import Commit, LayerWriter
from tests.integration.images.place import Place, chunks, written


async def commit(place: Place, layer: LayerWriter) -> None:
    """Make "child" of the image "made" and a layer."""
    asked = Commit(
        parent=place.images.get("made").id,
        container="c0ffee",
        container_config=ContainerConfig(cmd=["sh"]),
        config=ContainerConfig(),
        author="",
        comment="",
    )
    await place.images.commit(asked, layer, place.images.require_name("child", ""), read=nothing)


async def nothing() -> None:
    """What there is to do when the layer was read."""


async def main(root: Path, verb: str, argument: str, archive: bytes) -> None:
    """Say "ready" on standard output, then do it, then say "done"."""
    place = await Place.open(root)
    print("ready", flush=True)
    if verb == "load":
        await place.images.load(chunks(archive, 16384))
    elif verb == "import":
        await place.images.import_(chunks(archive, 16384), repo="made")
    elif verb == "commit":
        await commit(place, written(chunks(archive, 16384)))
    else:
        await place.images.remove(argument)
    print("done", flush=True)
    await place.close()


if __name__ == "__main__":
    faults.arm()
    root, verb, argument = sys.argv[1:]
    asyncio.run(main(Path(root), verb, argument, b"" if verb == "remove" else Path(argument).read_bytes()))
