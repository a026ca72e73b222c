"""Images of registries and layouts that a build stands on: their configs at once, their layers if a step needs them."""

import asyncio
import time
from collections.abc import Sequence

import msgspec

from engine.build.plan.metadata import Base
from engine.build.progress import Watch
from engine.build.pull_lines import PullLines
from engine.build.refs import Layer, Ref
from engine.build.solver.records import CacheStore, Record, new_id
from engine.build.solver.work import Outcome
from engine.build.steps import ImageSource
from engine.build.workspace import Holds
from engine.images import config, layouts, manifests
from engine.images.image import Image
from engine.images.image import Layer as ImageLayer
from engine.images.platforms import Platform
from engine.images.pull import Pulls
from engine.images.reference import Reference
from engine.images.registration import Blob, Candidate
from engine.registry.origin import Origin


class _Remote(msgspec.Struct, frozen=True):
    """An image of which the config alone was fetched."""

    candidate: Candidate
    origin: Origin
    manifest: str
    shown: str


class RemoteImages:
    """Those of one build. What is fetched of them is a record of the cache."""

    def __init__(self, pulls: Pulls, cache: CacheStore, holds: Holds, watch: Watch) -> None:
        self._pulls = pulls
        self._cache = cache
        self._holds = holds
        self._watch = watch
        self._known: dict[str, _Remote] = {}

    async def look(self, name: Reference, platform: Platform, origin: Origin) -> Base:
        """What an image is like. Errors of registries for one that is not to be had."""
        digest = await manifests.digest_of(origin, name)
        found = await manifests.look_up(origin, digest)
        chosen = await manifests.for_platform(origin, found, platform, name)
        manifest = layouts.manifest(chosen.raw, "image manifest")
        raw = await manifests.config_of(origin, manifest)
        parsed = await asyncio.to_thread(config.parse, raw)
        shown = f"{name.canonical.partition('@')[0]}@{digest}"
        image = manifest.config.digest
        candidate = Candidate(
            raw_config=raw,
            config=parsed,
            blobs=[Blob(digest=layer.digest, size=layer.size) for layer in manifest.layers],
            manifest=chosen.raw,
        )
        self._known[image] = _Remote(candidate, origin, config.digest_of(chosen.raw), shown)
        source = ImageSource(image=image, shown=shown) if parsed.diff_ids else None
        return Base(source=source, shown=shown, config=parsed)

    async def layers(self, image: str, vertex: str) -> Outcome:
        """The layers of an image that was looked at, by its id, held; fetched if they are not here."""
        remote = self._known[image]
        key = f"image {remote.manifest}"
        record = self._cache.find(key)
        if record is not None and all([await self._holds.take(layer) for layer in record.layers]):
            await self._cache.touch(record.id)
            return Outcome(output=Ref(record.layers), cached=True, record=record.id)
        record = await self._fetch(remote, key, vertex)
        return Outcome(output=Ref(record.layers), record=record.id)

    async def recorded(self, image: Image, shown: str) -> str:
        """The id of the record of an image that is here and held, as if it had been fetched for the build."""
        key = f"image {image.manifest}"
        record = self._cache.find(key)
        if record is None or [each.chain_id for each in record.layers] != [
            each.chain_id for each in image.layers
        ]:
            record = self._add(key, f"from local {shown}", image.layers)
        else:
            await self._cache.touch(record.id)
        return record.id

    async def _fetch(self, remote: _Remote, key: str, vertex: str) -> Record:
        layers = await self._pulls.fetch(
            remote.candidate,
            remote.origin,
            self._holds.blobs,
            self._holds.layers,
            PullLines(self._watch, vertex),
        )
        return self._add(key, f"pulled from {remote.shown}", layers)

    def _add(self, key: str, description: str, layers: Sequence[ImageLayer]) -> Record:
        now = time.time_ns()
        record = Record(
            id=new_id(),
            key=key,
            description=description,
            layers=tuple(map(layer_of, layers)),
            size=sum(layer.blob_size for layer in layers),
            created=now,
            used=now,
        )
        self._cache.add(record)
        return record


def layer_of(layer: ImageLayer) -> Layer:
    """A layer of an image, as builds know it."""
    return Layer(diff_id=layer.diff_id, chain_id=layer.chain_id, blob=layer.blob, size=layer.blob_size)
