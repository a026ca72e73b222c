"""Parts of an engine, each opened by its configuration."""

import asyncio
import os
from contextlib import AsyncExitStack
from pathlib import Path

import errdefs
from engine import faults
from engine.build.solver.records import CacheStore, Record
from engine.config import Config
from engine.containers.oci import UNCONFINED
from engine.containers.store import ContainerStore
from engine.database import Database
from engine.events import Events
from engine.instance import directory
from engine.registry.hosts import Settings
from engine.volumes.drivers import Drivers
from engine.volumes.host import VolumeHost
from engine.volumes.mounted import Mounted
from engine.volumes.volumes import Volumes
from network.controller import Controller, NetworkConfig
from plugins.registry import Plugins
from runtime.content.local import LocalContentStore
from runtime.snapshots.overlay import OverlaySnapshotter
from runtime.snapshots.snapshotter import Kind
from runtime.supervisor import Supervisor
from volumes.local import LocalDriver


def registries(config: Config) -> Settings:
    """How registries are spoken to."""
    return Settings(
        insecure=config.insecure_registries,
        mirrors=config.registry_mirrors,
        http_proxy=config.http_proxy,
        https_proxy=config.https_proxy,
        no_proxy=config.no_proxy,
    )


def make_directories(config: Config) -> None:
    """The data root keeps strangers out by itself; what is in it is for root alone."""
    for name in ("containers", "content", "snapshots"):
        directory(config.data_root / name, 0o710 if name == "containers" else 0o700)
    directory(config.data_root / "volumes", 0o701)
    directory(config.data_root / "build")
    directory(config.data_root / "build" / "cache")
    directory(config.exec_root, 0o711)  # containers with a user namespace reach their roots through it
    directory(config.exec_root / "containers", 0o711)
    directory(config.exec_root / "bound", 0o711)
    directory(config.exec_root / "netns")
    directory(config.exec_root / "volumes")
    directory(config.exec_root / "view")


async def open_cache(
    database: Database, content: LocalContentStore, snapshots: OverlaySnapshotter
) -> CacheStore:
    """The build cache, without records of which something is gone."""
    cache, blobs = CacheStore(database), await content.walk()
    layers = {info.name for info in snapshots.walk() if info.kind is Kind.COMMITTED}

    def whole(record: Record) -> bool:
        return all(
            layer.chain_id in layers and layer.blob in blobs for layer in record.layers
        ) and blobs.keys() >= set(record.blobs)

    await cache.load(whole)
    return cache


async def open_supervisor(config: Config, stack: AsyncExitStack) -> Supervisor:
    """The supervisor, which `stack` closes."""
    supervisor = await Supervisor.open(config.exec_root, faults=faults.of_shims())
    stack.push_async_callback(supervisor.close)
    return supervisor


async def open_volumes(
    config: Config,
    instance: str,
    database: Database,
    events: Events,
    store: ContainerStore,
    owner: tuple[int, int],
    plugins: Plugins,
) -> Volumes:
    """The volumes of local and plugins' drivers; those of containers belong to `owner`."""
    local = LocalDriver(
        config.data_root / "volumes",
        await asyncio.to_thread(VolumeHost, config.data_root / "volumes"),
        instance=instance,
        owner=owner,
    )
    mounted = Mounted(config.exec_root / "volumes")
    return await Volumes.open(database, Drivers(local, plugins), events, store.volumes_used, mounted, owner)


async def open_network(config: Config, instance: str, plugins: Plugins, stack: AsyncExitStack) -> Controller:
    """The network, which `stack` closes."""
    controller = await Controller.open(
        NetworkConfig(
            instance=instance,
            exec_root=config.exec_root,
            bridge=config.bridge,
            default_bridge=config.default_bridge,
            address_pools=config.default_address_pools,
            ip_forward=config.ip_forward,
            ip_forward_no_drop=config.ip_forward_no_drop,
            allow_direct_routing=config.allow_direct_routing,
            obey_firewall=config.published_ports == "host-firewall",
            held=config.data_root / "held",
        ),
        plugins,
    )
    stack.push_async_callback(controller.close)
    return controller


def seccomp_profile(setting: str) -> bytes | None:
    """The profile that containers get by default: None for the builtin one."""
    if setting in ("", "builtin"):
        return None
    if setting == "unconfined":
        return UNCONFINED
    try:
        return Path(setting).read_bytes()
    except OSError as error:
        raise errdefs.InvalidArgument(
            f"cannot read the seccomp profile {setting}: {os.strerror(error.errno or 0)}"
        ) from error
