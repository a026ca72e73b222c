"""The record of an image: what its config says, where its layers are, and the names it goes by."""

import msgspec

from engine.images import config, timestamps
from engine.images.config import ImageConfig
from engine.images.layouts import Descriptor
from engine.images.platforms import Platform


class Layer(msgspec.Struct, frozen=True, kw_only=True):
    """A layer: the snapshot `chain_id`, and the blob it came as, compressed or not. Sizes are bytes."""

    diff_id: str
    chain_id: str
    size: int  # of its files, unpacked
    blob: str  # digest
    blob_size: int
    media_type: str


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """An image. Its id is the digest of its config, which is a blob, as is the manifest.

    Immutable: a change of its names makes another record of the same id.
    """

    id: str
    config: ImageConfig
    layers: list[Layer]
    manifest: str  # digest
    manifest_type: str = ""  # media type
    manifest_size: int = 0  # bytes; 0 in records of before it was noted
    config_size: int = 0  # bytes
    made: int  # Unix nanoseconds, when it came to be here
    parent: str = ""  # id of the image that it was built on here
    last_tagged: int = 0  # Unix nanoseconds, 0 if it never was
    last_used: int = (
        0  # Unix nanoseconds, about: when a container of it was made or removed, or it was pulled again
    )
    repositories: list[str] = msgspec.field(
        default_factory=list
    )  # canonical, those it was pulled from or pushed to
    references: list[str] = msgspec.field(default_factory=list)  # familiar tags, ordered
    digests: list[str] = msgspec.field(default_factory=list)  # familiar repo digests, ordered

    @property
    def chain_id(self) -> str:
        """The snapshot that containers start from, "" for an image without files."""
        return self.layers[-1].chain_id if self.layers else ""

    @property
    def size(self) -> int:
        """Bytes of all its layers, unpacked."""
        return sum(layer.size for layer in self.layers)

    @property
    def content_size(self) -> int:
        """Bytes of all content that belongs to it, as it is stored."""
        return sum(self.content.values())

    @property
    def descriptor(self) -> Descriptor:
        """Of its manifest."""
        return Descriptor(media_type=self.manifest_type, digest=self.manifest, size=self.manifest_size)

    @property
    def created(self) -> int:
        """Unix nanoseconds, 0 where the config says none."""
        return timestamps.parse(self.config.created)

    @property
    def created_text(self) -> str:
        """When it was created as inspect shows it, "" where the config says nothing."""
        return timestamps.tidy(self.config.created)

    @property
    def comment(self) -> str:
        """Its comment, or that of its last step."""
        history = self.config.history
        return self.config.comment or (history[-1].comment if history else "")

    @property
    def platform(self) -> Platform:
        """What it is for, as its config says."""
        made_for = self.config
        return Platform(
            os=made_for.os or "linux", architecture=made_for.architecture, variant=made_for.variant
        )

    @property
    def labels(self) -> dict[str, str]:
        """The labels that containers of it inherit."""
        return self.config.run.labels or {}

    @property
    def blobs(self) -> set[str]:
        """Digests of all content that belongs to it."""
        return set(self.content)

    @property
    def content(self) -> dict[str, int]:
        """The bytes of all content that belongs to it, by digest; 0 in records of before they were noted."""
        layers = {layer.blob: layer.blob_size for layer in self.layers}
        return {**layers, self.id: self.config_size, self.manifest: self.manifest_size}

    def known_to(self, repository: str) -> "Image":
        """The record with one more repository that has it."""
        if repository in self.repositories:
            return self
        return msgspec.structs.replace(self, repositories=sorted({*self.repositories, repository}))

    @property
    def chains(self) -> list[str]:
        """Its snapshots from the lowest up."""
        return config.chain_ids(self.config.diff_ids)
