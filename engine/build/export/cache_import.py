"""Build caches from elsewhere: read when a build begins, and their layers fetched when it wants them."""

import base64
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec

import errdefs
from engine.build.export import cache_config
from engine.build.export.cache_config import Offered
from engine.build.export.cache_export import reference_of
from engine.build.export.credentials import of_session
from engine.build.export.reporting import Reporting
from engine.build.export.shelves import MAX_DOCUMENT, HereShelf, LocalShelf, RegistryShelf, Shelf
from engine.build.export.writing import INLINE_CACHE
from engine.build.progress import Watch
from engine.build.refs import Layer, Ref
from engine.build.request import Target
from engine.build.results import Brought
from engine.build.session import Session
from engine.build.workspace import Holds, Workspaces
from engine.images import config, documents, layouts
from engine.images.layouts import Descriptor
from engine.images.manifests import patiently
from engine.images.pull import Pulls
from engine.images.workshop import Workshop
from engine.registry.client import Registry

_log = logging.getLogger(__name__)
_DEPTH = 2  # an index, and what it names


class Imports(msgspec.Struct):
    """Caches that a build may take from: a `CacheSource`."""

    workspaces: Workspaces
    holds: Holds
    offers: dict[str, tuple[Shelf, Offered | None]] = msgspec.field(default_factory=dict)

    async def find(self, key: str, root: Ref) -> Brought | None:
        """See CacheSource. What cannot be brought is not there."""
        found = self.offers.get(key)
        if found is None:
            return None
        shelf, offered = found
        if offered is None:
            return Brought(layer=None)
        try:
            await shelf.bring(offered.blob, self.holds.blobs)
            layer = Layer(
                diff_id=offered.diff_id, chain_id="", blob=offered.blob.digest, size=offered.blob.size
            )
            return Brought(layer=await self.workspaces.stack(root, layer, self.holds))
        except errdefs.WherryError as failure:
            _log.warning("a layer of an imported build cache cannot be had: %s", failure.message)
            del self.offers[key]
            return None


class CacheImporter:
    """Reads caches."""

    def __init__(self, workshop: Workshop, workspaces: Workspaces, pulls: Pulls, registry: Registry) -> None:
        self._workshop = workshop
        self._workspaces = workspaces
        self._pulls = pulls
        self._registry = registry

    @asynccontextmanager
    async def imports(
        self, targets: Sequence[Target], session: Session | None, watch: Watch
    ) -> AsyncIterator[Imports]:
        """The caches of a build; what is brought from them is held within the block.

        One that cannot be read is told in the progress, and is none. InvalidArgument for kinds that there are not.
        """
        async with self._workspaces.holds() as holds:
            imports = Imports(self._workspaces, holds)
            for target in targets:
                shown = target.attributes.get("ref") or target.attributes.get("src", "")
                try:
                    async with Reporting.vertex(watch, f"importing cache manifest from {shown}"):
                        await self._read(target, session, imports)
                except errdefs.WherryError as failure:
                    _log.info("the build cache %s cannot be imported: %s", shown, failure.message)
            yield imports

    async def _read(self, target: Target, session: Session | None, imports: Imports) -> None:
        shelf: Shelf
        if target.kind == "local":
            digest, source = target.attributes.get("digest", ""), target.attributes.get("src", "")
            if not digest or not source or session is None:
                raise errdefs.InvalidArgument("local cache importer requires src and an explicit digest")
            shelf = LocalShelf(session, source, self._workshop)
            raw = _verified(await shelf.document(digest, 0), digest)
        else:
            name = reference_of(target)
            image = self._workshop.store.named(name)
            if image is not None and await self._take_inline(
                HereShelf(self._workshop), await self._workshop.content.read(image.manifest), imports
            ):
                return
            repository = self._registry.repository(name, await of_session(session, name.domain))
            shelf = RegistryShelf(repository, self._pulls)
            raw = (await patiently(lambda: repository.manifest(name.digest or name.tag))).raw
        await self._take(shelf, raw, imports, _DEPTH)

    async def _take(self, shelf: Shelf, raw: bytes, imports: Imports, depth: int) -> None:
        """Take what a manifest or an index offers."""
        if not await documents.off_loop(layouts.is_index, raw, ""):
            await self._take_manifest(shelf, raw, imports)
            return
        blobs = await documents.off_loop(layouts.descriptors, raw, "cache index")
        for described in blobs:
            if described.media_type == cache_config.CONFIG_TYPE:
                found = await _document(shelf, described)
                self._offer(shelf, cache_config.offers(found, blobs), imports)
                return
        for described in blobs if depth else ():
            if not described.is_attestation:
                await self._take(shelf, await _document(shelf, described), imports, depth - 1)

    async def _take_manifest(self, shelf: Shelf, raw: bytes, imports: Imports) -> None:
        manifest = await documents.off_loop(layouts.manifest, raw, "cache manifest")
        if manifest.config.media_type != cache_config.CONFIG_TYPE:
            await self._take_inline(shelf, raw, imports)
            return
        found = await _document(shelf, manifest.config)
        self._offer(shelf, cache_config.offers(found, manifest.layers), imports)

    async def _take_inline(self, shelf: Shelf, raw: bytes, imports: Imports) -> bool:
        """Take what an image's config tells of its own layers; whether it tells something."""
        manifest = await documents.off_loop(layouts.manifest, raw, "image manifest")
        raw_config = await _document(shelf, manifest.config)
        inline = _inline(documents.decode(raw_config, "image config"))
        if inline is None:
            return False
        diff_ids = config.parse(raw_config).diff_ids
        self._offer(shelf, cache_config.inline_offers(inline, manifest.layers, diff_ids), imports)
        return True

    def _offer(self, shelf: Shelf, offers: cache_config.Offers, imports: Imports) -> None:
        for key, offered in offers.items():
            imports.offers.setdefault(key, (shelf, offered))


async def _document(shelf: Shelf, described: Descriptor) -> bytes:
    if not config.is_sha256(described.digest) or not 0 <= described.size <= MAX_DOCUMENT:
        raise errdefs.InvalidArgument(f"invalid cache: {described.digest[:80]!r} is no small document")
    return _verified(await shelf.document(described.digest, described.size), described.digest)


def _verified(raw: bytes, digest: str) -> bytes:
    if config.digest_of(raw) != digest:
        raise errdefs.InvalidArgument(f"invalid cache: {digest[:80]} is other content")
    return raw


def _inline(document: object) -> bytes | None:
    text = document.get(INLINE_CACHE) if isinstance(document, dict) else None
    if not isinstance(text, str):
        return None
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise errdefs.InvalidArgument(f"invalid image config: {INLINE_CACHE} is no base64") from None
