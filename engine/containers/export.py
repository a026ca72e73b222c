"""`docker export`: the root of a container as one archive."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import errdefs
from engine.containers import bundle
from engine.containers.container import Container
from engine.containers.machinery import Machinery
from engine.containers.state import Status
from runtime.layers.pack import pack
from runtime.spec.identity import HOST, Identity


def require_files(container: Container, verb: str) -> None:
    """Pass if the container has its files still. Conflict in Docker's words otherwise."""
    if container.state.status is Status.DEAD:
        raise errdefs.Conflict(f"You cannot {verb} container {container.id} which is Dead")
    if container.state.status is Status.REMOVING:
        raise errdefs.Conflict(f"You cannot {verb} container {container.id} which is being removed")


async def open_root(container: Container, machinery: Machinery) -> int:
    """A descriptor of the root as it is, with the host's ids, whatever becomes of the container, whose lock the caller
    holds.

    Of a container that does not run it is a mount that nobody else sees: it goes with the descriptor.
    """
    rootfs = machinery.rootfs(container.id)
    if container.running:
        return await asyncio.to_thread(_open, rootfs)
    directory = machinery.bundle(container.id)
    await bundle.make(directory)
    try:
        await machinery.snapshots.mount(
            container.snapshot, rootfs, read_only=True, identity=container.identity
        )
        try:
            return await asyncio.to_thread(_open, rootfs)
        finally:
            await machinery.snapshots.unmount(rootfs)
    finally:
        await bundle.remove(directory)


async def export(root: int, identity: Identity = HOST) -> AsyncIterator[bytes]:
    """The archive, in chunks of up to a megabyte; the descriptor is closed at the end, also by `aclose`."""
    try:
        async with aclosing(pack(root, identity=identity)) as chunks:
            async for chunk in chunks:
                yield chunk
    finally:
        os.close(root)


def _open(rootfs: Path) -> int:
    try:
        return os.open(rootfs, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError as error:
        raise errdefs.SystemFailure(f"cannot open {rootfs}: {error.strerror}") from error
