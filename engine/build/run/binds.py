"""Bind mounts of a step: parts of what other steps made or of a context, to be read, or to be changed for a while."""

import asyncio
import errno
import os
import stat
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec

import errdefs
from engine.build.workspace import Workspaces
from runtime import idmapped, mount
from runtime.mount import Mount
from runtime.paths import open_in_root
from runtime.settled import settled
from runtime.spec.identity import Identity
from runtime.userns import UserNamespaces

_MISSING = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)
_OPTIONS = ("index=off", "metacopy=off", "redirect_dir=off")


class Shift(msgspec.Struct, frozen=True, kw_only=True):
    """Whose ids the files of a step have, where they are not the disk's; `disk` is what holds all of them."""

    identity: Identity
    disk: Path
    users: UserNamespaces = msgspec.field(default_factory=UserNamespaces)


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


@asynccontextmanager
async def shifted(
    root: Path, place: Path, workspaces: Workspaces, ids: Shift, *, read_only: bool
) -> AsyncIterator[Path]:
    """A tree as a container with an identity sees it, mounted at `place`, which is made. It stays as it was.

    SystemFailure where kernel or file system cannot.
    """
    async with workspaces.scratch() as scratch:
        try:
            await settled(_mount_shifted, workspaces.stacked(root), scratch, place, ids, read_only=read_only)
            yield place
        finally:
            await settled(_unmount, place)


@asynccontextmanager
async def shared(directory: Path, place: Path, ids: Shift) -> AsyncIterator[Path]:
    """A directory itself as a container with an identity sees it, mounted at `place`, which is made. SystemFailure."""
    try:
        await settled(_attach, Mount(type="bind", source=str(directory), options=("rbind",)), place, ids)
        yield place
    finally:
        await settled(_unmount, place)


def _mount_shifted(lower: Sequence[Path], scratch: Path, place: Path, ids: Shift, *, read_only: bool) -> None:
    if not read_only:
        wanted = _over(lower, scratch)
    elif len(lower) == 1:
        wanted = Mount(type="bind", source=str(lower[0]), options=("rbind", "ro"))
    else:
        options = ("ro", *(f"lowerdir+={path}" for path in lower), *_OPTIONS)
        wanted = Mount(type="overlay", source="overlay", options=options)
    _attach(wanted, place, ids)


def _attach(wanted: Mount, place: Path, ids: Shift) -> None:
    place.mkdir(0o700)
    idmapped.attach([wanted], place, ids.disk, ids.users.of(ids.identity), ids.identity.root)


def _mount_over(root: Path, scratch: Path, place: Path) -> None:
    place.mkdir(0o700)
    mount.attach([_over([root], scratch)], place)


def _over(lower: Sequence[Path], scratch: Path) -> Mount:
    """An overlay that can be changed, and has the owner and mode of what is below it."""
    upper, work = scratch / "upper", scratch / "work"
    upper.mkdir(0o755)
    work.mkdir(0o700)
    found = lower[0].stat()
    os.chown(upper, found.st_uid, found.st_gid)
    os.chmod(upper, stat.S_IMODE(found.st_mode))
    options = (
        *(f"lowerdir+={path}" for path in lower),
        f"upperdir={upper}",
        f"workdir={work}",
        *_OPTIONS,
    )
    return Mount(type="overlay", source="overlay", options=options)
