"""Snapshots' directories on the disk: made, committed and removed so that a crash leaves each whole or not at all.

    <root>/{active,view,committed}/<quoted name>/{fs,meta,…}
    <root>/tmp/<random>

A snapshot is built below `tmp` and appears by one rename; commit is a rename, removal is a rename back
into `tmp`. `meta` is a symbolic link whose text is the metadata: a link is never half written, and the
fsync of one directory after the rename makes all of it durable. Whatever is in `tmp` at open is what a
crash left. All of it blocks.
"""

import os
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

from errdefs import SystemFailure
from runtime import tree
from runtime.placement import spread
from runtime.quota import ProjectQuota
from runtime.snapshots.found import take_stock, write_meta
from runtime.snapshots.snapshotter import Info, Kind
from runtime.unsettled import Unsettled, sync_directory, sync_filesystem

_REMOVERS = 4  # threads for one snapshot
_FEW = 2  # directories that are not worth them


class Disk:
    """The directories below one root. Failures are SystemFailure."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._unsettled = Unsettled(root / "unsettled")
        self._quota: ProjectQuota | None = None

    def load(self) -> dict[str, Info]:
        """Make the root if need be and return what snapshots there are; what a crash left half made goes."""
        own = ("tmp", "unsettled", *Kind)
        for directory in (self.root, *(self.root / name for name in own)):
            directory.mkdir(exist_ok=True, mode=0o700)
        spread(self.root / "tmp")  # where all of them are made
        for name in self._unsettled.distrusted():
            self.discard(self.root / Kind.COMMITTED / name)
            self._unsettled.forget(name)
        self._quota = ProjectQuota.of(self.root)
        # With their limits: xfs counts the files of what was removed a moment longer, and that looks like use.
        index = take_stock(self.root, self._clear)
        if self._quota is not None:
            self._quota.forget_unused()
        return index

    @property
    def limits_size(self) -> bool:
        """Whether a snapshot can have a size."""
        return self._quota is not None

    def path(self, info: Info) -> Path:
        """A snapshot's directory."""
        return self.root / info.kind / quote(info.name, safe="")

    def temporary(self) -> Path:
        """A free name for a directory that no crash leaves."""
        return self.root / "tmp" / secrets.token_hex(16)

    def build(self, info: Info, fill: Callable[[Path, Info], None], size: int, *, durable: bool) -> None:
        """Make a snapshot's directory, which `fill` fills; of `size` bytes at most, 0 for no limit."""
        staging = self.temporary()
        try:
            staging.mkdir(mode=0o700)
            if size and self._quota is not None:
                self._quota.limit(staging, size)
            fill(staging, info)
            write_meta(staging / "meta", info)
            os.rename(staging, self.path(info))
            if durable:
                sync_directory(self.path(info).parent)
        except (OSError, SystemFailure) as error:
            self._clear(staging)
            if isinstance(error, SystemFailure):
                raise
            raise SystemFailure(f"cannot make snapshot {info.name}: {error.strerror}") from error

    def restack(self, stacked: Info, stack: Callable[[Path, Info], None]) -> None:
        """Have `stack` put a snapshot's files on the parent that it has now, and write that parent down."""
        directory = self.path(stacked)
        try:
            stack(directory / "fs", stacked)
            (directory / "new-meta").unlink(missing_ok=True)
            write_meta(directory / "new-meta", stacked)
            os.rename(directory / "new-meta", directory / "meta")
        except OSError as error:
            raise SystemFailure(f"cannot commit snapshot {stacked.name}: {error.strerror}") from error

    def commit(self, info: Info, committed: Info) -> None:
        """Give a snapshot its place among the committed ones, durably."""
        path = self.path(committed)
        try:
            sync_filesystem(self.path(info))
            os.rename(self.path(info), path)
            sync_directory(path.parent)
        except OSError as error:
            raise SystemFailure(f"cannot commit snapshot {info.name}: {error.strerror}") from error

    def commit_unsettled(self, info: Info, committed: Info) -> None:
        """Without any sync; until it is settled, a mark says that it does not count after a crash."""
        path = self.path(committed)
        try:
            self._unsettled.mark(path.name)
            os.rename(self.path(info), path)
        except OSError as error:
            raise SystemFailure(f"cannot commit snapshot {info.name}: {error.strerror}") from error
        self._unsettled.named(path.name)

    def settle(self) -> None:
        """Have on the disk what was committed without a sync."""
        try:
            self._unsettled.settle()
        except OSError as error:
            raise SystemFailure(f"cannot write snapshots to the disk: {error.strerror}") from error

    def discard(self, directory: Path) -> None:
        """Remove a snapshot's directory; one that is not there is removed already."""
        doomed = self.temporary()
        try:
            os.rename(directory, doomed)
        except FileNotFoundError:
            return
        except OSError as error:
            raise SystemFailure(f"cannot remove snapshot {directory}: {error.strerror}") from error
        if self._unsettled.has(directory.name):
            self._unsettled.forget(directory.name)
        try:
            self._clear(doomed)
        except OSError as error:
            raise SystemFailure(f"cannot remove {doomed}: {error.strerror}") from error

    def _clear(self, directory: Path) -> None:
        def clear() -> None:
            # A filesystem makes whoever unlinks wait, for its journal mostly: several wait together. To start
            # them takes longer than to remove what a container leaves that changed nothing.
            with ThreadPoolExecutor(_REMOVERS) as removers:
                tree.remove(
                    directory, lambda one, names: (removers.map if len(names) > _FEW else map)(one, names)
                )

        if self._quota is not None:
            self._quota.release(directory, clear)
        else:
            clear()
