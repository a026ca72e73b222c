"""Bind mounts of a step: parts of what other steps made or of a context, to be read, or to be changed for a while."""

import asyncio
import errno
import os
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import errdefs
from engine.build.workspace import Workspaces
from runtime import mount
from runtime.mount import Mount
from runtime.paths import open_in_root
from runtime.settled import settled

_MISSING = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)
_OPTIONS = ("index=off", "metacopy=off", "redirect_dir=off")


async def part(root: Path, path: str) -> str:
    """The host's path of a part of a tree, links resolved within; nothing else changes the tree meanwhile. NotFound."""
    return await asyncio.to_thread(_part, root, path)


def _part(root: Path, path: str) -> str:
    found = _open(root, path)
    try:
        return os.readlink(f"/proc/self/fd/{found}")
    finally:
        os.close(found)


def _unmount(place: Path) -> None:
    mount.unmount(place)
    with suppress(FileNotFoundError):
        place.rmdir()


def _open(root: Path, path: str) -> int:
    top = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return open_in_root(top, path or "/", os.O_PATH)
    except OSError as error:
        if error.errno in _MISSING:
            raise errdefs.NotFound(f'"{path}": not found') from None
        raise errdefs.SystemFailure(f"cannot mount {path}: {error.strerror}") from error
    finally:
        os.close(top)


@asynccontextmanager
async def changeable(root: Path, place: Path, workspaces: Workspaces) -> AsyncIterator[Path]:
    """A tree to be changed, mounted at `place`, which is made; it stays as it was."""
    async with workspaces.scratch() as scratch:
        try:
            await settled(_mount_over, root, scratch, place)
            yield place
        finally:
            await settled(_unmount, place)


def _mount_over(root: Path, scratch: Path, place: Path) -> None:
    upper, work = scratch / "upper", scratch / "work"
    upper.mkdir(0o755)
    work.mkdir(0o700)
    found = root.stat()
    os.chown(upper, found.st_uid, found.st_gid)
    os.chmod(upper, stat.S_IMODE(found.st_mode))
    place.mkdir(0o700)
    options = (f"lowerdir+={root}", f"upperdir={upper}", f"workdir={work}", *_OPTIONS)
    mount.attach([Mount(type="overlay", source="overlay", options=options)], place)
