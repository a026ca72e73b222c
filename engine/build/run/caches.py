"""Directories of cache mounts: found again by what they are for, shared or not as steps ask, kept by their records.

Files in them have the steps' own ids, whatever those are on the host.

Several directories may be for the same: `private` never uses one that another step uses, `locked` waits for it, and
`shared` joins those that share.
"""

import asyncio
import hashlib
import os
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import msgspec

import errdefs
from engine.build.dockerfile.text import quoted
from engine.build.solver.records import CACHE_MOUNT, CacheStore, Record
from engine.build.steps import RunMount
from engine.volumes.copy_up import size_of
from runtime import tree
from runtime.settled import settled, whole

_SHARED, _LOCKED = "shared", "locked"
_MODE = 0o755

Fill = Callable[[Path], None]
"""Puts into an empty directory what a new cache is to have. Blocks."""


class _Use(msgspec.Struct):
    """Steps that use a directory. `lock` is held while it is being made."""

    sharing: str
    steps: int = 1
    lock: asyncio.Lock = msgspec.field(default_factory=asyncio.Lock)


class CacheMounts:
    """All of them. `directory` is theirs alone."""

    def __init__(self, store: CacheStore, directory: Path) -> None:
        """Made once for a daemon."""
        self._store = store
        self._directory = directory
        self._uses: dict[str, _Use] = {}
        self._freed = asyncio.Event()  # set, and replaced, whenever a directory is in use no more
        self._measuring: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """When no step uses any."""
        for task in self._measuring:
            task.cancel()
        await asyncio.gather(*self._measuring, return_exceptions=True)

    @asynccontextmanager
    async def use(
        self, mount: RunMount, origin: str, fill: Fill | None, args: Sequence[str]
    ) -> AsyncIterator[Path]:
        """The directory of a cache mount, for the step with that command line: the host's path.

        `origin` names the content that a new one gets by `fill`, "" for none. SystemFailure when the disk fails.
        """
        with ExitStack() as held:
            name, use = await self._claim(_purpose(mount, origin), mount.sharing, held)
            try:
                async with use.lock:
                    record = self._recorded(name) or await self._record(name, mount, fill, args)
                held.enter_context(self._store.using([record.id]))
                await self._store.touch(record.id)
                yield self._directory / name
                self._measure(record.id)
            finally:
                await whole(self._release(name, use))

    async def _claim(self, purpose: str, sharing: str, held: ExitStack) -> tuple[str, _Use]:
        """Have a directory that is there, `held` so that no prune takes it from now on, or the name of a new one."""
        while True:
            used = [name for name in self._uses if name.startswith(purpose)]
            for name in used:
                use = self._uses[name]
                if sharing == _SHARED == use.sharing:
                    use.steps += 1
                    return name, use
            there = {
                each.directory: each.id for each in self._store.all() if each.directory.startswith(purpose)
            }
            free = sorted(there.keys() - self._uses.keys())
            if free or not used or sharing != _LOCKED:
                name = free[0] if free else f"{purpose}-{secrets.token_hex(4)}"
                held.enter_context(self._store.using([there[name]] if free else []))
                self._uses[name] = _Use(sharing)
                return name, self._uses[name]
            await self._freed.wait()

    async def _release(self, name: str, use: _Use) -> None:
        use.steps -= 1
        if use.steps:
            return
        del self._uses[name]
        freed, self._freed = self._freed, asyncio.Event()
        freed.set()
        if self._recorded(name) is None:  # it was pruned meanwhile, or never whole
            await asyncio.to_thread(tree.remove, self._directory / name)

    def _recorded(self, name: str) -> Record | None:
        return next((record for record in self._store.all() if record.directory == name), None)

    async def _record(self, name: str, mount: RunMount, fill: Fill | None, args: Sequence[str]) -> Record:
        try:
            await settled(self._make, name, mount, fill)
        except OSError as error:
            raise errdefs.SystemFailure(
                f"cannot make a cache for {mount.target}: {error.strerror}"
            ) from error
        now = time.time_ns()
        made = Record(
            id=secrets.token_hex(13)[:25],
            kind=CACHE_MOUNT,
            description=f"cached mount {mount.target} from exec {' '.join(args)} with id {quoted('/' + _id(mount))}",
            directory=name,
            created=now,
            used=now,
        )
        await self._store.save(made)
        return made

    def _make(self, name: str, mount: RunMount, fill: Fill | None) -> None:
        directory = self._directory / name
        directory.mkdir(0o700)
        if fill is not None:
            fill(directory)
        else:
            os.chown(directory, mount.uid, mount.gid)
            directory.chmod(_MODE if mount.mode is None else mount.mode)

    def _measure(self, record_id: str) -> None:
        """Note what a directory holds now; nobody waits for that."""
        task = asyncio.get_running_loop().create_task(self._note_size(record_id))
        self._measuring.add(task)
        task.add_done_callback(self._measuring.discard)

    async def _note_size(self, record_id: str) -> None:
        record = self._store.get(record_id)
        if record is None:
            return
        try:
            size = await asyncio.to_thread(size_of, str(self._directory / record.directory))
        except OSError:
            return  # it was pruned
        record = self._store.get(record_id)
        if record is not None and record.size != size:
            await self._store.save(msgspec.structs.replace(record, size=size))


def _id(mount: RunMount) -> str:
    return mount.id or mount.target


def _purpose(mount: RunMount, origin: str) -> str:
    """What a directory's name begins with: the same for mounts that may have the same."""
    told = repr((_id(mount), origin, mount.path if origin else "", mount.mode, mount.uid, mount.gid))
    return hashlib.sha256(told.encode(errors="surrogateescape")).hexdigest()[:32]
