"""The files of a build: its Dockerfile, its contexts as far as steps need them, and what is fetched for ADD."""

import asyncio
import posixpath
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

import errdefs
from engine.build.base_images import BaseImages
from engine.build.contexts import repository
from engine.build.contexts.contexts import Contexts
from engine.build.ignore import Ignore
from engine.build.lending import Lending
from engine.build.progress import VertexState, Watch
from engine.build.refs import Tree
from engine.build.request import BuildRequest
from engine.build.results import Context
from engine.build.session import Session, Wanted
from engine.build.solver import keys
from engine.build.solver.work import Outcome
from engine.build.source import SourceFile
from engine.build.steps import ContextSource, GitSource, ImageSource, Source, UrlSource
from engine.build.transfer import Transfer
from runtime.paths import read_in_root

MAIN = "context"
_DOCKERFILES = "dockerfile"
_USUAL = "Dockerfile"
_IGNORE = ".dockerignore"
_LIMIT = 8 << 20
_UPLOADED = "http://buildkit-session/"


class Inputs(msgspec.Struct, kw_only=True):
    """Those of one build; each context is brought once."""

    request: BuildRequest
    given: Context
    session: Session | None
    watch: Watch
    contexts: Contexts
    lending: Lending
    images: BaseImages
    wanted: Mapping[str, Wanted]
    source_vertex: str = ""
    """The vertex that told of the Dockerfile."""
    _directory: Path | None = None
    _ignored: bytes | None = None

    async def dockerfile(self) -> SourceFile:
        """The Dockerfile. NotFound in Docker's words, and what fetching a remote context raises."""
        self._directory = self.given.directory
        if self.request.remote and not self.request.classic:  # whose context is here by now
            source = await self._remote()
            if source is not None:
                return source
        if self.given.dockerfile is not None:
            return self.given.dockerfile
        if self._directory is not None and not self.request.local_dockerfile:
            return await self._read(self._directory)
        async with self._step(f"[internal] load build definition from {self.request.filename}") as vertex:
            self.source_vertex = vertex
            directory = await self.lending.held.enter_async_context(self.contexts.empty())
            names = self._names()
            await self._receive(
                _DOCKERFILES, directory, Wanted(follow=[*names, f"{names[0]}{_IGNORE}"]), vertex, "dockerfile"
            )
            self._ignored = await asyncio.to_thread(read_in_root, directory, f"{names[0]}{_IGNORE}", _LIMIT)
            return await self._read(directory)

    async def ignore(self) -> Ignore | None:
        """What the context is without; None if it is not the client's. InvalidArgument for a bad pattern."""
        if self._directory is not None or self.session is None or self.request.classic:
            return None
        if self._ignored is None:
            async with self._step(f"[internal] load {_IGNORE}") as vertex:
                self._ignored = await self._ignore_file(MAIN, vertex)
        return Ignore.parse(self._ignored)

    def has(self, source: Source) -> bool:
        """See `Sources`."""
        if isinstance(source, ImageSource):
            return self.images.has(source.image)
        return isinstance(source, ContextSource) and source.name == MAIN and self.given.tree is not None

    async def image(self, image: str, vertex: str) -> Outcome:
        """See `Sources`."""
        return await self.images.layers(image, vertex)

    async def context(self, name: str, vertex: str) -> Tree:
        """See `Sources`."""
        if name == MAIN and self.given.tree is not None:
            return self.given.tree
        if name == MAIN and self._directory is not None:
            return Tree(self._directory)
        wanted = self.wanted.get(name, Wanted())
        if name == MAIN:
            ignore = await self.ignore()
        else:
            ignore = Ignore.parse(await self._ignore_file(name, vertex))
        if ignore is not None:
            wanted = msgspec.structs.replace(
                wanted, exclude=[f"{'!' * each.negated}{each.text}" for each in ignore.patterns]
            )
        return await self._local(name, wanted, vertex)

    async def fetch(self, source: UrlSource | GitSource, vertex: str) -> Tree:
        """See `Sources`."""
        if isinstance(source, UrlSource):
            transfer = Transfer(self.watch, vertex, "downloading:")
            tree = await self.contexts.urls.tree(source, transfer.tell, self.lending.held)
            await transfer.done()
            return tree
        return await self.contexts.git_tree(source, self.session, self.lending.held)

    async def _remote(self) -> SourceFile | None:
        """Bring the context that the request names; the Dockerfile if that is all of it."""
        remote = self.request.remote
        if remote.startswith(_UPLOADED) and self.session is not None:
            async with self._step("[internal] load remote build context"):
                chunks = await self.session.upload(remote)
                self._directory = await self.lending.held.enter_async_context(self.contexts.from_tar(chunks))
            return None
        is_git = repository.parse(remote, context=True) is not None
        name = f"load git source {repository.redacted(remote)}" if is_git else "load remote build context"
        async with self._step(f"[internal] {name}"):
            fetched = await self.lending.held.enter_async_context(
                self.contexts.from_remote(remote, self.session)
            )
        self._directory = fetched.directory
        return None if fetched.dockerfile is None else SourceFile(_USUAL, fetched.dockerfile)

    def _names(self) -> list[str]:
        """What the Dockerfile may be called."""
        name = posixpath.normpath(self.request.filename)
        if posixpath.basename(name) != _USUAL:
            return [name]
        return [name, posixpath.join(posixpath.dirname(name), _USUAL.lower())]

    async def _read(self, directory: Path) -> SourceFile:
        for name in self._names():
            content = await asyncio.to_thread(read_in_root, directory, name, _LIMIT)
            if content is not None:
                return SourceFile(posixpath.basename(name), content)
        raise errdefs.NotFound(
            f"failed to read dockerfile: open {self.request.filename}: no such file or directory"
        )

    async def _ignore_file(self, name: str, vertex: str) -> bytes:
        """The .dockerignore of a client's directory, empty if there is none."""
        directory = await self.lending.held.enter_async_context(self.contexts.empty())
        await self._receive(name, directory, Wanted(follow=[_IGNORE]), vertex, "context")
        return await asyncio.to_thread(read_in_root, directory, _IGNORE, _LIMIT) or b""

    async def _local(self, name: str, wanted: Wanted, vertex: str) -> Tree:
        """A directory of the client: as it was sent before, with what has changed since, if that is known."""
        if self.session is None or not self.session.shared_key:
            directory = await self.lending.held.enter_async_context(self.contexts.empty())
            await self._receive(name, directory, wanted, vertex, "context")
            return Tree(directory)
        local = self.contexts.local
        lent = await self.lending.held.enter_async_context(local.lend(self.session.shared_key, name))
        changed = await self._receive(name, lent.path, wanted, vertex, "context")
        await local.keep(lent, changed=changed)
        return Tree(lent.path, lent.content)

    async def _receive(self, name: str, directory: Path, wanted: Wanted, vertex: str, what: str) -> bool:
        if self.session is None:
            raise errdefs.NotFound(f"no session for the local directory {name}")
        transfer = Transfer(self.watch, vertex, f"transferring {what}:")
        changed = await self.session.receive(name, directory, wanted, transfer.tell)
        await transfer.done(even_nothing=True)
        return changed

    @asynccontextmanager
    async def _step(self, name: str) -> AsyncIterator[str]:
        """A vertex that is told of while the block lasts, by its digest."""
        vertex = VertexState(digest=keys.named(name), name=name)
        await self.watch(vertex)
        vertex = msgspec.structs.replace(vertex, started=time.time_ns())
        await self.watch(vertex)
        try:
            yield vertex.digest
        except errdefs.WherryError as error:
            await self.watch(msgspec.structs.replace(vertex, completed=time.time_ns(), error=error.message))
            raise
        await self.watch(msgspec.structs.replace(vertex, completed=time.time_ns()))
