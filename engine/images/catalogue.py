"""What images there are: found by a name, listed and counted. Nothing here changes one."""

import asyncio

import errdefs
from engine.filters import Filters
from engine.images import platforms, reference
from engine.images.history import Step, history
from engine.images.image import Image
from engine.images.listing import Listed, list_images
from engine.images.store import ImageStore
from engine.images.users import Users


class Catalogue:
    """The images of a store, and the containers that `users` tells of."""

    def __init__(self, store: ImageStore, users: Users) -> None:
        self._store = store
        self._users = users

    def get(self, name: str) -> Image:
        """The image by name, id, or unique beginning of an id. NotFound: "No such image: x:latest"."""
        found = reference.parse_any(name)
        if isinstance(found, str):
            image, shown = self._store.find(found), found
        else:
            image, shown = self._store.named(found), found.with_default_tag().familiar
        candidates = [image] if image else self._store.by_prefix(name)
        if len(candidates) != 1:
            raise errdefs.NotFound(f"No such image: {shown}")
        return candidates[0]

    def require_platform(self, image: Image, platform: str) -> None:
        """Pass if an image serves the asked platform ("" for any). InvalidArgument or NotFound otherwise."""
        if platform:
            shown = image.references[0] if image.references else image.id
            platforms.require(image.platform, platforms.parse(platform), shown)

    def users(self, image: Image) -> list[str]:
        """The ids of its containers."""
        return [user.id for user in self._users(image.id)]

    @property
    def grown(self) -> asyncio.Event:
        """Set whenever an image was recorded; cleared by who waits for that."""
        return self._store.grown

    def lost(self) -> list[Image]:
        """The images of which content is gone; they are not in lists, and can be removed, pulled and loaded."""
        return self._store.lost()

    def warnings(self) -> list[str]:
        """What somebody should look after, as `docker info` shows it."""
        return [
            f"WARNING: the image {', '.join(image.references) or image.id} has lost content:"
            " load or pull it again, or remove it"
            for image in self.lost()
        ]

    def count(self) -> int:
        """How many images there are."""
        return len(self._store.all())

    def history(self, name: str) -> list[Step]:
        """The steps by which an image came to be, the latest first."""
        return history(self.get(name), self._store)

    def list(self, filters: Filters, *, all_images: bool = False) -> list[Listed]:
        """The images that pass the filters, newest first; without `all_images` no steps of others."""
        return list_images(self._store, self._users, self.get, filters, all_images=all_images)
