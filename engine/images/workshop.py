"""What it takes to make images, for the parts of the engine that make some."""

from typing import Protocol

import msgspec

from engine.events import Events
from engine.images.holds import BlobHolds
from engine.images.layers import Layers
from engine.images.registration import Registrar
from engine.images.store import ImageStore
from runtime.content.store import ContentStore


class Keeper(Protocol):
    """Who else refers to layers and blobs: they stay for it as for an image."""

    def layers(self) -> set[str]:
        """Chain ids."""

    def blobs(self) -> set[str]:
        """Digests."""


class Nobody:
    """A `Keeper` of nothing."""

    def layers(self) -> set[str]:
        """None."""
        return set()

    def blobs(self) -> set[str]:
        """None."""
        return set()


class Workshop(msgspec.Struct, frozen=True, kw_only=True):
    """The stores that images lie in, and who registers what was made."""

    store: ImageStore
    content: ContentStore
    layers: Layers
    blobs: BlobHolds
    registrar: Registrar
    events: Events
