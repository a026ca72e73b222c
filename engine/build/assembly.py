"""What builds are made with, put together at boot and let go of at the end."""

from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

from engine.build.base_images import Shelf
from engine.build.builds import Builds
from engine.build.cache_prune import BuildCache
from engine.build.classic import Classic
from engine.build.classic_limits import require_limits
from engine.build.contexts.contexts import Contexts
from engine.build.export.exporters import Exporters
from engine.build.files.copier import Copier
from engine.build.keeping import Keeping
from engine.build.run.caches import CacheMounts
from engine.build.run.runner import Runner
from engine.build.solver.records import CacheStore
from engine.build.solver.step import Tools
from engine.build.workspace import Workspaces
from engine.config.builder import BuilderConfig
from engine.containers.machinery import Machinery
from engine.containers.store import ContainerStore
from engine.images.pull import Pulls
from engine.images.push import Pushes
from engine.registry.client import Registry
from runtime.copying.workers import Workers


@dataclass(frozen=True, slots=True, kw_only=True)
class Building:
    """The doors to builds, and what others make contexts with."""

    builds: Builds
    exporters: Exporters
    classic: Classic
    contexts: Contexts
    cache: BuildCache
    keeping: Keeping

    def configure(self, config: BuilderConfig) -> None:
        """Go by this from now on."""
        self.builds.configure(config)
        self.keeping.configure(config)


def workspaces_of(machinery: Machinery) -> Workspaces:
    """Where steps work; to be swept before anybody does."""
    workshop, exec_root = machinery.images.workshop, machinery.config.exec_root
    return Workspaces(
        machinery.snapshots, workshop.content, workshop.layers, workshop.blobs, exec_root / "build"
    )


async def open_building(
    machinery: Machinery,
    workspaces: Workspaces,
    containers: ContainerStore,
    cache: CacheStore,
    pulls: Pulls,
    pushes: Pushes,
    registry: Registry,
    stack: AsyncExitStack,
) -> Building:
    """Sweep what a crash left of builds, and be ready for more. What `stack` closes ends with the last build."""
    root = machinery.config.data_root / "build"
    workshop = machinery.images.workshop
    workers = Workers()
    stack.push_async_callback(workers.close)
    contexts = Contexts(root / "contexts", workers, registry)
    await contexts.sweep()
    caches = CacheMounts(cache, root / "cache")
    await caches.sweep()
    stack.push_async_callback(caches.close)
    tools = Tools(
        store=cache,
        workspaces=workspaces,
        copier=Copier(workspaces, workers),
        runner=Runner(machinery, workspaces, caches, containers),
    )
    shelf = Shelf(store=workshop.store, pulls=pulls, registry=registry, cache=cache)
    build_cache = BuildCache(cache, workshop, root / "cache")
    keeping = Keeping(build_cache, root, machinery.config.builder)
    stack.push_async_callback(keeping.close)
    builds = Builds(tools, shelf, contexts, machinery.config.builder, keeping.grown)
    stack.push_async_callback(builds.close)
    exporters = Exporters(workshop, workspaces, pulls, pushes, registry)
    return Building(
        builds=builds,
        exporters=exporters,
        classic=Classic(builds, exporters, contexts, machinery.images, partial(require_limits, machinery)),
        contexts=contexts,
        cache=build_cache,
        keeping=keeping,
    )
