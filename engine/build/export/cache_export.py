"""Build caches on their way out: into registries, and into directories of the client."""

from collections.abc import Sequence
from contextlib import aclosing

import msgspec

import errdefs
from engine.build.export import cache_config
from engine.build.export.credentials import of_session
from engine.build.export.reporting import Reporting
from engine.build.export.writing import ImageWriter
from engine.build.refs import Ref
from engine.build.request import Target
from engine.build.results import CacheStep, Result
from engine.build.session import Session
from engine.images import reference
from engine.images.compressing import Compressing, read_blob
from engine.images.holds import BlobSession
from engine.images.image import Layer
from engine.images.layouts import OCI_MANIFEST, Descriptor
from engine.images.push import Pushes
from engine.images.reference import Reference
from engine.images.workshop import Workshop

_MODES = ("", "min", "max")


class CacheExporter:
    """Writes caches elsewhere."""

    def __init__(self, workshop: Workshop, writer: ImageWriter, pushes: Pushes) -> None:
        self._workshop = workshop
        self._writer = writer
        self._pushes = pushes
        self._compressing: Compressing = pushes.compressing

    async def run(
        self, target: Target, result: Result, session: Session | None, report: Reporting
    ) -> dict[str, str]:
        """The answers of the exporter. InvalidArgument for attributes that cannot be; failures of the other side."""
        steps = wanted_steps(target, result)
        if not any(step.layer for step in steps):
            async with report.line("skipping cache export for empty result"):
                return {}
        async with self._workshop.blobs.session() as held:
            async with report.line("preparing build cache for export"):
                own = Ref(tuple(step.layer for step in steps if step.layer is not None))
                layers = await self._compressing.fit(await self._writer.layers(own, held), held)
                described = await self._stored(
                    cache_config.encode(steps, layers), cache_config.CONFIG_TYPE, held
                )
                raw = cache_config.manifest(described, layers)
                top = await self._stored(raw, OCI_MANIFEST, held)
            blobs = [*(_descriptor(layer) for layer in layers), described]
            if target.kind == "registry":
                await self._push(target, raw, blobs, session, report)
            else:
                await self._send(target, [*blobs, top], session, report)
        return {"cache.manifest": msgspec.json.encode(top).decode()}

    async def _stored(self, raw: bytes, media_type: str, held: BlobSession) -> Descriptor:
        digest = await held.put(self._workshop.content, raw)
        return Descriptor(media_type=media_type, digest=digest, size=len(raw))

    async def _push(
        self,
        target: Target,
        raw: bytes,
        blobs: Sequence[Descriptor],
        session: Session | None,
        report: Reporting,
    ) -> None:
        name = reference_of(target)
        async with report.line(f"pushing cache to {name.canonical}"):
            credentials = await of_session(session, name.domain)
            await self._pushes.put(name, credentials, raw, blobs, lambda _: None)

    async def _send(
        self, target: Target, blobs: Sequence[Descriptor], session: Session | None, report: Reporting
    ) -> None:
        destination = target.attributes.get("dest", "")
        if not destination or session is None:
            raise errdefs.InvalidArgument("local cache exporter requires dest, and the session of a client")
        for blob in {each.digest: each for each in blobs}.values():
            async with report.line(f"writing layer {blob.digest}"):
                chunks = read_blob(self._workshop.content.path(blob.digest))
                async with aclosing(chunks):
                    await session.write_content(f"local:{destination}", blob.digest, blob.size, chunks)


def wanted_steps(target: Target, result: Result) -> list[CacheStep]:
    """The steps that a cache is to have, each after those it stands on. InvalidArgument for another mode."""
    mode = target.attributes.get("mode", "")
    if mode not in _MODES:
        raise errdefs.InvalidArgument(f'cache exporter {target.kind}: invalid mode "{mode[:64]}"')
    found = {
        step.key: step
        for built in result.images
        for step in (built.all_cache if mode == "max" else built.cache)
    }
    return list(found.values())


def reference_of(target: Target) -> Reference:
    """The tag that a cache is kept under in its registry. InvalidArgument for what is none."""
    text = target.attributes.get("ref", "")
    if not text:
        raise errdefs.InvalidArgument(f"cache {target.kind}: missing ref")
    return reference.parse(text).with_default_tag()


def _descriptor(layer: Layer) -> Descriptor:
    return Descriptor(media_type=layer.media_type, digest=layer.blob, size=layer.blob_size)
