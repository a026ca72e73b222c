"""From a name in a registry to the documents of the image that it means for a platform."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

import errdefs
from engine.images import config, documents, layouts, platforms
from engine.images.layouts import Descriptor, Manifest
from engine.images.platforms import Platform
from engine.images.reference import Reference, validate_digest
from engine.registry.errors import Transient
from engine.registry.failures import Unreachable
from engine.registry.origin import Fetched, Origin

_T = TypeVar("_T")
_MAX_INDEXES = 4  # one in the other
_ATTEMPTS = 4
_PATIENCE = 0.5  # seconds more before each further attempt
_CONFIGS = frozenset(
    {
        "",
        "application/octet-stream",
        "application/vnd.docker.container.image.v1+json",
        "application/vnd.oci.image.config.v1+json",
    }
)
_PLUGIN = "application/vnd.docker.plugin.v1+json"
_OF_IMAGES = ("application/vnd.oci.image.", "application/vnd.docker.")
_OLD_TYPES = frozenset({"", "application/json", "application/octet-stream", "text/html"})  # of long ago


async def digest_of(repository: Origin, name: Reference) -> str:
    """The digest that a tag stands for, or the one of the name. Who does not answer at all is asked once.

    By HEAD, which registries that count pulls do not count.
    """
    if name.digest:
        return name.digest
    return (await patiently(partial(repository.head, name.tag), even_unreachable=False)).digest


async def look_up(repository: Origin, digest: str) -> Fetched:
    """What a digest names."""
    return await patiently(partial(repository.manifest, digest), even_unreachable=False)


async def for_platform(
    repository: Origin, found: Fetched, platform: Platform | None, name: Reference
) -> Fetched:
    """The manifest itself, or the one of an index that serves the platform best; None is this machine at its best.

    NotFound if none does, InvalidArgument for what is no image or of Docker's first schema.
    """
    for _ in range(_MAX_INDEXES):
        served = await documents.off_loop(_served, found.raw, found.media_type, platform, name)
        if served is None:
            return found
        found = await patiently(partial(repository.manifest, served))
    raise errdefs.InvalidArgument("invalid image index: too many indexes, one in the other")


def _served(raw: bytes, media_type: str, platform: Platform | None, name: Reference) -> str | None:
    """The digest that an index has for a platform; None for a manifest."""
    if layouts.is_schema_1(raw, media_type):
        raise errdefs.InvalidArgument(
            "[DEPRECATION NOTICE] Docker Image Format v1 and Docker Image manifest version 2, schema 1 support "
            f"is not there any more. Suggest the author of {name.canonical} to upgrade the image to the OCI "
            "Format or Docker Image manifest v2, schema 2. More information at "
            "https://docs.docker.com/go/deprecated-image-specs/"
        )
    if not layouts.is_index(raw, media_type):
        return None
    served = layouts.serving(layouts.descriptors(raw, "image index"), platform or platforms.capable())
    if served is None:
        raise errdefs.NotFound(
            f"no matching manifest for {platforms.render(platform or platforms.host())} in the manifest list entries"
        )
    validate_digest(served.digest)
    return served.digest


def require_image(manifest: Manifest) -> None:
    """Pass if all that a manifest names is of images. InvalidArgument, in Docker's words, for charts and such."""
    for descriptor in (manifest.config, *manifest.layers):
        named = descriptor.media_type.lower()
        if named not in _OLD_TYPES and not f"{named}.".startswith(_OF_IMAGES):
            raise errdefs.InvalidArgument(f"unsupported media type {descriptor.media_type[:200]}")
    found = manifest.config.media_type
    if found not in _CONFIGS:
        kind = "plugin" if found == _PLUGIN else "unknown"
        raise errdefs.InvalidArgument(f'Encountered remote "{found[:200]}"({kind}) when fetching')


async def config_of(repository: Origin, manifest: Manifest) -> bytes:
    """The config that a manifest names, verified. InvalidArgument for one that no image can have."""
    require_image(manifest)
    descriptor = manifest.config
    if not config.is_sha256(descriptor.digest):
        raise errdefs.InvalidArgument("invalid image manifest: its config is not named by a sha256 digest")
    if not 0 <= descriptor.size <= documents.MAX_BYTES:
        raise errdefs.InvalidArgument(f"invalid image config: larger than {documents.MAX_BYTES} bytes")
    raw = await patiently(lambda: _read(repository, descriptor))
    if config.digest_of(raw) != descriptor.digest:
        raise errdefs.SystemFailure("image config verification failed for digest " + descriptor.digest)
    return raw


async def _read(repository: Origin, descriptor: Descriptor) -> bytes:
    raw = bytearray()
    async with repository.blob(descriptor.digest, size=descriptor.size) as chunks:
        async for chunk in chunks:
            raw += chunk
    return bytes(raw)


async def patiently(ask: Callable[[], Awaitable[_T]], *, even_unreachable: bool = True) -> _T:
    """What is answered in a few attempts; without `even_unreachable` only if there is somebody to answer."""
    attempt = 1
    while True:
        try:
            return await ask()
        except Transient as failure:
            if attempt == _ATTEMPTS or (isinstance(failure, Unreachable) and not even_unreachable):
                raise
            await asyncio.sleep(attempt * _PATIENCE if failure.retry_after is None else failure.retry_after)
            attempt += 1
