"""Git repositories, fetched by git: no deeper than one commit, and with nothing of the repository ever executed.

git is told what it may do by a file of its own: no hooks, no protocols but those of a network, no files of this host,
and no configuration but that. Credentials are in that file alone, which no other user reads: not in the
arguments of a process, not in the checkout, not in errors.
"""

import asyncio
import base64
import os
import re
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import errdefs
from engine.build.contexts.repository import Repository
from engine.build.run import agents
from engine.build.session import Session
from engine.build.steps import RunMount
from engine.registry.hosts import Settings
from runtime import spawn, tree
from runtime.paths import open_in_root
from runtime.spec.identity import HOST

_SECONDS = 1800.0  # of one command
_SSH = "ssh -F /dev/null -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
_CONFIG = """\
[core]
	hooksPath = /dev/null
	fsmonitor = false
	symlinks = true
	logAllRefUpdates = false
[init]
	defaultBranch = master
[advice]
	detachedHead = false
[gc]
	auto = 0
[maintenance]
	auto = false
[submodule]
	fetchJobs = 2
[protocol]
	allow = never
[protocol "https"]
	allow = always
[protocol "http"]
	allow = always
[protocol "ssh"]
	allow = always
[protocol "git"]
	allow = always
[http]
	lowSpeedLimit = 1000
	lowSpeedTime = 30
"""


async def fetch(
    repository: Repository, directory: Path, *, keep: bool, session: Session | None, settings: Settings
) -> Path:
    """Fetch a repository into an empty directory; where its files are.

    With `keep` there is a .git beside them. InvalidArgument in BuildKit's words for what cannot be had.
    """
    config, work = directory / "config", directory / "checkout"
    header = await authorization(repository, session)
    await asyncio.to_thread(_prepare, config, work, _CONFIG + _of_header(repository.remote, header))
    async with _agent(repository, directory / "agent", session) as agent:
        await _check_out(repository, _Git(repository, config, work, settings, agent))
    return await asyncio.to_thread(_settle, repository, config, work, keep=keep)


async def _check_out(repository: Repository, git: "_Git") -> None:
    await git.run("init", "--quiet", "--template=")
    commit = await git.fetch()
    if repository.checksum and not commit.startswith(repository.checksum):
        raise errdefs.InvalidArgument(f"expected checksum to match {repository.checksum}, got {commit}")
    await git.run("checkout", "--quiet", "--force", "--detach", commit)
    if repository.submodules:
        await git.run("submodule", "--quiet", "update", "--init", "--recursive", "--depth=1")


@asynccontextmanager
async def _agent(repository: Repository, path: Path, session: Session | None) -> AsyncIterator[str]:
    """Where the client's SSH agent answers, "" if it is not needed or there is none."""
    asked = RunMount(kind="ssh", target="")
    by_ssh = not repository.remote.startswith(("https://", "http://", "git://"))
    if by_ssh and session is not None and await agents.has_agent(asked, session):
        directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            async with agents.listening(path, asked, session, HOST):
                # The way to a socket may have 107 bytes at most, and that to a data root has any number.
                yield f"/proc/{os.getpid()}/fd/{directory}/{path.name}"
        finally:
            os.close(directory)
    else:
        yield ""


def _prepare(config: Path, work: Path, content: str) -> None:
    descriptor = os.open(config, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(content)
    work.mkdir()
    work.chmod(0o755)


async def authorization(repository: Repository, session: Session | None) -> str:
    """The header that a remote is shown, "" for none."""
    if repository.authorization is not None:
        return _basic(*repository.authorization)
    if session is None or not repository.remote.startswith("https://"):
        return ""
    host = re.split(r"[/:]", repository.remote.removeprefix("https://"), maxsplit=1)[0]
    for name in (f"GIT_AUTH_HEADER.{host}", "GIT_AUTH_HEADER", f"GIT_AUTH_TOKEN.{host}", "GIT_AUTH_TOKEN"):
        with suppress(errdefs.NotFound):
            secret = (await session.secret(name)).decode().strip()
            return secret if "HEADER" in name else _basic("x-access-token", secret)
    return ""


def _basic(user: str, password: str) -> str:
    return f"basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def _of_header(remote: str, header: str) -> str:
    if not header:
        return ""
    if not header.isprintable():
        raise errdefs.InvalidArgument("the secret for a git repository is no header")
    origin = "/".join(remote.split("/")[:3])
    quoted = header.replace("\\", "\\\\").replace('"', '\\"')
    return f'[http "{origin}/"]\n\textraHeader = "Authorization: {quoted}"\n'


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

    async def fetch(self) -> str:
        """Fetch what is asked for; its commit."""
        repository = self._repository
        await self.run("remote", "add", "origin", repository.remote)
        if repository.is_commit:
            await self._fetch_commit(repository.ref)
            wanted = repository.ref
        else:
            name = await self._full_name() if repository.ref else "HEAD"
            await self._fetch(name)
            wanted = "FETCH_HEAD"
        return (await self.run("rev-parse", "--verify", "--end-of-options", f"{wanted}^{{commit}}")).strip()

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

    async def _full_name(self) -> str:
        """A ref's whole name: of a branch rather than of a tag, as git checks it out."""
        ref = self._repository.ref
        listed = await self.run("ls-remote", "--quiet", "origin", ref)
        names = {line.partition("\t")[2] for line in listed.splitlines()}
        for name in (f"refs/{ref.removeprefix('refs/')}", f"refs/heads/{ref}", f"refs/tags/{ref}"):
            if name in names:
                return name
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
