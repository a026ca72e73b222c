"""Directories with what was sent or fetched for builds: there within a block, and gone at its end."""

import asyncio
import os
import secrets
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec

import errdefs
from engine.build.contexts import checkouts, git, repository, url
from engine.build.contexts.archives import Dockerfiles
from engine.build.contexts.checkouts import Checkouts
from engine.build.contexts.local import LocalSources
from engine.build.contexts.url_files import UrlFiles
from engine.build.ignore import Ignore
from engine.build.refs import Tree
from engine.build.session import Session
from engine.build.steps import GitSource
from engine.registry.client import Registry
from runtime import paths, tree
from runtime.copying.workers import Workers
from runtime.settled import settled

_MODE = 0o755  # what COPY of a whole context makes is like its own
_MAX_IGNORE = 8 << 20
_IGNORE = ".dockerignore"


class Fetched(msgspec.Struct, frozen=True):
    """A context from elsewhere. `dockerfile`: that was all that was there, and `directory` is empty."""

    directory: Path
    dockerfile: bytes | None = None


class Contexts:
    """Makes them in a directory of its own."""

    def __init__(
        self, directory: Path, workers: Workers, registry: Registry, local: LocalSources, urls: UrlFiles
    ) -> None:
        """`registry` knows the proxies that lead outside; `local` and `urls` keep clients' directories and what is
        fetched for ADD from build to build.
        """
        self._directory = directory
        self._workers = workers
        self._registry = registry
        self.local = local
        self.urls = urls
        self.dockerfiles = Dockerfiles()
        self._checkouts = Checkouts()

    @asynccontextmanager
    async def empty(self) -> AsyncGenerator[Path, None]:
        """A directory to fill, mode 0755."""
        made = self._directory / secrets.token_hex(16)
        try:
            await settled(_make, made)
            yield made
        finally:
            await settled(tree.remove, made)

    @asynccontextmanager
    async def from_tar(self, archive: AsyncIterator[bytes]) -> AsyncGenerator[Path, None]:
        """What is in an archive, compressed or not; all of it is root's. InvalidArgument for a bad one."""
        async with self.empty() as directory:
            await self._workers.unpack(archive, directory, (0, 0))
            yield directory

    @asynccontextmanager
    async def from_remote(self, remote: str, session: Session | None) -> AsyncGenerator[Fetched, None]:
        """A git repository, or at a URL an archive or a Dockerfile alone.

        InvalidArgument for what is neither; errors of `Registry.download` for a URL.
        """
        if repository.parse(remote, context=True) is not None:
            async with self.git(GitSource(url=remote), session) as directory:
                yield Fetched(directory)
            return
        async with self.empty() as directory:
            dockerfile = await url.fetch_context(self._registry, remote, self._workers, directory)
            yield Fetched(directory, dockerfile)

    async def git_tree(self, source: GitSource, session: Session | None, held: AsyncExitStack) -> Tree:
        """A directory of a repository, fetched if what is there is not known from before, else once it is needed."""
        wanted = repository.parse(source.url, context=True)
        if wanted is None:
            raise errdefs.InvalidArgument(f"{repository.redacted(source.url)} is no git repository")
        async with self.empty() as directory:
            settings = self._registry.settings
            named = await git.resolve(wanted, directory, session=session, settings=settings)
        name = checkouts.name_of(wanted, named.number, keep=source.keep_git_dir or wanted.keep_git_dir)
        return await self._checkouts.tree(name, lambda: self.git(source, session, named), held)

    @asynccontextmanager
    async def git(
        self, source: GitSource, session: Session | None, named: git.Named | None = None
    ) -> AsyncGenerator[Path, None]:
        """A directory of a repository, at what was resolved before."""
        wanted = repository.parse(source.url, context=True)
        if wanted is None:
            raise errdefs.InvalidArgument(f"{repository.redacted(source.url)} is no git repository")
        async with self.empty() as directory:
            yield await git.fetch(
                wanted,
                directory,
                keep=source.keep_git_dir or wanted.keep_git_dir,
                session=session,
                settings=self._registry.settings,
                named=named,
            )


def _make(directory: Path) -> None:
    directory.parent.mkdir(0o700, parents=True, exist_ok=True)
    directory.mkdir()
    directory.chmod(_MODE)


async def hide(directory: Path, dockerfile: str) -> None:
    """Take the Dockerfile and .dockerignore out of a context where the latter names them, as dockerd does.

    All else was left out by the client. InvalidArgument for a bad pattern.
    """
    await asyncio.to_thread(_hide, directory, dockerfile)


def _hide(directory: Path, dockerfile: str) -> None:
    content = paths.read_in_root(directory, _IGNORE, _MAX_IGNORE)
    if content is None:
        return
    ignore = Ignore.parse(content)
    root = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for path in (_IGNORE, os.path.normpath(dockerfile.lstrip("/"))):
            if ignore.matches(path):
                _remove(root, path)
    finally:
        os.close(root)


def _remove(root: int, path: str) -> None:
    above, _, name = path.rpartition("/")
    try:
        directory = paths.open_in_root(root, above or ".", os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return  # there is none
    try:
        os.unlink(name, dir_fd=directory)
    except OSError:
        return
    finally:
        os.close(directory)
