"""The engine: everything put together at boot, in order, and let go of at the end."""

import asyncio
from contextlib import AsyncExitStack

import msgspec

import errdefs
from engine import faults, parts, userns_remap
from engine.build import leftovers
from engine.build.building import Building, Supplies
from engine.build.cache_prune import BuildCache
from engine.build.history import SCHEMA as BUILD_HISTORY
from engine.build.history import HistoryStore
from engine.build.solver.records import SCHEMA as BUILD_CACHE
from engine.config import Config, Reloaded
from engine.containers.announce import Announcer
from engine.containers.archive import Archives
from engine.containers.containers import Containers
from engine.containers.execs import Execs
from engine.containers.filesystem import Filesystem
from engine.containers.live import Lives
from engine.containers.log_keeping import LogKeeping
from engine.containers.machinery import Machinery
from engine.containers.prune import ContainerPrune
from engine.containers.reconcile import Reconciler
from engine.containers.shutdown import stop_all
from engine.containers.stats import Stats
from engine.containers.storage_opt import WHERE
from engine.containers.store import SCHEMA as CONTAINERS
from engine.containers.store import ContainerStore
from engine.containers.update import Updates
from engine.containers.watch import Watcher
from engine.database import Database, Migration
from engine.events import MIGRATIONS as EVENTS
from engine.events import Events
from engine.images.collector import Collector
from engine.images.images import Images
from engine.images.prune import ImagePrune
from engine.images.pull import Pulls
from engine.images.push import Pushes
from engine.images.store import SCHEMA as IMAGES
from engine.instance import Instance
from engine.networks.networks import Networks
from engine.networks.prune import NetworkPrune
from engine.networks.store import SCHEMA as NETWORKS
from engine.registry.client import Registry
from engine.system import System
from engine.system.disk import Disk
from engine.volumes.prune import VolumePrune
from engine.volumes.store import SCHEMA as VOLUMES
from engine.volumes.volumes import Volumes
from plugins.discovery import Places
from plugins.registry import Plugins
from runtime import cgroups
from runtime.archive.workers import Workers
from runtime.content.local import LocalContentStore
from runtime.snapshots.overlay import OverlaySnapshotter

MIGRATIONS = (
    *EVENTS,
    Migration(2, CONTAINERS),
    Migration(3, IMAGES),
    Migration(4, VOLUMES),
    Migration(5, NETWORKS),
    Migration(6, BUILD_CACHE),
    Migration(7, BUILD_HISTORY),
)


class Engine(msgspec.Struct, frozen=True, kw_only=True):
    """The parts that the API serves. `open` it, and `shutdown` it."""

    containers: Containers
    execs: Execs
    filesystem: Filesystem
    archives: Archives
    stats: Stats
    updates: Updates
    container_prune: ContainerPrune
    image_prune: ImagePrune
    network_prune: NetworkPrune
    build_cache: BuildCache
    images: Images
    pulls: Pulls
    pushes: Pushes
    building: Building
    volumes: Volumes
    volume_prune: VolumePrune
    events: Events
    networks: Networks
    plugins: Plugins
    registry: Registry
    system: System
    disk: Disk
    _collector: Collector
    _machinery: Machinery
    _store: ContainerStore
    _lives: Lives
    _watcher: Watcher
    _resources: AsyncExitStack

    @classmethod
    async def open(cls, config: Config) -> "Engine":
        """Take the data root, adopt what runs, undo what was half done; only then is the engine there.

        Raises errdefs with what is wrong and what to do; everything that was opened is closed again.
        """
        if config.fault_points:
            faults.arm()
        async with AsyncExitStack() as stack:
            return await _assemble(config, stack)

    async def reload(self, reloaded: Reloaded) -> None:
        """Take over what SIGHUP may change; what runs is not touched."""
        self._machinery.config = reloaded.config
        self.registry.reload(parts.registries(reloaded.config))
        self.pulls.configure(
            at_once=reloaded.config.max_concurrent_downloads, attempts=reloaded.config.max_download_attempts
        )
        self.pushes.configure(at_once=reloaded.config.max_concurrent_uploads)
        self._collector.configure(reloaded.config.image_gc)
        self.building.configure(reloaded.config.builder)
        await self.system.reload(reloaded)

    async def shutdown(self, *, stop_containers: bool) -> None:
        """End the engine. Containers live on, unless they are to be stopped as well."""
        self._watcher.close()
        if stop_containers:
            await stop_all(
                self._store, self._lives, Announcer(self.events), self._machinery.config.shutdown_timeout
            )
        self.events.close()
        await self._resources.aclose()


async def _assemble(config: Config, stack: AsyncExitStack) -> Engine:
    instance = await asyncio.to_thread(Instance.claim, config.data_root)
    stack.callback(instance.close)
    await asyncio.to_thread(parts.make_directories, config)
    database = await Database.open(config.data_root / "state.db", MIGRATIONS)
    stack.push_async_callback(database.close)
    events = await Events.open(database)
    store = ContainerStore(database)
    await store.load()
    content = await LocalContentStore.open(config.data_root / "content")
    snapshots = await OverlaySnapshotter.open(config.data_root / "snapshots")
    cache = await parts.open_cache(database, content, snapshots)
    images = await Images.open(database, content, snapshots, events, store.of_image, cache)
    plugins = Plugins(Places())
    if config.container_size and not snapshots.limits_size:
        raise errdefs.InvalidArgument(f"storage option overlay2.size is supported only for overlay {WHERE}")
    identity = await userns_remap.identity_of(config.userns_remap)
    await snapshots.require(identity)
    volumes = await parts.open_volumes(config, instance.id, database, events, store, identity.root, plugins)
    network = await parts.open_network(config, instance.id, plugins, stack)
    stack.push_async_callback(plugins.close)  # first: who waits for a plugin holds up the others' end
    stack.push_async_callback(volumes.close)
    networks = await Networks.open(
        database, network, events, store.networks_used, config.default_network_opts
    )
    announcer = Announcer(events)
    logs = LogKeeping(config.data_root / "containers", announcer)
    stack.push_async_callback(logs.close)
    machinery = Machinery(
        config=config,
        supervisor=await parts.open_supervisor(config, stack),
        snapshots=snapshots,
        images=images,
        volumes=volumes,
        network=network,
        networks=networks,
        logs=logs,
        hierarchy=cgroups.detect(),
        identity=identity,
        limits=await asyncio.to_thread(cgroups.capabilities_of_host),
        seccomp_profile=await asyncio.to_thread(parts.seccomp_profile, config.seccomp_profile),
    )
    registry = Registry(parts.registries(config))
    stack.push_async_callback(registry.close)
    lives = Lives()
    stack.push_async_callback(lives.close)
    watcher = Watcher(machinery, store, lives, announcer)
    await leftovers.sweep_steps(config.exec_root / "build")
    reconciler = Reconciler(machinery, store, lives, watcher)
    await reconciler.run()
    lives.spawn(volumes.settle_remote(), "volumes of plugins at boot")
    lives.spawn(reconciler.follow(), "restart policies at boot")
    containers = Containers(machinery, store, lives, announcer, watcher, images)
    workers = Workers(config.exec_root / "view")
    stack.push_async_callback(workers.close)
    stats = Stats(store)
    stack.push_async_callback(stats.close)
    collector = Collector(images, config.data_root, config.image_gc)
    stack.push_async_callback(collector.close)
    pulls = images.pulls(
        registry, at_once=config.max_concurrent_downloads, attempts=config.max_download_attempts
    )
    pushes = images.pushes(registry, at_once=config.max_concurrent_uploads)
    building = await Building.open(
        Supplies(
            machinery=machinery,
            containers=store,
            records=cache,
            history=HistoryStore(database),
            pulls=pulls,
            pushes=pushes,
            registry=registry,
        )
    )
    stack.push_async_callback(building.close)
    return Engine(
        containers=containers,
        execs=Execs(machinery, store, lives, announcer),
        stats=stats,
        updates=Updates(machinery, store, lives, announcer),
        container_prune=ContainerPrune(containers, events),
        image_prune=ImagePrune(images, events),
        network_prune=NetworkPrune(networks, events),
        build_cache=building.cache,
        filesystem=Filesystem(machinery, store, lives, announcer, images),
        archives=Archives(machinery, store, lives, announcer, workers),
        images=images,
        pulls=pulls,
        pushes=pushes,
        building=building,
        volumes=volumes,
        volume_prune=VolumePrune(volumes, events),
        events=events,
        networks=networks,
        plugins=plugins,
        registry=registry,
        system=System(
            config,
            instance.id,
            store.count,
            images.count,
            images.warnings,
            lambda: (each.driver for each in networks.all()),
            volumes.driver_names,
            events,
        ),
        disk=Disk(config.data_root),
        _collector=collector,
        _machinery=machinery,
        _store=store,
        _lives=lives,
        _watcher=watcher,
        _resources=stack.pop_all(),
    )
