"""What image archives say of themselves, as values: manifest.json of docker-archive, the OCI image layout."""

import math
import posixpath
from collections.abc import Sequence

import msgspec

import errdefs
from engine.images import config, documents, reference
from engine.images.platforms import Platform, matches, rank
from engine.images.reference import Reference

MANIFEST = "manifest.json"
INDEX = "index.json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"

_INDEXES = frozenset(
    {
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    }
)
_MANIFESTS = frozenset(
    {
        OCI_MANIFEST,
        "application/vnd.docker.distribution.manifest.v2+json",
    }
)
_SCHEMA_1 = frozenset(
    {
        "application/vnd.docker.distribution.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
    }
)
_IMAGE_NAME = "io.containerd.image.name"
_REF_NAME = "org.opencontainers.image.ref.name"
_REFERENCE_TYPE = "vnd.docker.reference.type"


class ArchivedImage(msgspec.Struct, rename="pascal", kw_only=True):
    """An entry of manifest.json: paths of members, and the tags the image had."""

    config: str = ""
    repo_tags: list[str] = msgspec.field(default_factory=list)
    layers: list[str] = msgspec.field(default_factory=list)
    parent: str = ""


class Descriptor(msgspec.Struct, rename="camel", kw_only=True, omit_defaults=True):
    """A pointer to content, by its digest and size in bytes."""

    media_type: str = ""
    digest: str = ""
    size: int = 0
    platform: Platform | None = None
    annotations: dict[str, str] = msgspec.field(default_factory=dict)

    @property
    def is_index(self) -> bool:
        """Whether it points to an index of further manifests."""
        return self.media_type in _INDEXES

    @property
    def is_attestation(self) -> bool:
        """Whether it is about an image rather than one (buildkit's provenance and SBOMs)."""
        return self.annotations.get(_REFERENCE_TYPE) == "attestation-manifest"

    @property
    def path(self) -> str:
        """The member of an OCI layout that it points to. InvalidArgument unless it is by sha256."""
        if not config.is_sha256(self.digest):
            raise errdefs.InvalidArgument(f"invalid archive: {self.digest[:80]!r} is not a sha256 digest")
        return blob_path(self.digest)


class Manifest(msgspec.Struct, rename="camel", kw_only=True, omit_defaults=True):
    """An image manifest: its config and its layers from the lowest up."""

    schema_version: int = 0  # 2 of what is to be read by others
    media_type: str = ""
    config: Descriptor = msgspec.field(default_factory=Descriptor)
    layers: list[Descriptor] = msgspec.field(default_factory=list)


def blob_path(digest: str) -> str:
    """The member of an OCI layout that a sha256 digest names."""
    return "blobs/sha256/" + digest.removeprefix("sha256:")


def name_annotations(name: Reference) -> dict[str, str]:
    """What an entry of index.json says of its tag: `name_of` reads it back."""
    return {_IMAGE_NAME: name.canonical, _REF_NAME: name.tag}


def archived_images(raw: bytes) -> list[ArchivedImage]:
    """The images of a manifest.json. InvalidArgument, in Docker's words where it has some."""
    document = documents.decode(raw, "archive: failed to decode manifest.json")
    if document is None:
        raise errdefs.InvalidArgument("invalid manifest, manifest cannot be null (but can be [])")
    return documents.shape(document, list[ArchivedImage], "archive: failed to decode manifest.json")


def tags(names: Sequence[str]) -> list[Reference]:
    """The references that an archive's tags are. InvalidArgument for a text that is no tag."""
    found = [reference.parse(name) for name in names]
    for name, each in zip(names, found, strict=True):
        if not each.tag or each.digest:
            raise errdefs.InvalidArgument(f'invalid tag "{name}"')
    return found


def descriptors(raw: bytes, what: str) -> list[Descriptor]:
    """The manifests of an index. InvalidArgument for a document that could be read as a manifest as well."""
    document = _unambiguous(documents.decode(raw, what), what)
    if "manifests" not in document:
        raise errdefs.InvalidArgument(f"invalid {what}: it has no manifests")
    return documents.shape(document["manifests"], list[Descriptor], what)


def manifest(raw: bytes, what: str) -> Manifest:
    """A manifest. InvalidArgument for a document that could be read as an index as well (CVE-2021-41190)."""
    document = _unambiguous(documents.decode(raw, what), what)
    if document.get("mediaType") not in (None, "", *_MANIFESTS):
        raise errdefs.InvalidArgument(f"invalid {what}: media type {document['mediaType']!r} is no image")
    return documents.shape(document, Manifest, what)


def is_index(raw: bytes, media_type: str) -> bool:
    """Whether a document is an index by the type it came with, or that it gives itself."""
    if media_type in _INDEXES or media_type in _MANIFESTS:
        return media_type in _INDEXES
    document = documents.decode(raw, "image manifest")
    return isinstance(document, dict) and document.get("mediaType") in _INDEXES


def is_schema_1(raw: bytes, media_type: str) -> bool:
    """Whether a document is a manifest of Docker's first schema."""
    if media_type in _SCHEMA_1:
        return True
    document = documents.decode(raw, "image manifest")
    return isinstance(document, dict) and document.get("schemaVersion") == 1


def media_type(manifest: Manifest) -> str:
    """What a manifest is, also one that does not say it."""
    return manifest.media_type or OCI_MANIFEST


def name_of(descriptor: Descriptor) -> Reference | None:
    """The tag under which an entry of index.json was stored, if it says one that is whole."""
    name = descriptor.annotations.get(_IMAGE_NAME, "")
    if not name:
        name = descriptor.annotations.get(_REF_NAME, "")
        if "/" not in name and ":" not in name:
            return None  # a tag without its repository, as skopeo writes it
    found = reference.parse(name).stored()
    return None if found.digest else found


def choose(candidates: Sequence[Descriptor], platform: Platform) -> Descriptor:
    """The manifest of an index for a platform, or else its first image. InvalidArgument if it has none."""
    images = [each for each in candidates if not each.is_attestation]
    if not images:
        raise errdefs.InvalidArgument("invalid archive: an index without images")
    return next((each for each in images if each.platform and matches(each.platform, platform)), images[0])


def serving(candidates: Sequence[Descriptor], platform: Platform) -> Descriptor | None:
    """The manifest of an index that serves a platform best, None if none does.

    What does not say what it is for serves whom nothing else does, as in Docker: the field may be left out.
    """
    ranked: list[tuple[float, int]] = []
    for position, each in enumerate(candidates):
        told = each.platform if each.platform != Platform() else None
        place = rank(told, platform) if told else math.inf
        if place is not None and not each.is_attestation:
            ranked.append((place, position))
    return candidates[min(ranked)[1]] if ranked else None


def member_path(name: str) -> str:
    """A member's name in one form: no leading or doubled slashes. InvalidArgument if it leads out."""
    if "\0" in name or len(name) > 4096:
        raise errdefs.InvalidArgument("invalid archive: invalid member name")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise errdefs.InvalidArgument(f"invalid archive: {name[:200]!r} leads out of the archive")
    return "/".join(parts)


def link_path(member: str, target: str) -> str:
    """What a symbolic link of the archive names. InvalidArgument if that is outside of the archive."""
    resolved = posixpath.normpath(posixpath.join(posixpath.dirname(member), target))
    if target.startswith("/"):
        raise errdefs.InvalidArgument(f"invalid archive: {member[:200]!r} is a link out of the archive")
    return member_path(resolved)


def _unambiguous(document: object, what: str) -> dict[str, object]:
    if not isinstance(document, dict):
        raise errdefs.InvalidArgument(f"invalid {what}: it is no object")
    members: dict[str, object] = {str(key): value for key, value in document.items()}
    keys = {key.lower() for key in members}
    if "manifests" in keys and keys & {"layers", "config", "fslayers"}:
        raise errdefs.InvalidArgument(f"invalid {what}: it has both manifests and layers")
    return members
