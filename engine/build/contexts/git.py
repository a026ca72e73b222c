"""Git repositories, fetched by git: no deeper than one commit, and with nothing of the repository ever executed.

git is told what it may do by a file of its own: no hooks, no protocols but those of a network, no files of this host,
and no configuration but that. Credentials are in that file alone, which no other user reads: not in the
arguments of a process, not in the checkout, not in errors.
"""

import asyncio
import os
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

import errdefs
from engine.build.contexts import git_access
from engine.build.contexts.repository import Repository
from engine.build.session import Session
from engine.registry.hosts import Settings
from runtime import spawn, tree
from runtime.paths import open_in_root

_OWN, _WORK = "config", "checkout"  # of git, in a directory
_SECONDS = 1800.0  # of one command
_SSH = "ssh -F /dev/null -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"


class Named(msgspec.Struct, frozen=True):
    """What a repository has: the whole name of a ref, or the number of a commit, and the number of the object it is."""

    name: str
    number: str


async def resolve(
    repository: Repository, directory: Path, *, session: Session | None, settings: Settings
) -> Named:
    """What a repository has of what is asked for, in an empty directory; a commit's number is believed.

    InvalidArgument in BuildKit's words for what is not there.
    """
    if repository.is_commit:
        return Named(repository.ref, repository.ref)
    async with _opened(repository, directory, session, settings) as git:
        return await git.named()


async def fetch(
    repository: Repository,
    directory: Path,
    *,
    keep: bool,
    session: Session | None,
    settings: Settings,
    named: Named | None = None,
) -> Path:
    """Fetch a repository into an empty directory, at what was resolved before; where its files are.

    With `keep` there is a .git beside them. InvalidArgument in BuildKit's words for what cannot be had.
    """
    async with _opened(repository, directory, session, settings) as git:
        await _check_out(repository, git, named)
    return await asyncio.to_thread(_settle, repository, directory / _OWN, directory / _WORK, keep=keep)


@asynccontextmanager
async def _opened(
    repository: Repository, directory: Path, session: Session | None, settings: Settings
) -> AsyncIterator["_Git"]:
    config, work = directory / _OWN, directory / _WORK
    await asyncio.to_thread(_prepare, config, work, await git_access.configuration(repository, session))
    async with git_access.agent(repository, directory / "agent", session) as agent:
        yield _Git(repository, config, work, settings, agent)


async def _check_out(repository: Repository, git: "_Git", named: Named | None) -> None:
    named = named or await git.named()
    await git.run("init", "--quiet", "--template=")
    commit = await git.fetch(named)
    if repository.checksum and not commit.startswith(repository.checksum):
        raise errdefs.InvalidArgument(f"expected checksum to match {repository.checksum}, got {commit}")
    await git.run("checkout", "--quiet", "--force", "--detach", commit)
    if repository.submodules:
        await git.run("submodule", "--quiet", "update", "--init", "--recursive", "--depth=1")


def _prepare(config: Path, work: Path, content: str) -> None:
    descriptor = os.open(config, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(content)
    work.mkdir()
    work.chmod(0o755)


class _Git:
    """Runs git for one checkout."""

    def __init__(
        self, repository: Repository, config: Path, work: Path, settings: Settings, agent: str
    ) -> None:
        self._repository = repository
        self._work = work
        self._environment = {
            **spawn.ENVIRONMENT,
            "HOME": "/dev/null",
            "LC_ALL": "C",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": str(config),
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "true",
            "GIT_SSH_COMMAND": _SSH,
            "SSH_AUTH_SOCK": agent,
            "http_proxy": settings.http_proxy,
            "https_proxy": settings.https_proxy,
            "no_proxy": settings.no_proxy,
        }

    async def fetch(self, named: Named) -> str:
        """Fetch something; its commit."""
        await self.run("remote", "add", "origin", self._repository.remote)
        if self._repository.is_commit:
            await self._fetch_commit(named.number)
        else:
            await self._fetch(named.name)
            if await self._number("FETCH_HEAD") != named.number:  # it was moved since then
                await self._fetch_commit(named.number)
        return await self._number(f"{named.number}^{{commit}}")

    async def _number(self, name: str) -> str:
        return (await self.run("rev-parse", "--verify", "--end-of-options", name)).strip()

    async def _fetch_commit(self, commit: str) -> None:
        """Many servers give no commit by its number: then all of it is fetched."""
        try:
            await self._fetch(commit)
        except errdefs.InvalidArgument:
            await self.run(
                "fetch", "--quiet", "--tags", "--force", "origin", "+refs/heads/*:refs/remotes/origin/*"
            )

    async def _fetch(self, name: str) -> None:
        try:
            await self.run("fetch", "--quiet", "--depth=1", "--no-tags", "origin", name)
        except errdefs.InvalidArgument as error:
            if "shallow" not in error.message:
                raise
            await self.run("fetch", "--quiet", "--no-tags", "origin", name)  # by HTTP without git behind it

    async def named(self) -> Named:
        """What is asked for, by its whole name: a branch rather than a tag, as git checks it out."""
        ref = self._repository.ref
        if self._repository.is_commit:
            return Named(ref, ref)
        ref = ref or "HEAD"
        listed = await self.run("ls-remote", "--quiet", "--", self._repository.remote, ref)
        numbers = {name: number for number, _, name in (line.partition("\t") for line in listed.splitlines())}
        whole = (f"refs/{ref.removeprefix('refs/')}", f"refs/heads/{ref}", f"refs/tags/{ref}")
        for name in (*whole, "HEAD") if ref == "HEAD" else whole:
            if name in numbers:
                return Named(name, numbers[name])
        raise errdefs.InvalidArgument(f'repository does not contain ref {ref}, output: "{listed.strip()}"')

    async def run(self, *arguments: str) -> str:
        """What a command says. InvalidArgument with what it complains of, SystemFailure without git."""
        try:
            done = await spawn.run(
                ["git", *arguments],
                cwd=str(self._work),
                timeout=_SECONDS,
                environment=self._environment,
                with_helpers=True,
            )
        except OSError as error:
            raise errdefs.SystemFailure(f"failed to find git binary: {error.strerror}") from error
        except TimeoutError:
            raise errdefs.Unavailable(
                f"failed to fetch remote {self._repository.remote}: it takes too long"
            ) from None
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip()
            raise errdefs.InvalidArgument(
                f"failed to fetch remote {self._repository.remote}: git stderr:\n{said}"
            )
        return done.stdout.decode(errors="surrogateescape")


def _settle(repository: Repository, config: Path, work: Path, *, keep: bool) -> Path:
    """Leave what is to be seen of a checkout; the directory of it that is asked for."""
    config.unlink()
    if not keep or repository.subdirectory:
        _forget(work)
    if not repository.subdirectory:
        return work
    root = os.open(work, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        found = open_in_root(root, repository.subdirectory, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        raise errdefs.InvalidArgument(
            f"subdir {repository.subdirectory} of the repository is no directory: {error.strerror}"
        ) from None
    finally:
        os.close(root)
    try:
        real = Path(os.readlink(f"/proc/self/fd/{found}"))  # through no link that the repository made
    finally:
        os.close(found)
    if not real.is_relative_to(work.resolve()):
        raise errdefs.InvalidArgument(f"subdir {repository.subdirectory} leads out of the repository")
    return real


def _forget(work: Path) -> None:
    """Remove git's own files, those of submodules, too."""
    git = work / ".git"
    if stat.S_ISDIR(git.lstat().st_mode):
        tree.remove(git)
    for step in tree.walk(work):
        if step.name == ".git" and step.move is tree.Move.OBJECT:
            os.unlink(step.name, dir_fd=step.dir_fd)
