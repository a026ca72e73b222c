"""The door to exporting: every result of a build goes where its client wants it."""

from collections.abc import Sequence

import errdefs
from engine.build.export.archive import ArchiveExporter
from engine.build.export.files import FilesExporter
from engine.build.export.image import ImageExporter
from engine.build.export.reporting import Reporting
from engine.build.export.writing import ImageWriter
from engine.build.progress import Watch, unwatched
from engine.build.request import BuildRequest, Target
from engine.build.results import Built, Result
from engine.build.session import Session
from engine.build.workspace import Workspaces
from engine.images.image import Image
from engine.images.push import Pushes
from engine.images.reference import Reference
from engine.images.workshop import Workshop

_TITLES = {
    "image": "exporting to image",
    "moby": "exporting to image",
    "docker": "exporting to docker image format",
    "oci": "exporting to oci image format",
    "local": "exporting to client directory",
    "tar": "exporting to client tarball",
}
_NONE = ("", "cacheonly")


class Exporters:
    """All kinds of exporters."""

    def __init__(self, workshop: Workshop, workspaces: Workspaces, pushes: Pushes) -> None:
        writer = ImageWriter(workshop)
        self._image = ImageExporter(workshop, writer, pushes)
        self._archive = ArchiveExporter(workshop, writer, pushes.compressing)
        self._files = FilesExporter(workspaces)

    async def run(
        self, request: BuildRequest, result: Result, session: Session | None, watch: Watch
    ) -> dict[str, str]:
        """Write what a request wants where it wants it, while the build holds the result; what clients are told.

        InvalidArgument for an exporter that there is not or attributes that cannot be, Unsupported for what is not
        served; failures of registries and of the client.
        """
        answers: dict[str, str] = {}
        for target in require_exporters(request.exporters):
            async with Reporting.vertex(watch, _TITLES[target.kind]) as report:
                answers |= await self._run(target, result, session, report)
        return answers

    async def _run(
        self, target: Target, result: Result, session: Session | None, report: Reporting
    ) -> dict[str, str]:
        if target.kind in ("image", "moby"):
            return await self._image.run(target, result, session, report, b"")
        if session is None:
            raise errdefs.InvalidArgument(f"exporter {target.kind} needs the session of a client")
        if target.kind in ("docker", "oci"):
            return await self._archive.run(target, result, session, report, b"")
        return await self._files.run(target, result, session, report)

    async def keep(self, built: Built, names: Sequence[Reference], *, parent: str) -> Image:
        """The image of the classic API, in the store under those names; `parent` is the id of what it was made from."""
        async with Reporting.vertex(unwatched, _TITLES["image"]) as report:
            return await self._image.keep(built, names, report, parent=parent)


def require_exporters(targets: Sequence[Target]) -> list[Target]:
    """The exporters that do something. InvalidArgument for one that there is not."""
    wanted = [target for target in targets if target.kind not in _NONE]
    for target in wanted:
        if target.kind not in _TITLES:
            raise errdefs.InvalidArgument(f'exporter "{target.kind[:64]}" could not be found')
    return wanted
