"""/dev/shm of containers that may share it: a mount beside the container's root, bound into the container.

A shareable container has a tmpfs there, one that joins it a bind of the donor's: either lives as long as its own
container, whichever ends first. The host's is bound as it is. One that shares with nobody gets its own from the
runtime, and nothing of it is seen on the host.
"""

import asyncio
import os
from functools import partial
from pathlib import Path

import errdefs
from engine.containers import donors
from engine.containers.container import Container
from engine.containers.machinery import Machinery
from engine.containers.store import ContainerStore
from engine.undo import Undo
from runtime import mount
from runtime.spec.options import SHM

_NAME = "shm"
_FLAGS = ("nosuid", "nodev", "noexec", "mode=1777")


async def provide(container: Container, undo: Undo, machinery: Machinery, store: ContainerStore) -> str:
    """Mount what the container has at /dev/shm, the step "shm" of `undo`; the host's path of it, "" for none.

    SystemFailure where the host has none to share; `donors.of_ipc` tells what a donor may lack.
    """
    bundle, mode = machinery.bundle(container.id), container.host_config.ipc_mode
    undo.step("shm", partial(give_back, bundle))
    if mode == "host":
        return _of_host()
    if mode.startswith(donors.SHARED):
        donor = donors.of_ipc(container.host_config, store)
        return await asyncio.to_thread(_join, bundle / _NAME, _shared_by(donor, machinery), donor)
    if mode == "shareable" and not _covered(container):
        return await asyncio.to_thread(_make, bundle / _NAME, container)
    return ""


async def give_back(bundle: Path) -> None:
    """Unmount what is mounted for the container of this bundle. Idempotent."""
    await asyncio.to_thread(unmount, bundle)


def unmount(bundle: Path) -> None:
    """The same. Blocks."""
    mount.unmount_all(bundle / _NAME)


def _shared_by(donor: Container, machinery: Machinery) -> str:
    return _of_host() if donor.host_config.ipc_mode == "host" else str(machinery.bundle(donor.id) / _NAME)


def _of_host() -> str:
    if not os.path.isdir(SHM):
        raise errdefs.SystemFailure(f"{SHM} is not mounted, but must be for --ipc=host")
    return SHM


def _covered(container: Container) -> bool:
    return SHM in (container.host_config.tmpfs or ()) or any(
        each.destination == SHM for each in container.mounts
    )


def _make(target: Path, container: Container) -> str:
    target.mkdir(mode=0o700, exist_ok=True)
    uid, gid = container.identity.root
    options = (*_FLAGS, f"size={container.host_config.shm_size}", f"uid={uid}", f"gid={gid}")
    mount.attach([mount.Mount(type="tmpfs", source="shm", options=options)], target)
    return str(target)


def _join(target: Path, source: str, donor: Container) -> str:
    """Bind the donor's. It may have ended since it was looked at: then what is there is no mount any more."""
    target.mkdir(mode=0o700, exist_ok=True)
    if os.path.ismount(source):
        mount.attach([mount.Mount(type="none", source=source, options=("bind",))], target)
        if _is_whole(target):
            return str(target)
        mount.unmount(target)
    raise donors.not_shareable(donor)


def _is_whole(target: Path) -> bool:
    """Whether a file system is bound there, and not a directory of one."""
    roots = [entry.root for entry in mount.mountinfo() if entry.target == str(target)]
    return roots[-1:] == ["/"]
