"""Snapshots as directories: the life cycle that is the same whatever a snapshot's directory holds.

    <root>/{active,view,committed}/<quoted name>/{fs,meta,…}
    <root>/tmp/<random>

A snapshot is built below `tmp` and appears by one rename; commit is a rename, removal is a rename back
into `tmp`. `meta` is a symbolic link whose text is the metadata: a link is never half written, and the
fsync of one directory after the rename makes all of it durable. Whatever is in `tmp` at open is what a
crash left.
"""

import asyncio
import logging
import os
import re
import secrets
import time
from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self
from urllib.parse import quote

import msgspec

from errdefs import Conflict, InvalidArgument, NotFound, SystemFailure
from runtime import idmapped, mount, tree
from runtime.mount import Mount
from runtime.placement import spread
from runtime.quota import ProjectQuota
from runtime.settled import settled
from runtime.snapshots.found import parents, read_meta, take_stock, write_meta
from runtime.snapshots.snapshotter import Info, Kind, Usage
from runtime.spec.identity import HOST, Identity
from runtime.unsettled import Unsettled, sync_directory, sync_filesystem
from runtime.userns import UserNamespaces

log = logging.getLogger(__name__)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}")
_REMOVERS = 4  # threads for one snapshot
_FEW = 2  # directories that are not worth them


class DirectorySnapshotter(ABC):
    """See runtime.snapshots.snapshotter.Snapshotter; subclasses fill a directory and say how to mount it."""

    def __init__(self, root: Path) -> None:
        """Use `open`."""
        self._root = root
        self._index: dict[str, Info] = {}
        self._busy: set[str] = set()
        self._unsettled = Unsettled(root / "unsettled")
        self._user_namespaces = UserNamespaces()
        self._quota: ProjectQuota | None = None

    @classmethod
    async def open(cls, root: Path) -> Self:
        """Open the snapshots at `root`, made if need be; what a crash left half made is removed."""
        snapshotter = cls(root)
        await asyncio.to_thread(snapshotter._load)
        return snapshotter

    def _load(self) -> None:
        own = ("tmp", "unsettled", *Kind)
        for directory in (self._root, *(self._root / name for name in own)):
            directory.mkdir(exist_ok=True, mode=0o700)
        spread(self._root / "tmp")  # where all of them are made
        for name in self._unsettled.distrusted():
            self._discard(self._root / Kind.COMMITTED / name)
            self._unsettled.forget(name)
        self._index = take_stock(self._root)
        self._quota = ProjectQuota.of(self._root)
        if self._quota is not None:
            self._quota.forget_unused()

    @property
    def limits_size(self) -> bool:
        """See Snapshotter."""
        return self._quota is not None

    @abstractmethod
    def _fill(self, staging: Path, info: Info) -> None:
        """Make `fs`, and what else a snapshot needs, in the new directory `staging`."""

    def _stack(self, own: Path, info: Info, *, inherit_root: bool) -> None:  # noqa: ARG002 - see the overlay's
        """Put what was filled in the directory `own` without a parent on the one that it has now."""
        raise InvalidArgument(f"snapshot {info.name} needs its parent from the beginning")

    @abstractmethod
    def mounts(self, key: str, *, read_only: bool = False) -> list[Mount]:
        """See Snapshotter."""

    @abstractmethod
    def _trial(self, staging: Path) -> Mount:
        """How a snapshot would be mounted that had `fs` and `work` of a directory, and `lower` below it."""

    @abstractmethod
    def _measure(self, info: Info) -> Usage:
        """Measure a snapshot."""

    async def prepare(self, key: str, parent: str | None, *, size: int = 0, durable: bool = True) -> None:
        """See Snapshotter."""
        if size and self._quota is None:
            raise InvalidArgument(f"snapshot {key} cannot have a size: {self._root} has no project quotas")
        await self._make(key, parent, Kind.ACTIVE, size, durable=durable)

    async def view(self, key: str, parent: str | None, *, durable: bool = True) -> None:
        """See Snapshotter."""
        await self._make(key, parent, Kind.VIEW, durable=durable)

    async def _make(
        self, key: str, parent: str | None, kind: Kind, size: int = 0, *, durable: bool = True
    ) -> None:
        self._check_free(key)
        if parent is not None and self._known(parent).kind is not Kind.COMMITTED:
            raise InvalidArgument(f"snapshot {parent} is not committed and cannot be a parent")
        info = Info(name=key, kind=kind, parent=parent, created=time.time_ns())
        self._index[key] = info  # from here on the parent has a child and cannot be removed
        self._busy.add(key)
        try:
            await settled(self._build, info, size, durable)
        except BaseException:
            del self._index[key]
            await settled(self._discard, self._path(info))
            raise
        finally:
            self._busy.discard(key)

    def _build(self, info: Info, size: int, durable: bool) -> None:
        staging = self._temporary()
        try:
            staging.mkdir(mode=0o700)
            if size and self._quota is not None:
                self._quota.limit(staging, size)
            self._fill(staging, info)
            write_meta(staging / "meta", info)
            os.rename(staging, self._path(info))
            if durable:
                sync_directory(self._path(info).parent)
        except (OSError, SystemFailure) as error:
            self._clear(staging)
            if isinstance(error, SystemFailure):
                raise
            raise SystemFailure(f"cannot make snapshot {info.name}: {error.strerror}") from error

    async def commit(
        self,
        name: str,
        key: str,
        parent: str | None = None,
        *,
        inherit_root: bool = False,
        durable: bool = True,
    ) -> None:
        """See Snapshotter."""
        self._check_free(name)
        info = self._changeable(key)
        if info.kind is not Kind.ACTIVE:
            raise InvalidArgument(f"snapshot {key} is not active and cannot be committed")
        stacked = self._stacked(info, parent)
        committed = msgspec.structs.replace(stacked, name=name, kind=Kind.COMMITTED)
        self._index[key] = stacked  # from here on the parent has a child and cannot be removed
        self._busy |= {name, key}
        try:
            if stacked is not info:
                await settled(self._restack, stacked, inherit_root=inherit_root)
            await settled(self._publish if durable else self._publish_later, info, committed)
        finally:
            self._busy -= {name, key}
            self._look_again(info, committed)

    def _look_again(self, info: Info, committed: Info) -> None:
        """Ask the disk what a commit has done, also when it was cancelled or its last fsync failed."""
        try:
            self._index[info.name] = read_meta(self._path(info), info.kind)
        except FileNotFoundError:
            del self._index[info.name]
            self._index[committed.name] = committed

    def _stacked(self, info: Info, parent: str | None) -> Info:
        """What a snapshot is that shall be committed on this parent."""
        if parent is None or parent == info.parent:
            return info
        if info.parent is not None:
            raise InvalidArgument(f"snapshot {info.name} has another parent than {parent}")
        if self._known(parent).kind is not Kind.COMMITTED:
            raise InvalidArgument(f"snapshot {parent} is not committed and cannot be a parent")
        return msgspec.structs.replace(info, parent=parent)

    def _restack(self, stacked: Info, *, inherit_root: bool) -> None:
        directory = self._path(stacked)
        try:
            self._stack(directory / "fs", stacked, inherit_root=inherit_root)
            (directory / "new-meta").unlink(missing_ok=True)
            write_meta(directory / "new-meta", stacked)
            os.rename(directory / "new-meta", directory / "meta")
        except OSError as error:
            raise SystemFailure(f"cannot commit snapshot {stacked.name}: {error.strerror}") from error

    def _publish(self, info: Info, committed: Info) -> None:
        try:
            sync_filesystem(self._path(info))
            os.rename(self._path(info), self._path(committed))
            sync_directory(self._path(committed).parent)
        except OSError as error:
            raise SystemFailure(f"cannot commit snapshot {info.name}: {error.strerror}") from error

    def _publish_later(self, info: Info, committed: Info) -> None:
        """Without any sync; until it is settled, a mark says that it does not count after a crash."""
        path = self._path(committed)
        try:
            self._unsettled.mark(path.name)
            os.rename(self._path(info), path)
        except OSError as error:
            raise SystemFailure(f"cannot commit snapshot {info.name}: {error.strerror}") from error
        self._unsettled.named(path.name)

    async def settle(self) -> None:
        """See Snapshotter."""
        try:
            await settled(self._unsettled.settle)
        except OSError as error:
            raise SystemFailure(f"cannot write snapshots to the disk: {error.strerror}") from error

    async def remove(self, name: str) -> None:
        """See Snapshotter."""
        info = self._changeable(name)
        if any(other.parent == name for other in self._index.values()):
            raise Conflict(f"snapshot {name} has children")
        del self._index[name]
        self._busy.add(name)
        try:
            await settled(self._discard, self._path(info))
        except BaseException:
            if self._path(info).exists():
                self._index[name] = info
            raise
        finally:
            self._busy.discard(name)

    def _discard(self, directory: Path) -> None:
        """Remove a snapshot's directory; one that is not there is removed already."""
        doomed = self._temporary()
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

    async def require(self, identity: Identity) -> None:
        """See Snapshotter."""
        if identity.remapped:
            await settled(self._try_shifted, identity)

    def _try_shifted(self, identity: Identity) -> None:
        staging, userns = self._temporary(), self._user_namespaces.of(identity)
        try:
            for name in ("lower", "fs", "work", "target"):
                (staging / name).mkdir(parents=True)
            idmapped.check(self._trial(staging), staging / "target", self._root, userns, identity.root)
        except OSError as error:
            raise SystemFailure(f"cannot make {staging}: {error.strerror}") from error
        finally:
            tree.remove(staging)

    async def mount(
        self, key: str, target: Path, *, read_only: bool = False, identity: Identity = HOST
    ) -> None:
        """See Snapshotter."""
        mounts = self.mounts(key, read_only=read_only)
        try:
            if identity.remapped:
                await settled(self._attach_shifted, mounts, target, identity)
            else:
                await settled(mount.attach, mounts, target)
        except asyncio.CancelledError:
            await settled(mount.unmount, target)
            raise

    def _attach_shifted(self, mounts: list[Mount], target: Path, identity: Identity) -> None:
        userns = self._user_namespaces.of(identity)
        idmapped.attach(mounts, target, self._root, userns, identity.root)

    async def unmount(self, target: Path) -> None:
        """See Snapshotter."""
        await settled(mount.unmount_all, target)

    def upper(self, key: str) -> Path:
        """See Snapshotter."""
        info = self._known(key)
        if info.kind is not Kind.ACTIVE:
            raise InvalidArgument(f"snapshot {key} is not active: it has no changes of its own")
        return self._path(info) / "fs"

    def info(self, name: str) -> Info:
        """See Snapshotter."""
        return self._known(name)

    def walk(self) -> list[Info]:
        """See Snapshotter."""
        return sorted(self._index.values(), key=lambda info: (len(parents(self._index, info)[0]), info.name))

    async def usage(self, name: str) -> Usage:
        """See Snapshotter."""
        try:
            return await asyncio.to_thread(self._measure, self._known(name))
        except OSError as error:
            raise SystemFailure(f"cannot measure snapshot {name}: {error.strerror}") from error

    async def sweep(self, keep: set[str]) -> list[str]:
        """See Snapshotter."""
        doomed = [info for info in self.walk() if info.kind is not Kind.COMMITTED and info.name not in keep]
        swept: list[str] = []
        for info in doomed:
            try:
                await self.remove(info.name)
                swept.append(info.name)
            except SystemFailure as error:  # the others must not have to stay with it
                log.warning("snapshot %s stays: %s", info.name, error)
        return swept

    def _mountable(self, key: str) -> Info:
        info = self._known(key)
        if info.kind is Kind.COMMITTED:
            raise InvalidArgument(f"snapshot {key} is committed: mount a view of it")
        return info

    def _chain(self, info: Info) -> list[Info]:
        """Return the snapshot's parents, the nearest first. SystemFailure if one of them is gone."""
        chain, lost = parents(self._index, info)
        if lost is not None:
            raise SystemFailure(f"snapshot {info.name} has lost what it stands on, {lost}")
        return chain

    def _path(self, info: Info) -> Path:
        return self._root / info.kind / quote(info.name, safe="")

    def _temporary(self) -> Path:
        return self._root / "tmp" / secrets.token_hex(16)

    def _known(self, name: str) -> Info:
        try:
            return self._index[name]
        except KeyError:
            raise NotFound(f"snapshot {name}: not found") from None

    def _changeable(self, name: str) -> Info:
        if name in self._busy:
            raise Conflict(f"snapshot {name} is being changed")
        return self._known(name)

    def _check_free(self, name: str) -> None:
        if not _NAME.fullmatch(name):
            raise InvalidArgument(f"invalid name of a snapshot: {name!r}")
        if name in self._index or name in self._busy:
            raise Conflict(f"snapshot {name} exists already")
