"""`docker pull`: images out of registries."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

import msgspec

import errdefs
from engine import faults
from engine.images import config, documents, layouts, manifests, platforms, reference
from engine.images.fetching import Fetching
from engine.images.holds import BlobSession
from engine.images.image import Image, Layer
from engine.images.layers import LayerSession
from engine.images.lines import Lines
from engine.images.platforms import Platform
from engine.images.reference import Reference
from engine.images.registration import Blob, Candidate
from engine.images.transfer import Downloads
from engine.images.workshop import Workshop
from engine.progress import Message, Progress
from engine.registry.client import Registry
from engine.registry.credentials import Credentials
from engine.registry.origin import Origin
from engine.registry.repository import Repository

STEPS = ("manifest", "config", "unneeded")  # where the crash tests kill it
KEPT = 24 * 3600.0
"""Seconds that what was fetched before a pull broke off waits for another one."""
_RESERVED = "scratch"


class Pulls:
    """The door to pulling."""

    def __init__(self, workshop: Workshop, downloads: Downloads, registry: Registry) -> None:
        self.store = workshop.store
        self.layers = workshop.layers
        self.blobs = workshop.blobs
        self.registrar = workshop.registrar
        self.downloads = downloads
        self.fetching = Fetching(workshop, downloads)
        self._events = workshop.events
        self._registry = registry

    def configure(self, *, at_once: int, attempts: int) -> None:
        """Fetch so many layers at once (0: all), each in so many attempts, from now on."""
        self.downloads.configure(at_once=at_once, attempts=attempts)

    async def pull(
        self, name: str, tag: str, *, platform: str, credentials: Credentials | None, progress: Progress
    ) -> None:
        """Pull an image, or all tags of a repository if neither `name` nor `tag` says which.

        InvalidArgument, NotFound and others in Docker's words; NotFound, too, where the one image of a name is for
        another platform, which is pulled nevertheless. What was fetched before a failure that may pass, or
        before it was cancelled, is kept for the next pull.
        """
        wanted = reference_of(name, tag)
        asked = platforms.parse(platform) if platform else None
        repository = self._registry.repository(wanted, credentials)
        await self.blobs.expire(KEPT)
        lines = Lines(progress)
        await lines.during(self._all(wanted, asked, repository, lines))

    async def fetch(
        self,
        candidate: Candidate,
        origin: Origin,
        blobs: BlobSession,
        layers: LayerSession,
        progress: Progress,
    ) -> list[Layer]:
        """Have the layers of what shall be no image here, held by those sessions; errors as of `pull`."""
        lines = Lines(progress)
        fetched = self.fetching.fetched(candidate, origin, blobs, layers, lines.post)
        return await lines.during(_entered(fetched))

    async def _all(
        self, wanted: Reference, platform: Platform | None, repository: Repository, lines: Lines
    ) -> None:
        is_new = False
        async for name in _names(wanted, repository):
            is_new |= await Pull(self, repository, platform, lines).run(name)
        what = "Downloaded newer image" if is_new else "Image is up to date"
        lines.post(Message(status=f"Status: {what} for {wanted.familiar}"))
        image = self.store.named(wanted)
        labels = image.labels if image else {}
        await self._events.publish("image", "pull", wanted.familiar, {**labels, "name": wanted.familiar_name})
        if platform and image:
            platforms.require(image.platform, platform, wanted.familiar)


class Pull:
    """One image on its way."""

    def __init__(self, pulls: Pulls, repository: Origin, platform: Platform | None, lines: Lines) -> None:
        self._pulls = pulls
        self._repository = repository
        self._platform = platform
        self._lines = lines

    async def run(self, name: Reference) -> bool:
        """Have the image under that name, and under the digest of what the name means; whether that is news."""
        digest = await manifests.digest_of(self._repository, name)
        former = self._pulls.store.named(name)
        if former is not None and await self._is_current(former, name, digest):
            self._begin(name)
            await self._pulls.store.touch(former.id)
            image = former
        else:
            found = await manifests.look_up(self._repository, digest)
            faults.hit("pull.manifest")
            self._begin(name)
            chosen = await manifests.for_platform(self._repository, found, self._platform, name)
            named = name.with_digest(digest)
            image = await self._image(chosen.raw, [named] if name.digest else [named, name])
        self._lines.post(Message(status=f"Digest: {digest}"))
        return former is None or former.id != image.id

    async def _is_current(self, former: Image, name: Reference, digest: str) -> bool:
        """Whether the image that has the name is the one that the digest means for the platform, and whole."""
        known = name.with_digest(digest).familiar in former.digests
        if not known or not platforms.matches(former.platform, self._platform or platforms.capable()):
            return False
        async with self._pulls.blobs.session() as blobs:
            return await self._pulls.registrar.is_whole(former, blobs)

    def _begin(self, name: Reference) -> None:
        where = name.canonical if name.digest else name.tag
        self._lines.post(Message(id=where, status=f"Pulling from {name.path}"))

    async def _image(self, raw: bytes, names: list[Reference]) -> Image:
        manifest = await documents.off_loop(layouts.manifest, raw, "image manifest")
        manifests.require_image(manifest)
        pulls = self._pulls
        async with pulls.blobs.session() as blobs, pulls.store.lock(manifest.config.digest):
            known = pulls.store.find(manifest.config.digest)
            if known is not None and await self._stays(known, raw, blobs):
                used = msgspec.structs.replace(known.known_to(names[0].name), last_used=time.time_ns())
                return await pulls.store.save(used, names)
        raw_config = await manifests.config_of(self._repository, manifest)
        candidate = Candidate(
            raw_config=raw_config,
            config=await asyncio.to_thread(config.parse, raw_config),
            blobs=[Blob(digest=layer.digest, size=layer.size) for layer in manifest.layers],
            manifest=raw,
            repository=names[0].name,
        )
        faults.hit("pull.config")
        async with pulls.blobs.session() as blobs, pulls.layers.session() as layers:
            fetched = pulls.fetching.fetched(candidate, self._repository, blobs, layers, self._lines.post)
            async with fetched as unpacked:
                image = await pulls.registrar.record("pull", candidate, unpacked, names, blobs)
            faults.hit("pull.unneeded")
        return image

    async def _stays(self, known: Image, raw: bytes, blobs: BlobSession) -> bool:
        """Whether an image that is here stays as it is: one that registries know, or of this very manifest.

        What was loaded or made here takes over the registry's manifest and blobs, so that its digests are those that it
        is known by. The image is held against removals meanwhile.
        """
        has_origin = bool(known.digests) or known.manifest == config.digest_of(raw)
        return has_origin and await self._pulls.registrar.is_whole(known, blobs)


async def _entered(layers: AbstractAsyncContextManager[list[Layer]]) -> list[Layer]:
    async with layers as fetched:
        return fetched


def reference_of(name: str, tag: str) -> Reference:
    """What `fromImage` and `tag` mean; a tag may be a digest. InvalidArgument, Forbidden for the reserved name."""
    found = reference.parse(name)
    if tag:
        found = found.with_digest(tag) if _is_digest(tag) else found.with_tag(tag)
    if found.familiar_name == _RESERVED:
        raise errdefs.Forbidden(f"'{_RESERVED}' is a reserved name")
    return found


def _is_digest(text: str) -> bool:
    try:
        reference.validate_digest(text)
    except errdefs.InvalidArgument:
        return False
    return True


async def _names(wanted: Reference, repository: Repository) -> AsyncIterator[Reference]:
    if wanted.tag or wanted.digest:
        yield wanted
        return
    async for tag in repository.tags():
        yield wanted.with_tag(tag)
