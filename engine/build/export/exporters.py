"""The door to exporting: every result of a build goes where its client wants it."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager

import errdefs
from engine.build.export import attributes, cache_config
from engine.build.export.archive import ArchiveExporter
from engine.build.export.cache_export import CacheExporter, wanted_steps
from engine.build.export.cache_import import CacheImporter, Imports
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
from engine.images.pull import Pulls
from engine.images.push import Pushes
from engine.images.reference import Reference
from engine.images.workshop import Workshop
from engine.registry.client import Registry

_TITLES = {
    "image": "exporting to image",
    "moby": "exporting to image",
    "docker": "exporting to docker image format",
    "oci": "exporting to oci image format",
    "local": "exporting to client directory",
    "tar": "exporting to client tarball",
}
_IMAGES = ("image", "moby", "docker", "oci")
_CACHE_TITLES = {
    "registry": "exporting cache to registry",
    "local": "exporting cache to client directory",
}
_NONE = ("", "cacheonly")


class Exporters:
    """All kinds of exporters."""

    def __init__(
        self, workshop: Workshop, workspaces: Workspaces, pulls: Pulls, pushes: Pushes, registry: Registry
    ) -> None:
        writer = ImageWriter(workshop)
        self._cache = CacheExporter(workshop, writer, pushes)
        self._importer = CacheImporter(workshop, workspaces, pulls, registry)
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
        caches = require_caches(request.cache_to)
        inline = [target for target in caches if target.kind == "inline"]
        for target in require_exporters(request.exporters):
            async with Reporting.vertex(watch, _TITLES[target.kind]) as report:
                answers |= await self._run(target, result, session, report, inline)
        for target in caches:
            if target.kind != "inline":
                answers |= await self._export_cache(target, result, session, watch)
        return answers

    def imports(
        self, request: BuildRequest, session: Session | None, watch: Watch
    ) -> AbstractAsyncContextManager[Imports]:
        """The caches that a build may take from; see `CacheImporter.imports`.

        What could not be written at the end is refused now: errors as of `run`.
        """
        require_caches(request.cache_to)
        for target in require_exporters(request.exporters):
            if target.kind in _IMAGES:
                attributes.require_supported(target)
                attributes.names(target)
        return self._importer.imports(require_caches(request.cache_from), session, watch)

    async def _run(
        self,
        target: Target,
        result: Result,
        session: Session | None,
        report: Reporting,
        caches: Sequence[Target],
    ) -> dict[str, str]:
        def inline(built: Built) -> bytes:
            steps = [step for cache in caches for step in wanted_steps(cache, Result(images=[built]))]
            return cache_config.inline(steps, built.ref)

        if target.kind in ("image", "moby"):
            return await self._image.run(target, result, session, report, inline)
        if session is None:
            raise errdefs.InvalidArgument(f"exporter {target.kind} needs the session of a client")
        if target.kind in ("docker", "oci"):
            return await self._archive.run(target, result, session, report, inline)
        return await self._files.run(target, result, session, report)

    async def _export_cache(
        self, target: Target, result: Result, session: Session | None, watch: Watch
    ) -> dict[str, str]:
        """A failure is of the whole build, unless the target says otherwise."""
        try:
            async with Reporting.vertex(watch, _CACHE_TITLES[target.kind]) as report:
                return await self._cache.run(target, result, session, report)
        except errdefs.WherryError:
            if attributes.flag(target.attributes, "ignore-error", default=False):
                return {}
            raise

    async def keep(self, built: Built, names: Sequence[Reference], *, parent: str) -> Image:
        """The image of the classic API, in the store under those names; `parent` is the id of what it was made from."""
        async with Reporting.vertex(unwatched, _TITLES["image"]) as report:
            return await self._image.keep(built, names, report, parent=parent)


def require_caches(targets: Sequence[Target]) -> Sequence[Target]:
    """Pass if all those caches can be written and read. Unsupported for a kind that cannot."""
    for target in targets:
        if target.kind != "inline" and target.kind not in _CACHE_TITLES:
            raise errdefs.Unsupported(f"build caches of type {target.kind[:64]} are not supported")
    return targets


def require_exporters(targets: Sequence[Target]) -> list[Target]:
    """The exporters that do something. InvalidArgument for one that there is not."""
    wanted = [target for target in targets if target.kind not in _NONE]
    for target in wanted:
        if target.kind not in _TITLES:
            raise errdefs.InvalidArgument(f'exporter "{target.kind[:64]}" could not be found')
    return wanted
