"""Snapshots as they lie on the disk: their metadata, and what a former run or a damage has left of some."""

import logging
import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

from errdefs import SystemFailure
from runtime.snapshots.snapshotter import Info, Kind

_log = logging.getLogger(__name__)
_PARTS = frozenset({"fs", "work", "new-meta"})  # of a snapshot beside its metadata


def take_stock(root: Path, remove: Callable[[Path], None]) -> dict[str, Info]:
    """The snapshots below `root`; what is half made or half removed goes, what is none of them is left alone.

    A committed one without files is worth nothing, and goes. An active one has what a container wrote: nothing of it is
    touched.
    """
    for left in (root / "tmp").iterdir():
        _remove(left, remove)
    index: dict[str, Info] = {}
    for kind in Kind:
        for directory in (root / kind).iterdir():
            try:
                info = read_meta(directory, kind)
            except (OSError, ValueError):
                if kind is Kind.ACTIVE or not _is_torn(directory):
                    _log.warning("%s is no snapshot of this engine and is left alone", directory)
                    continue
            else:
                if kind is not Kind.COMMITTED or (directory / "fs").is_dir():
                    index[info.name] = info
                    continue
            _log.warning("%s is damaged, and removed", directory)
            _remove(directory, remove)
    return index


def parents(index: dict[str, Info], info: Info) -> tuple[list[Info], str | None]:
    """The snapshots below one, the nearest first, and the name of one that should be there and is not."""
    chain: list[Info] = []
    while info.parent is not None:
        if info.parent not in index or len(chain) == len(index):
            return chain, info.parent
        info = index[info.parent]
        chain.append(info)
    return chain, None


def read_meta(directory: Path, kind: Kind) -> Info:
    """What a snapshot's metadata say. OSError or ValueError where there are none."""
    version, created, parent = os.readlink(directory / "meta").split(" ")
    if version != "1":
        raise SystemFailure(f"{directory} was made by a newer version of this engine")
    return Info(name=unquote(directory.name), kind=kind, parent=parent or None, created=int(created))


def write_meta(link: Path, info: Info) -> None:
    """Write the metadata of a snapshot, under a name that is free."""
    os.symlink(f"1 {info.created} {info.parent or ''}", link)


def _is_torn(directory: Path) -> bool:
    """Whether that was a snapshot, before its metadata were lost or removed."""
    if directory.is_symlink() or not directory.is_dir():
        return False
    return "fs" in (parts := set(os.listdir(directory))) and parts <= _PARTS


def _remove(path: Path, remove: Callable[[Path], None]) -> None:
    try:
        remove(path)
    except OSError as error:  # an immutable file, say, must not keep the engine from starting
        _log.warning("cannot remove %s, what is left of a snapshot: %s", path, error.strerror)
