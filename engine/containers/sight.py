"""How a container's files are seen from outside: its root, and all that it mounts on that by its record."""

import posixpath
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import errdefs
from engine.containers import bundle, files
from engine.containers.container import Container
from engine.containers.machinery import Machinery
from engine.containers.store import ContainerStore
from runtime.archive.order import Part, View
from volumes.mount_point import BIND


def view_of(
    container: Container, sources: Mapping[str, str], machinery: Machinery, store: ContainerStore, at: str
) -> View:
    """The view; the caller holds the container's lock. `at` is a directory for it.

    `sources`: where the host has what one that does not run mounts, by destination, beside plain paths.
    """
    mounted = container.running or container.identity.remapped
    return View(
        at=at,
        rootfs=str(machinery.rootfs(container.id)) if mounted else "",
        mounts=[] if mounted else machinery.snapshots.mounts(container.snapshot),
        parts=sorted(
            _parts(container, sources, machinery, store), key=lambda part: part.destination.count("/")
        ),
        read_only=container.host_config.readonly_rootfs,
        identity=container.identity,
    )


@asynccontextmanager
async def mounted(container: Container, machinery: Machinery) -> AsyncGenerator[None, None]:
    """The root of one that does not run, mounted where `view_of` says inside the block, if it has to be."""
    async with AsyncExitStack() as undo:
        if container.identity.remapped and not container.running:
            directory, rootfs = machinery.bundle(container.id), machinery.rootfs(container.id)
            await bundle.make(directory)
            undo.push_async_callback(bundle.remove, directory)
            await machinery.snapshots.mount(container.snapshot, rootfs, identity=container.identity)
            undo.push_async_callback(machinery.snapshots.unmount, rootfs)
        yield


def _parts(
    container: Container, sources: Mapping[str, str], machinery: Machinery, store: ContainerStore
) -> Iterator[Part]:
    users = {point.destination for point in container.mounts}
    read_only = container.host_config.readonly_rootfs
    for path, source in _own_files(container, machinery, store).items():
        if path not in users:
            yield Part(path, source, read_only=read_only, user=False)
    for point in container.mounts:
        source = sources.get(point.destination, point.source if point.type == BIND else "")
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
    return files.of_directory(directory)
