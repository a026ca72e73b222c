"""Contexts of the classic API: an archive or a remote one, and the Dockerfile in it."""

import asyncio
import posixpath
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec

import errdefs
from engine.build.contexts import repository
from engine.build.contexts.archives import Archive, gathered
from engine.build.contexts.contexts import Contexts, hide
from engine.build.refs import Tree
from engine.build.request import BuildRequest
from engine.build.results import Context
from engine.build.session import Session
from engine.build.source import SourceFile
from runtime.paths import read_in_root

_URL = re.compile("https?://")
_DEFAULT = "Dockerfile"
_MAX_BYTES = 8 << 20


@asynccontextmanager
async def classic_context(
    contexts: Contexts, request: BuildRequest, archive: AsyncIterator[bytes], session: Session
) -> AsyncIterator[Context]:
    """The context within the block, without what its .dockerignore hides of the two files themselves.

    SystemFailure, as in Docker, for a Dockerfile that is not there; InvalidArgument for a bad archive or remote.
    """
    if not request.remote:
        async with _from_archive(contexts, request.filename, archive) as context:
            yield context
        return
    if repository.parse(request.remote, context=True) is None and not _URL.match(request.remote):
        raise errdefs.InvalidArgument(f"remoteURL ({request.remote}) could not be recognized as URL")
    async with contexts.from_remote(request.remote, session) as fetched:
        if fetched.dockerfile is None:
            yield await _located(fetched.directory, request.filename)
        else:
            source = SourceFile(_DEFAULT, fetched.dockerfile)
            yield Context(directory=fetched.directory, dockerfile=source)


@asynccontextmanager
async def _from_archive(
    contexts: Contexts, filename: str, chunks: AsyncIterator[bytes]
) -> AsyncIterator[Context]:
    archive, chunks = await gathered(chunks)
    digest = archive.digest if archive else ""
    async with AsyncExitStack() as stack:
        if archive and (source := contexts.dockerfiles.find(digest, filename)):
            files = _Unpacked(contexts, archive, source.name, stack)
            yield Context(tree=Tree(files.place, _content(digest, source)), dockerfile=source)
            return
        directory = await stack.enter_async_context(contexts.from_tar(chunks))
        context = await _located(directory, filename)
        if archive and context.dockerfile:
            contexts.dockerfiles.add(digest, filename, context.dockerfile)
            context = msgspec.structs.replace(
                context, tree=Tree(directory, _content(digest, context.dockerfile))
            )
        yield context


def _content(digest: str, source: SourceFile) -> str:
    """What names the files of an archive, less those that a .dockerignore hides."""
    return f"{digest} {source.name}"


class _Unpacked:
    """The files of an archive, once they are needed."""

    def __init__(self, contexts: Contexts, archive: Archive, dockerfile: str, stack: AsyncExitStack) -> None:
        self._contexts = contexts
        self._archive = archive
        self._dockerfile = dockerfile
        self._stack = stack
        self._lock = asyncio.Lock()
        self._directory: Path | None = None

    async def place(self) -> Path:
        """The directory, for as long as the stack holds it. InvalidArgument and SystemFailure as `from_tar`."""
        async with self._lock:
            if self._directory is None:
                unpacking = self._contexts.from_tar(self._archive.chunks())
                directory = await self._stack.enter_async_context(unpacking)
                await hide(directory, self._dockerfile)
                self._directory = directory
            return self._directory


async def _located(directory: Path, filename: str) -> Context:
    source = await asyncio.to_thread(_read, directory, filename)
    await hide(directory, source.name)
    return Context(directory=directory, dockerfile=source)


def _read(directory: Path, filename: str) -> SourceFile:
    if "\0" in filename or posixpath.normpath(filename.lstrip("/")).split("/")[0] == "..":
        raise errdefs.SystemFailure(f"forbidden path outside the build context: {filename} ()")
    for name in (filename, filename.lower()) if filename == _DEFAULT else (filename,):
        content = read_in_root(directory, name, _MAX_BYTES)
        if content == b"":
            raise errdefs.InvalidArgument(f"the Dockerfile ({name}) cannot be empty")
        if content is not None:
            return SourceFile(name, content)
    raise errdefs.SystemFailure(f"Cannot locate specified Dockerfile: {filename}")
