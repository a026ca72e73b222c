"""A look at an image where it lies: what its name means there, and for which platforms it is."""

import msgspec

import errdefs
from engine.images import documents
from engine.images.reference import Reference
from engine.registry.repository import Repository

_INDEXES = frozenset(
    {
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    }
)
_OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_SCHEMA_1 = frozenset(
    {
        "application/vnd.docker.distribution.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
    }
)
_MAX_CONFIG = 4 << 20


class OfferedPlatform(msgspec.Struct, kw_only=True):
    """A platform as a registry names it."""

    architecture: str = ""
    os: str = ""
    os_version: str = msgspec.field(default="", name="os.version")
    os_features: list[str] = msgspec.field(default_factory=list, name="os.features")
    variant: str = ""


class Inspected(msgspec.Struct, frozen=True):
    """What a name means; `platforms` is None where the manifest's kind does not tell any."""

    media_type: str
    digest: str
    size: int
    platforms: list[OfferedPlatform] | None


class _Target(msgspec.Struct, rename="camel", kw_only=True):
    digest: str = ""
    size: int = 0
    platform: OfferedPlatform | None = None


class _Document(msgspec.Struct, rename="camel", kw_only=True):
    media_type: str = ""
    config: _Target | None = None
    manifests: list[_Target] = msgspec.field(default_factory=list)


async def inspect(repository: Repository) -> Inspected:
    """The image that the repository's reference names, its tag `latest` by default. Errors as of `Repository`.

    InvalidArgument for what is no image.
    """
    reference = repository.reference.with_default_tag()
    looked = None if reference.digest else await repository.head(reference.tag)
    found = await repository.manifest(looked.digest if looked else reference.digest)
    document = documents.read(found.raw, _Document, "manifest")
    media_type = document.media_type or found.media_type
    if media_type in _SCHEMA_1:
        raise schema1_refused(reference)
    if media_type not in (*_INDEXES, _OCI_MANIFEST, _DOCKER_MANIFEST):
        raise errdefs.InvalidArgument(f"unsupported manifest media type: {media_type[:100]}")
    platforms: list[OfferedPlatform] | None = None
    if media_type in _INDEXES:
        platforms = [each.platform or OfferedPlatform() for each in document.manifests] or None
    elif media_type == _DOCKER_MANIFEST and document.config is not None:
        platforms = await _of_config(repository, document.config)
    return Inspected(media_type, found.digest, looked.size if looked else found.size, platforms)


async def _of_config(repository: Repository, config: _Target) -> list[OfferedPlatform] | None:
    """What an image's config says; a config that cannot be had says nothing, as in Docker."""
    if not 0 < config.size <= _MAX_CONFIG:
        return None
    try:
        async with repository.blob(config.digest, size=config.size) as blob:
            raw = b"".join([chunk async for chunk in blob])
        platform = documents.read(raw, OfferedPlatform, "image config")
    except errdefs.WherryError:
        return None
    return [platform] if platform.os or platform.architecture else None


def schema1_refused(reference: Reference) -> errdefs.InvalidArgument:
    """The failure for a manifest of the kind that went out of use in 2017."""
    return errdefs.InvalidArgument(
        "Docker Image Format v1 and Docker Image manifest version 2, schema 1 support has been removed. Suggest the"
        f" author of {reference.canonical} to upgrade the image to the OCI Format or Docker Image manifest v2, schema"
        " 2. More information at https://docs.docker.com/go/deprecated-image-specs/"
    )
