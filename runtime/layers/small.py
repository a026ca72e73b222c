"""Small layers to archives without a process: starting one takes longer than to pack a few files.

Only for the upper directory of an overlay that is mounted nowhere, so that nothing changes in it meanwhile.
"""

import asyncio
import ctypes
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from errdefs import SystemFailure
from runtime import tree
from runtime.layers.packer import Packer

_ENTRIES, _BYTES = 200, 1 << 20  # what holds the interpreter up for some milliseconds
_CLONE_FS = 0x200
_libc = ctypes.CDLL(None, use_errno=True)


class SmallPacker:
    """A thread that packs: it has a working directory of its own, as xattrs are to be had by path only."""

    def __init__(self) -> None:
        """The thread starts with the first layer."""
        self._thread = ThreadPoolExecutor(1, "pack", initializer=_part)

    async def pack(self, upper: Path) -> bytes | None:
        """The archive of a layer, as `runtime.layers.pack` makes it; None for one that is not small, or ambiguous.

        SystemFailure when the host fails.
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, _pack, upper)

    def close(self) -> None:
        """End the thread once it is idle."""
        self._thread.shutdown(wait=False)


def _part() -> None:
    if _libc.unshare(_CLONE_FS) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _pack(upper: Path) -> bytes | None:
    try:
        if not _is_small(upper):
            return None
        with os.fdopen(os.memfd_create("layer", os.MFD_CLOEXEC), "r+b") as archive:
            packer = Packer(archive.fileno(), whiteouts=True)
            packer.tree(upper)
            packer.end()
            if packer.ambiguous:
                return None
            archive.seek(0)
            return archive.read()
    except OSError as error:
        raise SystemFailure(f"cannot archive {upper}: {error.strerror}") from error
    finally:
        os.chdir("/")  # else the directory of what was packed stays in use


def _is_small(upper: Path) -> bool:
    entries = size = 0
    for step in tree.walk(upper):
        entries += step.move is not tree.Move.LEAVE
        size += step.stat.st_size if stat.S_ISREG(step.stat.st_mode) else 0
        if entries > _ENTRIES or size > _BYTES:
            return False
    return True
