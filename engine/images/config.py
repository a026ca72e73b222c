"""The config of an image: the document whose digest is the image's id.

The document itself is kept as a blob, byte for byte; what it says beyond these fields stays in there.
"""

import hashlib
from itertools import accumulate

import msgspec

import errdefs
from engine.containers.config import ContainerConfig
from engine.images import documents, timestamps
from engine.images.platforms import Platform

MAX_LAYERS = 125  # Docker's limit; overlayfs takes 500
_DIGITS = frozenset("0123456789abcdef")


class History(msgspec.Struct, omit_defaults=True, kw_only=True):
    """How one step came to be; `empty_layer` steps changed no file."""

    created: str = ""  # RFC 3339
    created_by: str = ""
    author: str = ""
    comment: str = ""
    empty_layer: bool = False


class RootFS(msgspec.Struct, kw_only=True):
    """The layers from the lowest up, each by the digest of its uncompressed tar."""

    type: str = "layers"
    diff_ids: list[str] = msgspec.field(default_factory=list)


class ImageConfig(msgspec.Struct, omit_defaults=True, kw_only=True):
    """An image config of Docker or OCI (image-spec v1, config.md; moby's image.Image)."""

    architecture: str = ""
    variant: str = ""
    os: str = ""
    os_version: str = msgspec.field(default="", name="os.version")
    os_features: list[str] | None = msgspec.field(default=None, name="os.features")
    created: str = ""  # RFC 3339
    author: str = ""
    comment: str = ""
    docker_version: str = ""
    container: str = ""
    container_config: ContainerConfig | None = None
    config: ContainerConfig | None = None
    history: list[History] = msgspec.field(default_factory=list)
    rootfs: RootFS | None = None

    @property
    def diff_ids(self) -> list[str]:
        """The layers from the lowest up; none for an image without files."""
        return self.rootfs.diff_ids if self.rootfs else []

    @property
    def platform(self) -> Platform:
        """What it is for; the system is Linux if it says none."""
        return Platform(os=self.os or "linux", architecture=self.architecture, variant=self.variant)

    @property
    def run(self) -> ContainerConfig:
        """What it gives to a container, empty where it says nothing."""
        return self.config or ContainerConfig()


def parse(raw: bytes) -> ImageConfig:
    """Read and check a config. InvalidArgument says what is wrong with it."""
    config = documents.read(raw, ImageConfig, "image config")
    if config.rootfs is None:
        raise errdefs.InvalidArgument("invalid image JSON, no RootFS key")
    _check_layers(config)
    for text in (config.created, *(step.created for step in config.history)):
        timestamps.parse(text)
    return config


def encode(config: ImageConfig) -> bytes:
    """The document of a config made here; its digest is the image's id."""
    document = msgspec.to_builtins(config)
    for section in ("config", "container_config"):
        if section in document:
            document[section] = _given(document[section])
    return msgspec.json.encode(document, order="deterministic")


def chain_ids(diff_ids: list[str]) -> list[str]:
    """The names of the snapshots, from the lowest up: sha256 of "parent's chain id, space, diff id"."""
    return list(accumulate(diff_ids, chain_id))


def chain_id(parent: str, diff_id: str) -> str:
    """The name of a snapshot on that of its parent, "" for none."""
    return digest_of(f"{parent} {diff_id}".encode()) if parent else diff_id


def digest_of(data: bytes) -> str:
    """The digest by which content is named."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def is_sha256(text: str) -> bool:
    """Whether this is a whole sha256 digest, the one kind that stores here name things by."""
    algorithm, _, encoded = text.partition(":")
    return algorithm == "sha256" and len(encoded) == 64 and _DIGITS.issuperset(encoded)


def _check_layers(config: ImageConfig) -> None:
    diff_ids = config.diff_ids
    if len(diff_ids) > MAX_LAYERS:
        raise errdefs.InvalidArgument(f"max depth exceeded: {len(diff_ids)} layers, {MAX_LAYERS} at most")
    for diff_id in diff_ids:
        if not is_sha256(diff_id):
            raise errdefs.InvalidArgument(f"invalid image config: {diff_id[:80]!r} is not a sha256 diff ID")
    if sum(not step.empty_layer for step in config.history) > len(diff_ids):
        raise errdefs.InvalidArgument("too many non-empty layers in History section")


def _given(section: dict[str, object]) -> dict[str, object]:
    """A container config, or its health check, without the fields that say nothing."""
    given = {name: value for name, value in section.items() if value not in (None, "", False, 0)}
    if isinstance(check := given.get("Healthcheck"), dict):
        given["Healthcheck"] = _given(check)
    return given
