"""How a container's files are seen from outside: its root, and all that it mounts on that by its record."""

import posixpath
from collections.abc import AsyncIterator

import errdefs
from engine.containers import files
from engine.containers.container import Container
from engine.containers.machinery import Machinery
from engine.containers.store import ContainerStore
from runtime.archive.order import Part, View
from volumes.mount_point import TMPFS, VOLUME, MountPoint


async def view_of(container: Container, machinery: Machinery, store: ContainerStore, at: str) -> View:
    """The view; the caller holds the container's lock. `at` is a directory for it."""
    parts = [part async for part in _parts(container, machinery, store)]
    running = container.running
    return View(
        at=at,
        rootfs=str(machinery.rootfs(container.id)) if running else "",
        mounts=[] if running else machinery.snapshots.mounts(container.snapshot),
        parts=sorted(parts, key=lambda part: part.destination.count("/")),
        read_only=container.host_config.readonly_rootfs,
    )


async def _parts(container: Container, machinery: Machinery, store: ContainerStore) -> AsyncIterator[Part]:
    users = {posixpath.normpath(point.destination) for point in container.mounts}
    read_only = container.host_config.readonly_rootfs
    for path, source in _own_files(container, machinery, store).items():
        if path not in users:
            yield Part(path, source, read_only=read_only, user=False)
    for point in container.mounts:
        source = await _source(point, machinery)
        if source or container.running:
            recursive = "bind" not in point.options
            yield Part(point.destination, source, read_only=not point.rw, recursive=recursive)
    if container.running:  # another one has nothing there
        for path in container.host_config.tmpfs or ():
            yield Part(posixpath.normpath(path), "")


def _own_files(container: Container, machinery: Machinery, store: ContainerStore) -> dict[str, str]:
    try:
        directory = files.directory_of(container, machinery, store)
    except errdefs.WherryError:  # of one that shares the network of another, which does not run
        return {}
    return {f"/etc/{name}": str(directory / name) for name in files.NAMES}


async def _source(point: MountPoint, machinery: Machinery) -> str:
    if point.type == VOLUME:
        return await machinery.volumes.path(point.name)
    return "" if point.type == TMPFS else point.source
