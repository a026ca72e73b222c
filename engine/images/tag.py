"""Giving an image a name."""

import time

import msgspec

import errdefs
from engine import faults
from engine.events import Events
from engine.images.announce import announce
from engine.images.image import Image
from engine.images.reference import Reference
from engine.images.store import ImageStore

STEPS = ("save",)  # where the crash tests kill it
_AMBIGUOUS = "refusing to create an ambiguous tag using digest algorithm as name"


def require_tag(name: Reference) -> None:
    """Pass if a tag may be named so. InvalidArgument: `sha256:…` would be taken for an id."""
    if name.familiar_name == "sha256":
        raise errdefs.InvalidArgument(_AMBIGUOUS)
    if name.digest:
        raise errdefs.InvalidArgument("refusing to create a tag with a digest reference")


async def tag(store: ImageStore, events: Events, image: Image, name: Reference) -> None:
    """Name an image; whatever had the name loses it. InvalidArgument for a name that no tag can have."""
    require_tag(name)
    tagged = await store.save(msgspec.structs.replace(image, last_tagged=time.time_ns()), [name])
    faults.hit("tag.save")
    await announce(events, "tag", tagged, name.with_default_tag().familiar)
