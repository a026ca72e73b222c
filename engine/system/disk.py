"""What lies under the data root beside images, containers' files and volumes' data."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

from volumes.local import DATA


class Disk:
    """Measures files by their bytes, as the rest of disk usage does, and not by blocks."""

    def __init__(self, data_root: Path) -> None:
        self._root = data_root

    async def logs(self, container_id: str) -> int:
        """The bytes of a container's log files, rotated ones among them."""
        return await asyncio.to_thread(self._logs, container_id)

    def _logs(self, container_id: str) -> int:
        directory = self._root / "containers" / container_id
        return sum(_size(entry) for entry in _entries(directory) if _is_log(entry))

    async def own(self) -> int:
        """The bytes of what the engine itself keeps.

        The database with its log and its reserve, the marker, hosts files and the like of containers, and the records
        beside snapshots and volumes.
        """
        return await asyncio.to_thread(self._own)

    def _own(self) -> int:
        return sum(map(_size, self._records()))

    def _records(self) -> Iterator[os.DirEntry[str]]:
        yield from _files(self._root)
        for container in _entries(self._root / "containers"):
            yield from (entry for entry in _files(container.path) if not _is_log(entry))
        yield from _files(self._root / "volumes")
        for volume in _entries(self._root / "volumes"):
            yield from (entry for entry in _files(volume.path) if entry.name != DATA)
        for kind in _entries(self._root / "snapshots"):
            for snapshot in _entries(kind.path):
                yield from _files(snapshot.path)


def _is_log(entry: os.DirEntry[str]) -> bool:
    return "-json.log" in entry.name or entry.name.startswith("container.log")


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_size
    except FileNotFoundError:  # gone meanwhile
        return 0


def _files(directory: str | Path) -> Iterator[os.DirEntry[str]]:
    return (entry for entry in _entries(directory) if not entry.is_dir(follow_symlinks=False))


def _entries(directory: str | Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as found:
            return list(found)
    except (FileNotFoundError, NotADirectoryError):  # gone meanwhile
        return []
