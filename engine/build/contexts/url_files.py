"""Files from URLs as they were fetched. A server is asked whether what it called them then is what it has: what has not
changed is not sent again, and what is wanted by its checksum is not asked for at all.

Each is a record of the cache, which goes with the others. It never changes: what a server has instead is another one.
"""

import asyncio
import hashlib
import secrets
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from weakref import WeakValueDictionary

import msgspec

import errdefs
from engine import faults
from engine.build.contexts.url import Tell, digest_of, file_name, receive, require_checksum
from engine.build.refs import Tree
from engine.build.solver.records import CacheStore, Fetched, Record, new_id
from engine.build.steps import UrlSource
from engine.registry.client import Registry
from engine.registry.download import Download, Source
from runtime import tree
from runtime.settled import settled, whole

STEPS = ("received", "kept")  # where the crash tests kill a build
_PREFIX = "url-"
_TOLD = 32  # names of files that a server is told at once
_SHA256 = "sha256:"


class UrlFiles:
    """All of them, below a directory that they share with cache mounts."""

    def __init__(self, store: CacheStore, registry: Registry, directory: Path) -> None:
        """Made once for a daemon; `registry` knows the proxies that lead outside."""
        self._store = store
        self._registry = registry
        self._directory = directory
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def tree(self, source: UrlSource, tell: Tell, held: AsyncExitStack) -> Tree:
        """A directory with a file from a URL, called as the last part of its path, "__unnamed__" if that is empty.

        It stays for as long as it is `held`. InvalidArgument where it is not what `checksum` says, SystemFailure where
        the disk has no room for it; else the errors of `Registry.download`.
        """
        require_checksum(source.checksum)
        key = hashlib.sha256(source.url.encode(errors="surrogateescape")).hexdigest()[:32]
        turn = self._turns.setdefault(key, asyncio.Lock())
        async with AsyncExitStack() as looking:
            kept = await self._kept(key, source, looking)
            record = await self._by_checksum(source, kept)
            if record is None:
                await looking.enter_async_context(turn)
                kept = await self._kept(key, source, looking)  # somebody else may have fetched it meanwhile
                record = await self._asked(key, source, kept, tell)
                await looking.enter_async_context(self._used(record))
                await self._require(record, source)
            await held.enter_async_context(self._used(record))
        return self._tree(record, known=record.id in {each.id for each in kept})

    async def _kept(self, key: str, source: UrlSource, looking: AsyncExitStack) -> list[Record]:
        """What is here of a URL, and what has its checksum and name, the last used first; all in use from now on."""
        found: list[Record] = []
        name = file_name(source.url)
        for record in sorted(self._store.all(), key=lambda each: each.used, reverse=True):
            fetched = record.fetched
            if fetched is None or fetched.name != name:
                continue
            if fetched.url != key and fetched.digest != source.checksum:
                continue
            await looking.enter_async_context(self._used(record))
            if await asyncio.to_thread(_is_whole, self._path(record), record.size):
                found.append(record)
            else:
                await self._store.remove([record.id])
        return found

    async def _by_checksum(self, source: UrlSource, kept: Sequence[Record]) -> Record | None:
        """What has the checksum that is asked for, if one is."""
        for record in kept:
            if source.checksum and await self._digest(record, source.checksum) == source.checksum:
                await self._store.touch(record.id)
                return record
        return None

    async def _require(self, record: Record, source: UrlSource) -> None:
        if source.checksum and (found := await self._digest(record, source.checksum)) != source.checksum:
            raise errdefs.InvalidArgument(
                f"digest mismatch for {Source(source.url).text}: {found} (expected: {source.checksum})"
            )

    async def _digest(self, record: Record, checksum: str) -> str:
        """What a file is, told as the checksum is."""
        assert record.fetched is not None
        algorithm = checksum.partition(":")[0]
        if checksum.startswith(_SHA256):
            return record.fetched.digest
        return await asyncio.to_thread(digest_of, self._path(record), algorithm)

    async def _asked(self, key: str, source: UrlSource, kept: Sequence[Record], tell: Tell) -> Record:
        """What a server has now: one of those that are here, or what it sends."""
        own = [each for each in kept if each.fetched is not None and each.fetched.url == key]
        called = {each.fetched.etag: each for each in reversed(own) if each.fetched and each.fetched.etag}
        known = dict(list(called.items())[-_TOLD:])
        wanted = Source(source.url)
        conditions = {"If-None-Match": ", ".join(known)} if known else {}
        # some servers that give names do not heed them in GET
        found = await self._looked(wanted, known, conditions) if known else None
        if found is None:
            async with self._registry.download(wanted, brief=True, conditions=conditions) as download:
                if download.status != HTTPStatus.NOT_MODIFIED:
                    return await self._taken(key, source, own, download, tell)
                found = known.get(_etag(download, known))
                if found is None:
                    raise errdefs.SystemFailure(f"invalid not-modified ETag: {_etag(download, known)}")
        await self._store.touch(found.id)
        return found

    async def _looked(
        self, wanted: Source, known: dict[str, Record], conditions: dict[str, str]
    ) -> Record | None:
        """The one that a server calls what it would send."""
        with suppress(errdefs.WherryError):
            async with self._registry.download(
                wanted, brief=True, head=True, conditions=conditions
            ) as download:
                if download.status in (HTTPStatus.OK, HTTPStatus.NOT_MODIFIED):
                    return known.get(_etag(download, known))
        return None

    async def _taken(
        self, key: str, source: UrlSource, own: Sequence[Record], download: Download, tell: Tell
    ) -> Record:
        """Keep what is sent; what is here under another name already, or under none, only gets that."""
        wanted = Source(source.url)
        record = _new(key, file_name(source.url), wanted.text)
        directory = self._directory / record.directory
        kept = False
        try:
            await settled(_make, directory)
            received = await receive(download, wanted.text, self._path(record), tell)
            faults.hit("url.received")
            fetched = Fetched(
                url=key,
                name=file_name(source.url),
                digest=received.digest,
                modified=received.modified,
                etag=_etag(download, {}),
            )
            same = next((each for each in own if _is_same(each, fetched)), None)
            made = msgspec.structs.replace(
                record if same is None else (self._store.get(same.id) or same),
                fetched=fetched,
                size=received.size,
                used=time.time_ns(),
            )
            await self._store.save(made)
            kept = same is None
            faults.hit("url.kept")
            return made
        finally:
            if not kept:
                await whole(self._discard(record.id, directory))

    async def _discard(self, record: str, directory: Path) -> None:
        if self._store.get(record) is not None:
            await self._store.remove([record])
        await settled(tree.remove, directory)

    @asynccontextmanager
    async def _used(self, record: Record) -> AsyncGenerator[None, None]:
        """It stays for a block; who uses one last that was pruned meanwhile removes it."""
        try:
            with self._store.using([record.id]):
                yield
        finally:
            if self._store.get(record.id) is None and not self._store.in_use(record.id):
                await whole(settled(tree.remove, self._directory / record.directory))

    def _tree(self, record: Record, *, known: bool) -> Tree:
        assert record.fetched is not None
        directory = self._directory / record.directory

        async def place() -> Path:
            return directory

        content = f"url {record.fetched.digest} {record.fetched.modified} {record.fetched.name}"
        return Tree(place if known else directory, content)

    def _path(self, record: Record) -> Path:
        assert record.fetched is not None
        return self._directory / record.directory / record.fetched.name


def _new(url: str, name: str, shown: str) -> Record:
    """That of a file which is not there yet."""
    now = time.time_ns()
    return Record(
        id=new_id(),
        description=f"http url {shown}",
        directory=f"{_PREFIX}{url}-{secrets.token_hex(4)}",
        fetched=Fetched(url=url, name=name, digest="", modified=0),
        created=now,
        used=now,
    )


def _make(directory: Path) -> None:
    try:
        directory.mkdir()
    except OSError as error:
        raise errdefs.SystemFailure(
            f"cannot make a directory for what is fetched: {error.strerror}"
        ) from error


def _is_whole(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except OSError:
        return False


def _is_same(record: Record, fetched: Fetched) -> bool:
    known = record.fetched
    return known is not None and (known.digest, known.modified) == (fetched.digest, fetched.modified)


def _etag(download: Download, asked: dict[str, Record]) -> str:
    """What a server calls a file, or means if it says nothing more of the only one that it was asked of."""
    told = download.header("ETag").removeprefix("W/")
    if not told and download.status == HTTPStatus.NOT_MODIFIED and len(asked) == 1:
        (told,) = asked
    return told if told.isascii() and told.isprintable() and told != "*" else ""
