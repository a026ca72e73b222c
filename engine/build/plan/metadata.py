"""What planning has to ask of images."""

from typing import Protocol

import msgspec

from engine.build.steps import ImageSource
from engine.images.config import ImageConfig
from engine.images.platforms import Platform
from engine.images.reference import Reference


class Base(msgspec.Struct, frozen=True, kw_only=True):
    """An image that a stage stands on, or that files come from: `source` is None for one without layers.

    `shown` is its canonical name, with the digest where a registry told it.
    """

    source: ImageSource | None
    shown: str
    config: ImageConfig


class Metadata(Protocol):
    """Asks the images that are here, and registries."""

    async def image(self, name: Reference, platform: Platform, label: str) -> Base:
        """The image that a name means for a platform; `label`, "[internal]", begins the name of the vertex that tells.

        NotFound and others in Docker's words.
        """

    def local(self, text: str) -> Base | None:
        """The image that is here with this id, or one that begins so; None for none."""

    async def layout(self, store: str, name: Reference, platform: Platform, label: str) -> Base:
        """The image in a layout of the client, by a name with its digest; `label` as for `image`."""

    async def input(self, name: str) -> Base:
        """The result of another build. NotFound if there is none of that name."""
