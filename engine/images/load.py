"""`docker load`: images out of an archive, docker-archive new or old or OCI layout, compressed or not."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import errdefs
from engine.images import config, documents, layouts, legacy_archive, platforms
from engine.images.announce import announce
from engine.images.config import ImageConfig
from engine.images.holds import BlobSession
from engine.images.layers import LayerSession
from engine.images.layouts import ArchivedImage, Descriptor
from engine.images.legacy_load import LegacyImages
from engine.images.platforms import Platform
from engine.images.reference import Reference
from engine.images.registration import Blob, Candidate, require_runnable
from engine.images.spool import Spool
from engine.images.tag import require_tag
from engine.images.workshop import Workshop
from engine.progress import Message, Progress, ignore

_MAX_INDEXES = 4  # one in the other


class Load:
    """One request to load. `run` makes the images one after the other; those that came before a failure stay."""

    def __init__(
        self, workshop: Workshop, progress: Progress, *, quiet: bool, wanted: Sequence[Platform]
    ) -> None:
        self._store = workshop.store
        self._content = workshop.content
        self._layers = workshop.layers
        self._blobs = workshop.blobs
        self._events = workshop.events
        self._registrar = workshop.registrar
        self._say = progress
        self._meter = ignore if quiet else progress
        self._wanted = wanted

    async def run(self, archive: AsyncIterator[bytes]) -> None:
        """Load all of an archive. InvalidArgument for one that is broken, hostile or none at all."""
        async with self._blobs.session() as blobs, self._layers.session() as layers:
            spool = Spool(self._content, blobs)
            await spool.fill(archive)
            if layouts.MANIFEST in spool:
                await self._docker_archive(spool, blobs, layers)
            elif layouts.INDEX in spool:
                await self._oci_layout(spool, blobs, layers)
            elif legacy_archive.REPOSITORIES in spool:
                await self._legacy_archive(spool, blobs, layers)
            else:
                raise errdefs.InvalidArgument(f"invalid archive: does not contain a {layouts.MANIFEST}")

    async def _docker_archive(self, spool: Spool, blobs: BlobSession, layers: LayerSession) -> None:
        raw = await spool.document(layouts.MANIFEST, "manifest")
        made: list[tuple[str, str]] = []
        for entry in await documents.off_loop(layouts.archived_images, raw):
            names = layouts.tags(entry.repo_tags)
            candidate = await self._archived(entry, spool)
            if candidate is None:
                continue
            chain_ids = config.chain_ids(candidate.config.diff_ids)
            candidate.blobs = [
                await self._layer(path, chain_id, spool, blobs)
                for path, chain_id in zip(entry.layers, chain_ids, strict=True)
            ]
            made.append((await self._make(candidate, names, blobs, layers, self._meter), entry.parent))
        await self._set_parents(made)

    async def _archived(self, entry: ArchivedImage, spool: Spool) -> Candidate | None:
        """What an entry of manifest.json makes, its layers left open; None if nobody wants it."""
        raw = await spool.document(entry.config, "image config")
        candidate = await _candidate(raw)
        if not self._is_wanted(candidate.config):
            return None
        _require_as_many(len(entry.layers), candidate)
        return candidate

    async def _layer(self, path: str, chain_id: str, spool: Spool, blobs: BlobSession) -> Blob:
        """A layer's blob; an archive may lack what an image has here, as in Docker: who knows sends it not again."""
        known = None if spool.has(path) else self._store.layer(chain_id)
        if known is not None and await blobs.take(known.blob):
            return Blob(digest=known.blob, size=known.blob_size)
        found = await spool.blob(path, "layer")
        return Blob(digest=found.digest, size=found.size)

    async def _oci_layout(self, spool: Spool, blobs: BlobSession, layers: LayerSession) -> None:
        raw = await spool.document(layouts.INDEX, "index")
        entries = await documents.off_loop(layouts.descriptors, raw, "archive: index.json")
        for entry in _per_name(entries, self._platform):
            name = layouts.name_of(entry)
            manifest = await self._resolve(entry, spool)
            candidate = await self._manifested(manifest, spool)
            if self._is_wanted(candidate.config):
                await self._make(candidate, [name] if name else [], blobs, layers, self._meter)

    async def _legacy_archive(self, spool: Spool, blobs: BlobSession, layers: LayerSession) -> None:
        images = LegacyImages(spool, self._content, self._layers, layers, self._meter)
        for planned in await images.plan(self._is_wanted):
            candidate = await images.candidate(planned)
            if planned.is_top or planned.names:
                await self._make(candidate, planned.names, blobs, layers, ignore)
            else:  # there for others to stand on
                await self._registrar.register("load", candidate, [], blobs, layers, ignore)

    async def _resolve(self, entry: Descriptor, spool: Spool) -> Descriptor:
        """The manifest that an entry means, through the indexes between."""
        for _ in range(_MAX_INDEXES):
            if not entry.is_index:
                return entry
            raw = await _verified(entry, spool, "image index")
            entries = await documents.off_loop(layouts.descriptors, raw, "image index")
            entry = layouts.choose(entries, self._platform)
        raise errdefs.InvalidArgument("invalid archive: too many indexes, one in the other")

    async def _manifested(self, descriptor: Descriptor, spool: Spool) -> Candidate:
        raw = await _verified(descriptor, spool, "image manifest")
        manifest = await documents.off_loop(layouts.manifest, raw, "image manifest")
        candidate = await _candidate(await _verified(manifest.config, spool, "image config"))
        candidate.manifest = raw
        _require_as_many(len(manifest.layers), candidate)
        candidate.blobs = [await _verified_blob(layer, spool) for layer in manifest.layers]
        return candidate

    async def _make(
        self,
        candidate: Candidate,
        names: list[Reference],
        blobs: BlobSession,
        layers: LayerSession,
        meter: Progress,
    ) -> str:
        for name in names:
            require_tag(name)
        former = [self._store.named(name) for name in names]
        image = await self._registrar.register("load", candidate, names, blobs, layers, meter)
        for name, other in zip(names, former, strict=True):
            if other is not None and other.id != image.id:
                await self._stream(
                    f"The image {name.familiar} already exists, renaming the old one with ID {other.id} "
                    "to empty string"
                )
            await self._stream(f"Loaded image: {name.familiar}")
        if not names:
            await self._stream(f"Loaded image ID: {image.id}")
        await announce(self._events, "load", image)
        return image.id

    async def _set_parents(self, made: list[tuple[str, str]]) -> None:
        """Note the parents that the archive tells, as far as they came with it."""
        here = {image_id for image_id, _ in made}
        for image_id, parent_id in made:
            image, parent = self._store.find(image_id), self._store.find(parent_id)
            if image is None or parent is None or parent_id not in here - {image_id, image.parent}:
                continue
            if image.config.history[:-1] == parent.config.history:
                await self._store.adopt(image, parent_id)

    async def _stream(self, text: str) -> None:
        await self._say(Message(stream=f"{text}\n"))

    @property
    def _platform(self) -> Platform:
        return self._wanted[0] if self._wanted else platforms.host()

    def _is_wanted(self, made: ImageConfig) -> bool:
        require_runnable(made)
        return not self._wanted or any(platforms.matches(made.platform, each) for each in self._wanted)


async def _candidate(raw: bytes) -> Candidate:
    return Candidate(raw_config=raw, config=await asyncio.to_thread(config.parse, raw), blobs=[])


def _require_as_many(expected: int, candidate: Candidate) -> None:
    """Before any layer is looked at: a manifest may name one of them ten thousand times."""
    found = len(candidate.config.diff_ids)
    if expected != found:
        raise errdefs.InvalidArgument(
            f"invalid manifest, layers length mismatch: expected {expected}, got {found}"
        )


async def _verified(descriptor: Descriptor, spool: Spool, what: str) -> bytes:
    raw = await spool.document(descriptor.path, what)
    found = config.digest_of(raw)
    if found != descriptor.digest or len(raw) != descriptor.size:
        raise errdefs.InvalidArgument(
            f"invalid archive: {what} has digest {found} and {len(raw)} bytes, "
            f"expected {descriptor.digest} and {descriptor.size} bytes"
        )
    return raw


async def _verified_blob(descriptor: Descriptor, spool: Spool) -> Blob:
    found = await spool.blob(descriptor.path, "layer")
    if found.digest != descriptor.digest or found.size != descriptor.size:
        raise errdefs.InvalidArgument(
            f"invalid archive: layer has digest {found.digest} and {found.size} bytes, "
            f"expected {descriptor.digest} and {descriptor.size} bytes"
        )
    return Blob(digest=found.digest, size=found.size)


def _per_name(entries: Sequence[Descriptor], platform: Platform) -> list[Descriptor]:
    """The images of index.json: of several under one name the one for the platform."""
    chosen: list[Descriptor] = []
    named: dict[str, list[Descriptor]] = {}
    for entry in entries:
        if entry.is_attestation:
            continue
        name = layouts.name_of(entry)
        if name is None:
            chosen.append(entry)
        else:
            named.setdefault(name.canonical, []).append(entry)
    return chosen + [layouts.choose(same, platform) for same in named.values()]
