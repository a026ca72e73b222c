"""Snapshots as directories: the life cycle that is the same whatever a snapshot's directory holds."""

import asyncio
import logging
import re
import time
from abc import ABC, abstractmethod
from functools import partial
from pathlib import Path
from typing import Self

import msgspec

from errdefs import Conflict, InvalidArgument, NotFound, SystemFailure
from runtime import idmapped, mount, tree
from runtime.mount import Mount
from runtime.settled import settled
from runtime.snapshots.disk import Disk
from runtime.snapshots.found import parents, read_meta
from runtime.snapshots.snapshotter import Info, Kind, Usage
from runtime.spec.identity import HOST, Identity
from runtime.userns import UserNamespaces

log = logging.getLogger(__name__)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}")


class DirectorySnapshotter(ABC):
    """See runtime.snapshots.snapshotter.Snapshotter; subclasses fill a directory and say how to mount it."""

    def __init__(self, root: Path) -> None:
        """Use `open`."""
        self._disk = Disk(root)
        self._index: dict[str, Info] = {}
        self._busy: set[str] = set()
        self._user_namespaces = UserNamespaces()

    @classmethod
    async def open(cls, root: Path) -> Self:
        """Open the snapshots at `root`, made if need be; what a crash left half made is removed."""
        snapshotter = cls(root)
        snapshotter._index = await asyncio.to_thread(snapshotter._disk.load)
        return snapshotter

    @property
    def limits_size(self) -> bool:
        """See Snapshotter."""
        return self._disk.limits_size

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
        if size and not self._disk.limits_size:
            raise InvalidArgument(
                f"snapshot {key} cannot have a size: {self._disk.root} has no project quotas"
            )
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
            await settled(self._disk.build, info, self._fill, size, durable=durable)
        except BaseException:
            del self._index[key]
            await settled(self._disk.discard, self._path(info))
            raise
        finally:
            self._busy.discard(key)

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
                await settled(self._disk.restack, stacked, partial(self._stack, inherit_root=inherit_root))
            await settled(self._disk.commit if durable else self._disk.commit_unsettled, info, committed)
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

    async def settle(self) -> None:
        """See Snapshotter."""
        await settled(self._disk.settle)

    async def remove(self, name: str) -> None:
        """See Snapshotter."""
        info = self._changeable(name)
        if any(other.parent == name for other in self._index.values()):
            raise Conflict(f"snapshot {name} has children")
        del self._index[name]
        self._busy.add(name)
        try:
            await settled(self._disk.discard, self._path(info))
        except BaseException:
            if self._path(info).exists():
                self._index[name] = info
            raise
        finally:
            self._busy.discard(name)

    async def require(self, identity: Identity) -> None:
        """See Snapshotter."""
        if identity.remapped:
            await settled(self._try_shifted, identity)

    def _try_shifted(self, identity: Identity) -> None:
        staging, userns = self._disk.temporary(), self._user_namespaces.of(identity)
        try:
            for name in ("lower", "fs", "work", "target"):
                (staging / name).mkdir(parents=True)
            idmapped.check(self._trial(staging), staging / "target", self._disk.root, userns, identity.root)
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
        idmapped.attach(mounts, target, self._disk.root, userns, identity.root)

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
        return self._disk.path(info)

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
