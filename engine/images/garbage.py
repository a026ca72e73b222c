"""Which images go when the disk fills up: from facts to a list. Pure."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable

import msgspec

import errdefs
from engine.config.image_gc import ImageGC
from engine.filters import Filters
from engine.images import listing, reference
from engine.images.image import Image


class Disk(msgspec.Struct, frozen=True, kw_only=True):
    """A filesystem: bytes that are used, and bytes that are to be had."""

    used: int
    free: int

    @property
    def percent(self) -> float:
        """How full it is, as `df` counts."""
        return 100 * self.used / max(self.used + self.free, 1)

    def excess(self, policy: ImageGC) -> int:
        """The bytes that have to go, 0 below the high watermark."""
        if self.percent < policy.high:
            return 0
        return self.used - (self.used + self.free) * policy.low // 100


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """An image to be removed, and the bytes that are free then, if those before it were removed."""

    image: Image
    frees: int
    last_use: int  # Unix nanoseconds


def choose(
    images: Iterable[Image], users: Callable[[Image], Collection[str]], policy: ImageGC, excess: int, now: int
) -> list[Choice]:
    """The images to be removed so that `excess` bytes are free, or as many as there can be, in order.

    Those that were not used for the longest go first, each after the images that were built on it. `users` tells
    the containers of an image; `now` is in Unix nanoseconds.
    """
    left = {image.id: image for image in images}
    shares = Counter(part for image in left.values() for part in _parts(image))
    going: list[Choice] = []
    while excess > 0:
        parents = {image.parent for image in left.values()}
        idle = [
            image
            for image in left.values()
            if image.id not in parents and not users(image) and _may_go(image, policy, now)
        ]
        if not idle:
            break
        image = min(idle, key=lambda each: (last_use(each), each.id))
        del left[image.id]
        parts = _parts(image)
        shares.subtract(parts.keys())
        frees = sum(size for part, size in parts.items() if not shares[part])
        going.append(Choice(image=image, frees=frees, last_use=last_use(image)))
        excess -= frees
    return going


def last_use(image: Image) -> int:
    """When something was last wanted of it, in Unix nanoseconds."""
    return max(image.made, image.last_tagged, image.last_used)


def _may_go(image: Image, policy: ImageGC, now: int) -> bool:
    return now - last_use(image) >= policy.min_age * 1e9 and not any(
        _is_kept(image, keep) for keep in policy.keep
    )


def _is_kept(image: Image, keep: str) -> bool:
    if keep.startswith("label="):
        return Filters.of(label=[keep.removeprefix("label=")]).labels("label", image.labels)
    names = [reference.parse(name) for name in (*image.references, *image.digests)]
    try:
        return any(listing.fits(name, keep) for name in names)
    except errdefs.InvalidArgument:  # no pattern: better to keep too much
        return True


def _parts(image: Image) -> dict[str, int]:
    """The bytes of its blobs and of its layers, by names that no two things have in common."""
    layers = {f"layer {layer.chain_id}": layer.size for layer in image.layers}
    return {**image.content, **layers}
