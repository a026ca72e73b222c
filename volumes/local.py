"""The local driver: `<root>/<name>/_data`, directories of this host."""

import asyncio
import logging
import os
import secrets
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import errdefs
from volumes.volume import LOCAL, require_valid_name

_log = logging.getLogger(__name__)

DATA = "_data"
_ROOT_MODE, _DATA_MODE = 0o701, 0o755
_DOCKERS_OPTIONS = frozenset({"type", "o", "device", "size"})


class LocalDriver:
    """See Driver. A volume that is removed is renamed first: nobody ever sees half of one."""

    name = LOCAL
    scope = "local"

    def __init__(
        self,
        root: Path,
        *,
        instance: str,
        remove_tree: Callable[[Path], None],
        mounted: Callable[[], Iterable[str]],
        owner: tuple[int, int] = (0, 0),
    ) -> None:
        """Keep volumes below `root`, which exists.

        `remove_tree` removes a tree however deep, `mounted` tells where this host has something mounted; both block.
        What this driver leaves half removed is named after `instance`. New volumes belong to `owner`, (uid, gid).
        """
        self._root = root
        self._remove_tree = remove_tree
        self._mounted = mounted
        self._owner = owner
        self._leaving = f".removed-{instance}-"  # no volume's name begins with a dot

    def check(self, name: str, options: Mapping[str, str] | None) -> None:
        """See Driver."""
        require_valid_name(name)
        for option in options or ():
            if option not in _DOCKERS_OPTIONS:
                raise errdefs.InvalidArgument(f'create {name}: invalid option: "{option}"')
        if options:
            raise errdefs.InvalidArgument(
                f"create {name}: options of the local driver ({', '.join(sorted(options))}) are not supported by this"
                " version of wherry"
            )

    def mountpoint(self, name: str) -> str:
        """See Driver."""
        return str(self._root / name / DATA)

    async def exists(self, name: str) -> bool:
        """See Driver."""
        return await asyncio.to_thread(os.path.lexists, self._root / name)

    async def create(self, name: str, options: Mapping[str, str] | None) -> None:  # noqa: ARG002 - there are none
        """See Driver."""
        try:
            await asyncio.to_thread(self._create, name)
        except OSError as error:
            raise errdefs.SystemFailure(
                f"create {name}: error while creating volume root path '{self._root / name}': mkdir"
                f" {error.filename}: {(error.strerror or '').lower()}"
            ) from error

    async def path(self, name: str) -> str:
        """See Driver."""
        path = self._root / name / DATA
        if not await asyncio.to_thread(_is_directory, path):
            raise errdefs.SystemFailure(f"the data of volume {name} is gone: {path} is no directory")
        return str(path)

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

    def _create(self, name: str) -> None:
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
                os.chown(directory, *owner)
                os.chmod(directory, mode)  # whatever the umask
        _sync(self._root / name)
        _sync(self._root)

    def _remove(self, name: str) -> None:
        directory = self._root / name
        inside = f"{directory}/"
        if any(place.startswith(inside) or place == str(directory) for place in self._mounted()):
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
            self._remove_tree(leaving)


def _is_directory(path: Path) -> bool:
    """A directory, or a link to one: administrators put volumes on other disks that way."""
    return path.is_dir()


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
