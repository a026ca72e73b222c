"""What a start binds into a container beside plain paths of the host: volumes, images, and parts of either.

Volumes are mounted by their drivers. Images are read-only snapshots, mounted below `Machinery.bound`, where parts of
volumes and images are bound as well: nothing that moves in a volume meanwhile leads the runtime elsewhere. What is
mounted there is never removed but by unmounting: files below it are not the engine's.
"""

import asyncio
import errno
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import errdefs
from engine.containers import image_mounts
from engine.containers.container import Container
from engine.containers.machinery import Machinery
from runtime import mount
from runtime.paths import open_beneath
from volumes.mount_point import IMAGE, VOLUME


async def provide(container: Container, machinery: Machinery, holder: str = "") -> dict[str, str]:
    """The host's path of each such mount, by destination; `give_back` undoes it, also when this fails half way.

    `holder` is who gives it back: the container's run, unless it is said otherwise. NotFound or InvalidArgument for
    a part that is not there or leads out, SystemFailure for what cannot be mounted.
    """
    holder = holder or container.id
    bound, paths = machinery.bound(holder), dict[str, str]()
    for number, point in enumerate(container.mounts):
        if point.type == VOLUME:
            path = await machinery.volumes.mount(point.name, holder)
        elif point.type == IMAGE:
            target = image_mounts.place(bound, number)
            await asyncio.to_thread(_make, target)
            await machinery.snapshots.mount(
                point.snapshot, target, read_only=True, identity=container.identity
            )
            path = str(target)
        else:
            continue
        if point.subpath:
            path = await asyncio.to_thread(_bind, path, point.subpath, bound / str(number))
        paths[point.destination] = path
    return paths


async def give_back(holder: str, machinery: Machinery) -> None:
    """Unmount all of it. Idempotent; raises SystemFailure when the host refuses."""
    try:
        await asyncio.to_thread(unbind, machinery.bound(holder))
    finally:
        await machinery.volumes.release(holder)


@asynccontextmanager
async def seen(container: Container, machinery: Machinery) -> AsyncIterator[dict[str, str]]:
    """The same for a container that does not run, as long as the context lasts; what cannot be mounted fails."""
    holder = f"{container.id}.{secrets.token_hex(8)}"
    try:
        yield await provide(container, machinery, holder)
    finally:
        await give_back(holder, machinery)


def unbind(bound: Path) -> None:
    """Unmount what is mounted in a container's directory, and remove that. Blocks.

    Directories are removed as empty ones: what is mounted on cannot be.
    """
    try:
        entries = sorted(os.scandir(bound), key=lambda entry: entry.name.startswith(image_mounts.PLACE))
    except FileNotFoundError:
        return
    for entry in entries:
        mount.unmount_all(Path(entry.path))
        if entry.is_dir(follow_symlinks=False):
            os.rmdir(entry.path)
        else:
            os.unlink(entry.path)
    os.rmdir(bound)


def _bind(base: str, subpath: str, target: Path) -> str:
    """Bind what is at a path below a directory, whatever links lead there, but nothing outside."""
    root = os.open(base, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        found = _open(root, base, subpath)
    finally:
        os.close(root)
    try:
        source = f"/proc/self/fd/{found}"
        _make(target, directory=os.path.isdir(source))
        mount.attach([mount.Mount(type="none", source=source, options=("bind",))], target)
    finally:
        os.close(found)
    return str(target)


def _open(root: int, base: str, subpath: str) -> int:
    try:
        return open_beneath(root, subpath, os.O_PATH)
    except OSError as error:
        if error.errno == errno.EXDEV:
            raise errdefs.InvalidArgument(
                f"path concatenation escapes the base directory, base: {base}, subpath: {subpath}"
            ) from error
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            path = os.path.normpath(os.path.join(base, subpath))
            reason = os.strerror(error.errno).lower()
            raise errdefs.NotFound(f"cannot access path {path}: lstat {path}: {reason}") from error
        raise


def _make(target: Path, *, directory: bool = True) -> None:
    """A place to mount on; root of a user namespace passes through its directory, whatever the umask."""
    target.parent.mkdir(exist_ok=True)
    target.parent.chmod(0o711)
    if directory:
        target.mkdir(exist_ok=True)
    else:
        target.touch(mode=0o600)
