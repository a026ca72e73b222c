"""What builds are made with, put together for the first of them and let go of with the last."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial

import msgspec

from engine.build.base_images import Shelf
from engine.build.building import Supplies
from engine.build.builds import Builds
from engine.build.classic import Classic
from engine.build.classic_limits import require_limits
from engine.build.contexts.contexts import Contexts
from engine.build.contexts.local import LocalSources
from engine.build.contexts.url_files import UrlFiles
from engine.build.export.exporters import Exporters
from engine.build.files.copier import Copier
from engine.build.files.owners import Owners
from engine.build.history import HistoryStore
from engine.build.run.caches import CacheMounts
from engine.build.run.runner import Runner
from engine.build.solver.step import Tools
from engine.build.workspace import Workspaces
from runtime.copying.workers import Workers


class Doors(msgspec.Struct, frozen=True, kw_only=True):
    """The doors to builds."""

    builds: Builds
    exporters: Exporters
    classic: Classic
    history: HistoryStore


def assemble(supplies: Supplies, grown: Callable[[], None], stack: AsyncExitStack) -> Doors:
    """Be ready for builds, which tell `grown` of what they leave; closing `stack` ends them."""
    machinery, cache, registry = supplies.machinery, supplies.records, supplies.registry
    config, workshop = machinery.config, machinery.images.workshop
    root = config.data_root / "build"
    workers = Workers()
    stack.push_async_callback(workers.close)
    workspaces = Workspaces(
        machinery.snapshots,
        workshop.content,
        workshop.layers,
        workshop.blobs,
        config.exec_root / "build",
        workers,
    )
    stack.callback(workspaces.close)
    local, urls = LocalSources(cache, root / "cache"), UrlFiles(cache, registry, root / "cache")
    contexts = Contexts(root / "contexts", workers, registry, local, urls)
    caches = CacheMounts(cache, root / "cache")
    stack.push_async_callback(caches.close)
    tools = Tools(
        store=cache,
        workspaces=workspaces,
        copier=Copier(workspaces, workers),
        runner=Runner(machinery, workspaces, caches, supplies.containers),
        owners=Owners(workspaces),
    )
    shelf = Shelf(store=workshop.store, pulls=supplies.pulls, registry=registry, cache=cache)
    builds = Builds(tools, shelf, contexts, config.builder, grown)
    stack.push_async_callback(builds.close)
    exporters = Exporters(workshop, workspaces, supplies.pulls, supplies.pushes, registry)
    return Doors(
        builds=builds,
        exporters=exporters,
        classic=Classic(builds, exporters, contexts, machinery.images, partial(require_limits, machinery)),
        history=supplies.history,
    )
