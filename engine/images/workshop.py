"""What it takes to make images, for the parts of the engine that make some."""

from dataclasses import dataclass

from engine.events import Events
from engine.images.holds import BlobHolds
from engine.images.layers import Layers
from engine.images.registration import Registrar
from engine.images.store import ImageStore
from runtime.content.store import ContentStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """The stores that images lie in, and who registers what was made."""

    store: ImageStore
    content: ContentStore
    layers: Layers
    blobs: BlobHolds
    registrar: Registrar
    events: Events
