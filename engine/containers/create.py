"""Creating a container."""

import asyncio
import os
import shutil
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import msgspec

import errdefs
from engine import ids, names
from engine.containers import image_mounts, linked, mounts, networking, places, storage_opt
from engine.containers.config import ContainerConfig, EndpointConfig, HostConfig, NetworkingConfig
from engine.containers.container import Container
from engine.containers.defaults import with_defaults
from engine.containers.export import open_root
from engine.containers.log_options import LogOptions
from engine.containers.machinery import Machinery
from engine.containers.network_mode import mode_of_host, verify_endpoints, verify_network_mode
from engine.containers.own_labels import own_labels
from engine.containers.store import ContainerStore
from engine.containers.users import identity_of
from engine.containers.verify import verify
from engine.images.image import Image
from engine.images.merge import merge_config
from engine.undo import Undo
from engine.volumes.use import Taking
from runtime.cgroups import discard
from runtime.layers.marks import add_marks
from volumes.mount_point import VOLUME

STEPS = ("snapshot", "directory", "images", "volumes", "filled", "save")


class Created(msgspec.Struct, frozen=True):
    """The answer to a create request."""

    id: str
    warnings: list[str]


async def prepare(
    name: str,
    config: ContainerConfig,
    host: HostConfig,
    networking_config: NetworkingConfig | None,
    image: Image | None,
    machinery: Machinery,
    store: ContainerStore,
    *,
    recursive_read_only: bool = True,
) -> tuple[Container, list[str]]:
    """The record of a new container and Docker's warnings; InvalidArgument if it cannot be. Touches nothing.

    Without an image, which Docker allows, it has an empty root.
    """
    verify_network_mode(config, host)
    merged = merge_config(config, image.config.run) if image else config
    host = with_defaults(host, machinery.config)
    verify(
        merged,
        host,
        runtimes=frozenset(machinery.config.runtimes),
        cgroup_driver=machinery.config.cgroup_driver,
        limits=machinery.limits,
    )
    identity = identity_of(host, machinery.identity)
    _size(host, machinery)
    LogOptions.parse(host.log_config)
    changes, warnings = discard(msgspec.structs.asdict(host), machinery.limits)
    host = msgspec.structs.replace(host, **changes)
    command = [*(merged.entrypoint or ()), *(merged.cmd or ())]
    if not command:
        raise errdefs.InvalidArgument("no command specified")
    identifier = ids.new_id()
    if not merged.hostname:
        merged = msgspec.structs.replace(merged, hostname=_hostname(host, identifier))
    resolve = partial(
        mounts.resolve,
        merged,
        host,
        machinery.roots,
        list(mounts.taken_over(host, store.get)),
        recursive_read_only=recursive_read_only,
    )
    points = await asyncio.to_thread(resolve) if host.binds or host.mounts else resolve()
    container = Container(
        id=identifier,
        name=name or "",
        created=time.time_ns(),
        path=command[0],
        args=command[1:],
        config=merged,
        host_config=host,
        networks=_networks(merged, host, networking_config, machinery),
        links=linked.resolve(host, store),
        image_id=image.id if image else "",
        image_name=config.image,
        own_labels=own_labels(config.labels),
        image_manifest=msgspec.structs.replace(image.descriptor, platform=image.platform) if image else None,
        snapshot=identifier,
        log_path=_log_path(identifier, host, machinery),
        runtime=host.runtime or machinery.config.default_runtime,
        identity=identity,
        mounts=image_mounts.known(points, identifier, machinery),
    )
    return container, [*warnings, *_warnings(host)]


async def create(
    container: Container, image: Image | None, machinery: Machinery, store: ContainerStore
) -> Container:
    """Make a prepared container; its name is reserved by the caller. Returns the record as committed."""
    try:
        return await _create(container, image, machinery, store)
    except OSError as error:
        on = f"{error.filename}: " if error.filename else ""
        raise errdefs.SystemFailure(
            f"cannot create container {container.id}: {on}{error.strerror}"
        ) from error


async def _create(
    container: Container, image: Image | None, machinery: Machinery, store: ContainerStore
) -> Container:
    async with Undo("create", STEPS) as undo:
        below = image.chain_id or None if image else None
        await machinery.snapshots.prepare(
            container.snapshot, below, size=_size(container.host_config, machinery)
        )
        undo.step("snapshot", partial(machinery.snapshots.remove, container.snapshot))
        directory = machinery.files(container.id)
        await asyncio.to_thread(
            _make_files,
            machinery.snapshots.upper(container.snapshot),
            machinery.snapshots.below(container.snapshot),
            directory,
        )
        undo.step("directory", partial(asyncio.to_thread, shutil.rmtree, directory, ignore_errors=True))
        undo.step("images", partial(image_mounts.remove, container, machinery))
        await image_mounts.make(container, machinery)
        taking = Taking(machinery.volumes, container.id)
        undo.step("volumes", taking.give_back)
        container = await _with_volumes(container, taking, machinery)
        undo.step("filled")
        await store.save(container)
        undo.step("save")
        undo.done()
    await taking.keep()
    return container


def _make_files(upper: Path, below: Sequence[Path], directory: Path) -> None:
    add_marks(upper, below)
    os.makedirs(directory, 0o710)


async def _with_volumes(container: Container, taking: Taking, machinery: Machinery) -> Container:
    """The container with volumes that are there; empty ones get what its image has where they are mounted."""
    points = [await taking.take(point) if point.type == VOLUME else point for point in container.mounts]
    wanting = [point for point in points if point.type == VOLUME and point.copy_up and not point.subpath]
    if wanting:
        root = await open_root(container, machinery)
        try:
            for point in wanting:
                await taking.fill(point, root)
        finally:
            os.close(root)
    return msgspec.structs.replace(container, mounts=points)


def choose_name(asked: str, store: ContainerStore, identifier: str) -> str:
    """The asked name if it is a good one, else a made-up one that is free."""
    if asked:
        return names.require_valid(asked)
    return names.generate(store.name_taken, identifier[: ids.SHORT_LENGTH])


def _size(host: HostConfig, machinery: Machinery) -> int:
    """What a container may hold in its root, bytes; 0 for any number."""
    return storage_opt.size_of(
        host.storage_opt, machinery.config.container_size, limited=machinery.snapshots.limits_size
    )


def _hostname(host: HostConfig, identifier: str) -> str:
    if mode_of_host(host) == "host" or host.uts_mode == "host":
        return os.uname().nodename
    return identifier[: ids.SHORT_LENGTH]


def _networks(
    config: ContainerConfig, host: HostConfig, asked: NetworkingConfig | None, machinery: Machinery
) -> dict[str, EndpointConfig]:
    endpoints = {
        "bridge" if name == "default" else name: endpoint or EndpointConfig()
        for name, endpoint in ((asked.endpoints_config if asked else None) or {}).items()
    }
    find = networking.finder(machinery.networks)
    verify_endpoints(endpoints, find)
    if config.network_disabled:
        return {}
    return places.at_creation(mode_of_host(host), endpoints, find)


def _log_path(identifier: str, host: HostConfig, machinery: Machinery) -> str:
    if host.log_config.type != "json-file":
        return ""
    return str(machinery.files(identifier) / f"{identifier}-json.log")


def _warnings(host: HostConfig) -> list[str]:
    warnings = []
    if host.network_mode == "host" and host.port_bindings:
        warnings.append("Published ports are discarded when using host network mode")
    return warnings
