"""Exports as an archive of images: `type=docker`, which `docker load` takes, and `type=oci`, a layout alone."""

from collections.abc import Sequence
from contextlib import aclosing

import errdefs
from engine.build.export import attributes
from engine.build.export.image import descriptor
from engine.build.export.reporting import Reporting
from engine.build.export.writing import ImageWriter, Inline
from engine.build.request import Target
from engine.build.results import Built, Result
from engine.build.session import Session
from engine.images import archive_index
from engine.images.archive_index import Saved
from engine.images.compressing import Compressing
from engine.images.holds import BlobSession
from engine.images.image import Image
from engine.images.save import archive
from engine.images.workshop import Workshop


class ArchiveExporter:
    """Sends images to the client."""

    def __init__(self, workshop: Workshop, writer: ImageWriter, compressing: Compressing) -> None:
        self._workshop = workshop
        self._writer = writer
        self._compressing = compressing

    async def run(
        self, target: Target, result: Result, session: Session, report: Reporting, inline: Inline
    ) -> dict[str, str]:
        """The answers of the exporter."""
        attributes.require_supported(target)
        names = attributes.names(target)
        if not attributes.flag(target.attributes, "tar", default=True):
            raise errdefs.Unsupported(f"exporter {target.kind}: tar=false is not supported")
        if target.kind == "docker" and result.several:
            raise errdefs.InvalidArgument(
                "docker exporter does not currently support exporting manifest lists"
            )
        plain = target.attributes.get("compression") == "uncompressed"
        async with self._workshop.blobs.session() as held:
            async with report.line("exporting layers"):
                images = [await self._image(each, held, inline, plain=plain) for each in result.images]
            saved = [Saved(each, names, await self._workshop.content.read(each.manifest)) for each in images]
            blobs = {digest: 0 for each in images for digest in each.blobs}
            if result.several:
                top = await self._index(saved, held)
                blobs[str(top["digest"])] = 0
                documents = archive_index.layout(archive_index.named(top, names))
                answers = {"containerimage.digest": str(top["digest"])}
            else:
                documents = _documents(target.kind, saved)
                answers = _answers(images[0])
            if names:
                answers["image.name"] = ",".join(name.canonical for name in names)
            async with report.counted("sending tarball") as meter:
                chunks = archive(self._workshop.content, blobs, documents)
                async with aclosing(chunks):
                    await session.send_file(target.id, chunks, answers, meter)
        return answers

    async def _image(self, built: Built, held: BlobSession, inline: Inline, *, plain: bool) -> Image:
        layers = await self._writer.layers(built.ref, held)
        if not plain:
            layers = await self._compressing.fit(layers, held)
        return await self._writer.unrecorded(built, layers, held, inline(built))

    async def _index(self, saved: Sequence[Saved], held: BlobSession) -> dict[str, object]:
        """The descriptor of an index of them all, which is stored and held."""
        raw = archive_index.index(
            [{**archive_index.descriptor(each), "platform": _platform(each.image)} for each in saved]
        )
        digest = await held.put(self._workshop.content, raw)
        return {"mediaType": archive_index.OCI_INDEX, "digest": digest, "size": len(raw)}


def _platform(image: Image) -> dict[str, str]:
    found = image.platform
    shown = {"architecture": found.architecture, "os": found.os, "variant": found.variant}
    return {name: value for name, value in shown.items() if value}


def _documents(kind: str, saved: Sequence[Saved]) -> dict[str, bytes]:
    if kind == "docker":
        return archive_index.documents(saved)
    return archive_index.layout(
        [each for one in saved for each in archive_index.named(archive_index.descriptor(one), one.names)]
    )


def _answers(image: Image) -> dict[str, str]:
    return {
        "containerimage.config.digest": image.id,
        "containerimage.digest": image.manifest,
        "containerimage.descriptor": descriptor(image),
    }
