"""Exports into the image store (`type=image`, `type=moby` for the docker driver), and from there to registries."""

import base64
import time
from collections.abc import Sequence

import msgspec

import errdefs
from engine.build.export import attributes
from engine.build.export.credentials import of_session
from engine.build.export.reporting import Reporting
from engine.build.export.writing import ImageWriter, Inline
from engine.build.request import Target
from engine.build.results import Built, Result
from engine.build.session import Session
from engine.images.announce import announce
from engine.images.image import Image
from engine.images.push import Pushes
from engine.images.reference import Reference
from engine.images.workshop import Workshop


class ImageExporter:
    """Makes images of this engine, and pushes them."""

    def __init__(self, workshop: Workshop, writer: ImageWriter, pushes: Pushes) -> None:
        self._workshop = workshop
        self._writer = writer
        self._pushes = pushes

    async def run(
        self, target: Target, result: Result, session: Session | None, report: Reporting, inline: Inline
    ) -> dict[str, str]:
        """The answers of the exporter. InvalidArgument for several platforms, and for names that cannot be.

        A push fails in the registry's words.
        """
        attributes.require_supported(target)
        names = attributes.names(target)
        # The CLI itself has what `moby` made pushed, by the API.
        push = target.kind != "moby" and attributes.flag(target.attributes, "push", default=False)
        if push and not names:
            raise errdefs.InvalidArgument("a tag is needed when pushing to a registry")
        image = await self.keep(result.only, names, report, inline=inline(result.only))
        for name in names if push else ():
            async with report.line(f"pushing {name.canonical}"):
                await self._push(name, session, report)
        image = self._workshop.store.find(image.id) or image  # a push compresses its layers
        answers = {"containerimage.config.digest": image.id, "containerimage.digest": image.id}
        if target.kind != "moby":
            answers["containerimage.digest"] = image.manifest
            answers["containerimage.descriptor"] = descriptor(image)
        if names:
            answers["image.name"] = ",".join(name.canonical for name in names)
        return answers

    async def keep(
        self,
        built: Built,
        names: Sequence[Reference],
        report: Reporting,
        *,
        parent: str = "",
        inline: bytes = b"",
    ) -> Image:
        """The image in the store, under those names; `parent` is the id of the image that it was made from here."""
        async with report.line("exporting layers"):
            image = await self._writer.record(
                built, names, tagged=time.time_ns() if names else 0, parent=parent, inline=inline
            )
        async with report.line(f"writing image {image.id}"):
            pass
        for name in names:
            async with report.line(f"naming to {name.canonical}"):
                await announce(self._workshop.events, "tag", image, name.familiar)
        return image

    async def _push(self, name: Reference, session: Session | None, report: Reporting) -> None:
        try:
            await self._pushes.push(
                name.familiar,
                "",
                platform=None,
                credentials=await of_session(session, name.domain),
                progress=report.transfer,
            )
        except errdefs.WherryError as failure:
            raise type(failure)(f"failed to push {name.familiar}: {failure.message}") from failure


def descriptor(image: Image) -> str:
    """Of an image's manifest, as clients take it."""
    document = {"mediaType": image.manifest_type, "digest": image.manifest, "size": image.manifest_size}
    return base64.b64encode(msgspec.json.encode(document)).decode()
