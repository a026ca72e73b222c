"""The steps by which an image came to be."""

import msgspec

from engine.images import timestamps
from engine.images.image import Image
from engine.images.store import ImageStore

_MISSING = "<missing>"


class Step(msgspec.Struct, kw_only=True):
    """A step of an image, `created` in Unix seconds; `id` is an image's where one is known for the step."""

    id: str = _MISSING
    created: int
    created_by: str
    comment: str
    size: int
    tags: list[str] | None = None


def history(image: Image, store: ImageStore) -> list[Step]:
    """The steps, the latest first."""
    sizes = iter([layer.size for layer in image.layers])
    steps = [
        Step(
            created=timestamps.parse(each.created) // 10**9,
            created_by=each.created_by,
            comment=each.comment,
            size=0 if each.empty_layer else next(sizes),
        )
        for each in image.config.history
    ]
    steps.reverse()
    ancestor: Image | None = image
    for step in steps:
        if ancestor is None:
            break
        step.id = ancestor.id
        step.tags = ancestor.references or None
        ancestor = store.find(ancestor.parent)
    return steps
