"""The local driver: `<root>/<name>/_data`, directories of this host, or what options mount there while it is used."""

import asyncio
import ipaddress
import logging
import os
import secrets
import socket
from collections.abc import Awaitable, Iterable, Mapping
from pathlib import Path
from typing import Protocol

import errdefs
from volumes import mount_options
from volumes.driver import Seen
from volumes.mount_options import MountOptions
from volumes.volume import LOCAL, Volume, require_valid_name

_log = logging.getLogger(__name__)

DATA = "_data"
_ROOT_MODE, _DATA_MODE = 0o701, 0o755


class Host(Protocol):
    """What this driver has others do on the host."""

    def mount(self, device: str, target: str, kind: str, options: str) -> Awaitable[None]:
        """Mount as mount(2); SystemFailure that tells all it was given. Cancelled, it may have mounted or not."""

    def unmount(self, target: str) -> bool:
        """Unmount the uppermost, whether there was one. Blocks."""

    def mounted(self) -> Iterable[str]:
        """Where something is mounted. Blocks."""

    @property
    def limits(self) -> bool:
        """Whether `limit` can."""

    def limit(self, directory: Path, size: int) -> None:
        """Let a new, empty directory hold no more than `size` bytes. Blocks. SystemFailure."""

    def remove_tree(self, path: Path) -> None:
        """Remove a tree however deep, and its limit. Blocks."""


class LocalDriver:
    """See Driver. A volume that is removed is renamed first: nobody ever sees half of one."""

    name = LOCAL
    scope = "local"

    def __init__(self, root: Path, host: Host, *, instance: str, owner: tuple[int, int] = (0, 0)) -> None:
        """Keep volumes below `root`, which exists. What is left half removed is named after `instance`.

        New volumes belong to `owner`, (uid, gid).
        """
        self._root = root
        self._host = host
        self._owner = owner
        self._leaving = f".removed-{instance}-"  # no volume's name begins with a dot

    def check(self, name: str, options: Mapping[str, str] | None) -> None:
        """See Driver."""
        require_valid_name(name)
        mount_options.check(name, options or {}, quota=self._host.limits)

    def mounts(self, volume: Volume) -> bool:
        """See Driver."""
        return mount_options.of(volume.options) is not None

    def mountpoint(self, name: str) -> str:
        """Where its data is shown to be, whether it is there or not."""
        return str(self._root / name / DATA)

    async def find(self, name: str) -> Seen | None:
        """See Driver."""
        there = await asyncio.to_thread(os.path.lexists, self._root / name)
        return Seen(name=name, mountpoint=self.mountpoint(name)) if there else None

    async def list(self) -> list[Seen]:
        """See Driver."""
        return []

    async def create(self, name: str, options: Mapping[str, str] | None) -> None:
        """See Driver."""
        text = (options or {}).get("size", "")
        try:
            await asyncio.to_thread(self._create, name, mount_options.size(name, text) if text else 0)
        except OSError as error:
            raise errdefs.SystemFailure(
                f"create {name}: error while creating volume root path '{self._root / name}': mkdir"
                f" {error.filename}: {(error.strerror or '').lower()}"
            ) from error

    async def mount(self, volume: Volume, user: str) -> str:  # noqa: ARG002 - one mount for all
        """See Driver."""
        path = self._root / volume.name / DATA
        if not await asyncio.to_thread(_is_directory, path):
            raise errdefs.SystemFailure(f"the data of volume {volume.name} is gone: {path} is no directory")
        asked = mount_options.of(volume.options)
        if asked is not None and not await asyncio.to_thread(self._is_mounted, str(path)):
            await self._mount(asked, str(path))
        return str(path)

    async def unmount(self, volume: Volume, user: str, *, last: bool) -> None:  # noqa: ARG002 - as above
        """See Driver."""
        if last and self.mounts(volume):
            await asyncio.to_thread(self._unmount, self.mountpoint(volume.name))

    async def remove(self, name: str) -> None:
        """See Driver."""
        try:
            await asyncio.to_thread(self._remove, name)
        except OSError as error:
            raise errdefs.SystemFailure(
                f"remove {name}: error while removing volume root path '{self._root / name}': {error.strerror}"
            ) from error

    async def sweep(self) -> None:
        """See Driver."""
        await asyncio.to_thread(self._sweep)

    async def _mount(self, asked: MountOptions, path: str) -> None:
        failed = f"error while mounting volume '{path}': "
        if not asked.device:
            raise errdefs.SystemFailure(failed + "missing device in volume options")
        server = mount_options.address(asked)
        if server and not _is_address(server):
            try:
                asked = mount_options.with_address(asked, server, await _resolve(server))
            except OSError as error:
                raise errdefs.SystemFailure(
                    f"{failed}error resolving passed in network volume address: lookup {server}: {error.strerror}"
                ) from error
        try:
            await self._host.mount(asked.device, path, asked.type, asked.options)
        except errdefs.SystemFailure as error:
            told = asked.hidden(error.message)
            raise errdefs.SystemFailure(f"{failed}failed to mount local volume: {told}") from None

    def _is_mounted(self, path: str) -> bool:
        return os.path.realpath(path) in self._host.mounted()

    def _unmount(self, path: str) -> None:
        while self._is_mounted(path) and self._host.unmount(os.path.realpath(path)):
            pass

    def _create(self, name: str, size: int) -> None:
        places = (
            (self._root / name, _ROOT_MODE, (0, 0)),
            (self._root / name / DATA, _DATA_MODE, self._owner),
        )
        for directory, mode, owner in places:
            try:
                os.mkdir(directory, mode)
            except FileExistsError:
                if not _is_directory(directory):
                    raise
            else:
                if size and directory.name == DATA:
                    self._host.limit(directory, size)
                os.chmod(directory, mode)  # whatever the umask
                os.chown(directory, *owner)
        _sync(self._root / name)
        _sync(self._root)

    def _remove(self, name: str) -> None:
        directory = self._root / name
        inside = f"{directory}/"
        if any(place.startswith(inside) or place == str(directory) for place in self._host.mounted()):
            raise errdefs.Conflict(f"remove {name}: something is mounted in {directory}: unmount it first")
        leaving = self._root / f"{self._leaving}{secrets.token_hex(8)}"
        try:
            os.rename(directory, leaving)
        except FileNotFoundError:
            return
        _sync(self._root)
        self._try_to_discard(leaving)

    def _sweep(self) -> None:
        for entry in list(os.scandir(self._root)):
            if entry.name.startswith(self._leaving):
                self._try_to_discard(Path(entry.path))

    def _try_to_discard(self, leaving: Path) -> None:
        """The volume is gone by its new name; what cannot be deleted now is tried again at the next boot."""
        try:
            self._discard(leaving)
        except (OSError, errdefs.WherryError) as error:
            _log.warning("%s, of a removed volume, is left: %s", leaving, error)

    def _discard(self, leaving: Path) -> None:
        if leaving.is_symlink() or not leaving.is_dir():
            leaving.unlink()  # who put a link in place of the directory keeps what it leads to
        else:
            self._host.remove_tree(leaving)


def _is_directory(path: Path) -> bool:
    """A directory, or a link to one: administrators put volumes on other disks that way."""
    return path.is_dir()


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


async def _resolve(name: str) -> str:
    """The address of a server, of IPv4 if it has one. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_STREAM)
    ordered = sorted(found, key=lambda each: each[0] != socket.AF_INET)
    return str(ordered[0][4][0])


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
