"""The actions of a step, one after the other, in the root, which is our root."""

import os
import stat
from collections.abc import Sequence

from runtime.copying import chmod, files, owner, selection, unpacking
from runtime.copying.copier import Copier
from runtime.copying.order import Action, CopyFiles, MakeDirectory, MakeFile
from runtime.copying.places import Look, make_directories, place_of
from runtime.copying.selection import Found, Part


def unpacks(actions: Sequence[Action]) -> bool:
    """Whether an archive may have to be unpacked."""
    return any(isinstance(action, CopyFiles) and action.unpack for action in actions)


def make(actions: Sequence[Action], sources: Sequence[int], epoch: int | None) -> None:
    """Do them. `sources`: open directories; `epoch`: see `Look`."""
    for action in actions:
        mode = "" if isinstance(action, MakeDirectory) else action.mode
        look = Look(owner.resolve(action.owner), chmod.parse(mode) if mode else None, epoch, set())
        if isinstance(action, CopyFiles):
            _copy(action, sources[action.source], look)
        elif isinstance(action, MakeFile):
            _make_file(action, look)
        else:
            make_directories(action.path, look)
        look.settle()


def _make_file(action: MakeFile, look: Look) -> None:
    place = place_of(action.destination, action.name, look)
    try:
        files.put_bytes(place, action.content.encode("latin-1"), look)
    finally:
        os.close(place.directory)


def _copy(action: CopyFiles, source: int, look: Look) -> None:
    copier = Copier(source, look)
    for part in selection.select(source, action.selection):
        if not action.unpack:
            copier.copy(part, action.destination)
            continue
        for found in part.found:
            if found.is_directory or not _unpack(source, found, action.destination, look):
                copier.copy(Part([found], part.rules, part.required), action.destination)


def _unpack(source: int, found: Found, destination: str, look: Look) -> bool:
    """Unpack a file if it is an archive; whether it is one."""
    if not stat.S_ISREG(found.stat.st_mode):
        return False
    archive = selection.open_file(source, found.path)
    try:
        if not unpacking.is_archive(archive):
            return False
        # The mode is for what is copied as it is.
        directory = make_directories(destination, look._replace(mode=None))
        unpacking.unpack(archive, directory, look.owner)
    finally:
        os.close(archive)
    return True
