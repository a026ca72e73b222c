"""Which images a list shows, and what it says of each."""

import time
from collections import Counter
from collections.abc import Callable

import msgspec

import errdefs
from engine.filters import Filters
from engine.images import moments
from engine.images.image import Image
from engine.images.reference import Reference
from engine.images.store import ImageStore
from engine.images.users import Users
from runtime import globs

FILTERS = frozenset({"dangling", "label", "label!", "before", "since", "reference", "until"})
Lookup = Callable[[str], Image]


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """An image in a list. `references` and `digests` are those that the filter lets through.

    `users` are the ids of all its containers; `shared_size` the bytes of layers that other images have too.
    """

    image: Image
    references: list[str]
    digests: list[str]
    users: list[str]
    shared_size: int


def list_images(
    store: ImageStore, users: Users, find: Lookup, filters: Filters, *, all_images: bool
) -> list[Listed]:
    """The images that pass, newest first. InvalidArgument or NotFound for filters that mean nothing."""
    filters.require_known(FILTERS)
    window = _window(filters, find)
    dangling = filters.boolean("dangling", default=False) if "dangling" in filters else None
    shares = Counter(layer.chain_id for image in store.all() for layer in image.layers)
    parents = {image.parent for image in store.all()}
    listed: list[Listed] = []
    for image in store.all():
        if not _passes(image, filters, window):
            continue
        names = _shown_names(store.names_of(image.id), filters)
        leaf = image.id not in parents
        if _visible(names, filters, dangling, leaf=leaf, all_images=all_images):
            listed.append(_listed(image, names, users, shares))
    return sorted(listed, key=lambda each: (each.image.created, each.image.id), reverse=True)


def _window(filters: Filters, find: Lookup) -> tuple[int | None, int | None]:
    """The times between which, both excluded, an image has to be created."""
    try:
        ends = [moments.parse(value, time.time_ns()) for value in filters.values("until")]
    except errdefs.InvalidArgument as error:
        raise errdefs.InvalidArgument(f"invalid value for 'until' filter: {error.message}") from None
    ends += [image.created for image in map(find, filters.values("before")) if image.config.created]
    starts = [image.created for image in map(find, filters.values("since")) if image.config.created]
    return max(starts, default=None), min(ends, default=None)


def _passes(image: Image, filters: Filters, window: tuple[int | None, int | None]) -> bool:
    since, before = window
    if window != (None, None) and not image.config.created:
        return False
    if since is not None and image.created <= since:
        return False
    if before is not None and image.created >= before:
        return False
    return filters.labels("label", image.labels) and not filters.any_label("label!", image.labels)


def _shown_names(names: list[Reference], filters: Filters) -> list[Reference]:
    patterns = filters.values("reference")
    if not patterns:
        return names
    return [name for name in names if any(fits(name, pattern) for pattern in patterns)]


def fits(name: Reference, pattern: str) -> bool:
    """Whether a name passes the filter `reference`. InvalidArgument for what is no pattern."""
    forms = (name.familiar, name.familiar_name, name.canonical, name.name)
    return any(globs.matches(pattern, form) for form in forms)


def _visible(
    names: list[Reference], filters: Filters, dangling: bool | None, *, leaf: bool, all_images: bool
) -> bool:
    if dangling and not leaf:
        return False
    if names:
        return not (dangling and any(name.tag for name in names))
    return (all_images or leaf) and dangling is not False and "reference" not in filters


def _listed(image: Image, names: list[Reference], users: Users, shares: Counter[str]) -> Listed:
    return Listed(
        image=image,
        references=[name.familiar for name in names if name.tag],
        digests=[name.familiar for name in names if name.digest],
        users=[user.id for user in users(image.id)],
        shared_size=sum(layer.size for layer in image.layers if shares[layer.chain_id] > 1),
    )
