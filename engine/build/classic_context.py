"""Contexts of the classic API: an archive or a remote one, and the Dockerfile in it."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import errdefs
from engine.build.contexts import repository
from engine.build.contexts.contexts import Contexts, hide
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
        async with contexts.from_tar(archive) as directory:
            yield await _located(directory, request.filename)
        return
    if repository.parse(request.remote, context=True) is None and not _URL.match(request.remote):
        raise errdefs.InvalidArgument(f"remoteURL ({request.remote}) could not be recognized as URL")
    async with contexts.from_remote(request.remote, session) as fetched:
        if fetched.dockerfile is None:
            yield await _located(fetched.directory, request.filename)
        else:
            source = SourceFile(_DEFAULT, fetched.dockerfile)
            yield Context(directory=fetched.directory, dockerfile=source)


async def _located(directory: Path, filename: str) -> Context:
    source = await asyncio.to_thread(_read, directory, filename)
    await hide(directory, source.name)
    return Context(directory=directory, dockerfile=source)


def _read(directory: Path, filename: str) -> SourceFile:
    for name in (filename, filename.lower()) if filename == _DEFAULT else (filename,):
        content = read_in_root(directory, name, _MAX_BYTES)
        if content == b"":
            raise errdefs.InvalidArgument(f"the Dockerfile ({name}) cannot be empty")
        if content is not None:
            return SourceFile(name, content)
    raise errdefs.SystemFailure(f"Cannot locate specified Dockerfile: {filename}")
