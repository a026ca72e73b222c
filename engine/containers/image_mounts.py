"""Images that a container mounts: read-only snapshots of its own, which keep the image in use."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import msgspec

import errdefs
from engine.containers.container import Container
from engine.containers.machinery import Machinery
from engine.images.image import Image
from engine.images.images import Images
from volumes.mount_point import IMAGE, MountPoint

PLACE = "image-"
"""What the names of their places begin with."""


def place(bound: Path, number: int) -> Path:
    """Where the image of a container's n-th mount point is mounted."""
    return bound / f"{PLACE}{number}"


def known(points: Iterable[MountPoint], container_id: str, machinery: Machinery) -> list[MountPoint]:
    """The mount points with their images by ID; NotFound for one that is not there: nothing is pulled."""
    bound = machinery.bound(container_id)
    return [
        msgspec.structs.replace(
            point,
            name=point.source,
            source=str(place(bound, number)),
            image=machinery.images.get(point.source).id,
            snapshot=f"{container_id}.image-{number}",
        )
        if point.type == IMAGE
        else point
        for number, point in enumerate(points)
    ]


def images_of(container: Container, images: Images) -> list[Image]:
    """The images that a container mounts, each once."""
    return [images.get(found) for found in sorted({point.image for point in container.mounts if point.image})]


async def make(container: Container, machinery: Machinery) -> None:
    """Make their snapshots; `remove` takes them away, also when this fails half way."""
    for point in container.mounts:
        if point.type == IMAGE:
            image = machinery.images.get(point.image)
            await machinery.snapshots.view(point.snapshot, image.chain_id or None)


async def remove(container: Container, machinery: Machinery) -> None:
    """Remove their snapshots, and the layers that these alone kept. Idempotent."""
    for point in container.mounts:
        if point.type == IMAGE:
            with suppress(errdefs.NotFound):
                parent = machinery.snapshots.info(point.snapshot).parent
                await machinery.snapshots.remove(point.snapshot)
                if parent:
                    await machinery.images.release(parent)
