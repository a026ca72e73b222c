"""What a daemon that was killed leaves of builds, removed at boot: without loading what builds are made with."""

import asyncio
import shutil
from contextlib import suppress
from pathlib import Path

from engine.build.solver.records import CacheStore
from runtime import tree
from runtime.mount import mountinfo, unmount

_CHANGING = ".changing"  # ends the names of marks


async def sweep_steps(directory: Path) -> None:
    """Unmount what is left of any step, and remove its files; before snapshots are swept, and any step is."""
    await asyncio.to_thread(_sweep_steps, directory)


async def sweep_contexts(directory: Path) -> None:
    """Remove what was sent or fetched for builds."""
    await asyncio.to_thread(tree.remove, directory)


async def sweep_caches(store: CacheStore, directory: Path) -> None:
    """Remove directories that no record keeps, and records whose directory is gone; before any use."""
    known = {each.directory: each.id for each in store.all() if each.directory}
    await store.remove(await asyncio.to_thread(_sweep_caches, directory, known))


def _sweep_steps(directory: Path) -> None:
    inside = f"{directory}/"
    for entry in reversed(mountinfo()):
        if entry.target.startswith(inside):
            unmount(Path(entry.target))
    if not any(entry.target.startswith(inside) for entry in mountinfo()):
        shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(0o711, exist_ok=True)


def mark(directory: Path) -> None:
    """A directory of the cache is about to change: what a start finds of it then is not to be taken for whole."""
    with suppress(FileExistsError):
        _mark_of(directory).symlink_to(directory.name)  # which takes one call, and no block of the disk


def unmark(directory: Path) -> None:
    """It is whole, and on the disk; or it is gone."""
    _mark_of(directory).unlink(missing_ok=True)


def remove(directory: Path) -> None:
    """Remove a directory of the cache with its mark, if it has one."""
    tree.remove(directory)
    unmark(directory)


def _mark_of(directory: Path) -> Path:
    return directory.with_name(directory.name + _CHANGING)


def _sweep_caches(directory: Path, known: dict[str, str]) -> list[str]:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    names = {path.name for path in directory.iterdir()}
    changing = {name.removesuffix(_CHANGING) for name in names if name.endswith(_CHANGING)}
    there = {name for name in names if not name.endswith(_CHANGING)}
    whole = known.keys() & there - changing
    for name in there - whole:
        tree.remove(directory / name)
    for name in changing:  # at last: a sweep that is cut short is done again
        unmark(directory / name)
    return [record_id for name, record_id in known.items() if name not in whole]
