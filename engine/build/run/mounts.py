"""What a step mounts beside its root, prepared one after the other, and taken back when the step is over."""

import os
import posixpath
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import msgspec

import errdefs
from engine.build.run import agents, binds, secrets
from engine.build.run.caches import CacheMounts, Fill
from engine.build.run.client import Client
from engine.build.steps import Run, RunMount
from engine.build.workspace import Workspaces
from engine.volumes import copy_up
from runtime.settled import settled
from runtime.spec.identity import Identity
from runtime.spec.mounts import Bind, Mount, Tmpfs

_AGENT = "SSH_AUTH_SOCK"


class Inputs(msgspec.Struct, frozen=True, kw_only=True):
    """Where a step's inputs are, None for one that is not mounted, and what names their content, "" if nothing does."""

    paths: Sequence[Path | None]
    names: Sequence[str]

    def path(self, mount: RunMount) -> Path | None:
        """Of the input that a mount is of; None for a mount of nothing. NotFound for an input that is not there."""
        if mount.source is None:
            return None
        found = self.paths[mount.source]
        if found is None:
            raise errdefs.NotFound(f"mount {mount.target} has no input")
        return found

    def name(self, mount: RunMount) -> str:
        """What names the content of that input."""
        number = mount.source
        return self.names[number] if number is not None and number < len(self.names) else ""


class Given(msgspec.Struct, kw_only=True):
    """What the spec of the step has of its mounts: in order, and variables."""

    mounts: list[Mount] = msgspec.field(default_factory=list)
    variables: list[str] = msgspec.field(default_factory=list)


class Tools(msgspec.Struct, frozen=True, kw_only=True):
    """What mounts are made with."""

    workspaces: Workspaces
    caches: CacheMounts
    shift: binds.Shift

    @property
    def identity(self) -> Identity:
        """Whose the step's files are."""
        return self.shift.identity


@asynccontextmanager
async def provided(
    step: Run, inputs: Inputs, session: Client | None, directory: Path, tools: Tools
) -> AsyncIterator[Given]:
    """All mounts of a step; `directory` is made for it if there are any, and removed.

    NotFound for secrets and agents that are required and not there, and for paths that are not.
    """
    if not step.mounts:
        yield Given()
        return
    async with AsyncExitStack() as undo:
        undo.push_async_callback(settled, _remove, directory)
        await settled(directory.mkdir, 0o711, parents=True)
        work = _Work(step, inputs, session, directory, tools, undo)
        for number, mount in enumerate(step.mounts):
            await work.add(number, mount)
        yield work.given


class _Work:
    """One step's mounts; `undo` takes them back."""

    def __init__(
        self,
        step: Run,
        inputs: Inputs,
        session: Client | None,
        directory: Path,
        tools: Tools,
        undo: AsyncExitStack,
    ) -> None:
        self.given = Given()
        self._step = step
        self._inputs = inputs
        self._session = session
        self._directory = directory
        self._tools = tools
        self._undo = undo
        self._secrets: secrets.SecretFiles | None = None
        self._agents = 0
        self._caches: dict[tuple[str, str], Path] = {}

    async def add(self, number: int, mount: RunMount) -> None:
        match mount.kind:
            case "bind":
                await self._bind(self._directory / str(number), mount)
            case "cache":
                await self._cache(self._directory / str(number), mount)
            case "tmpfs":
                size = [f"size={mount.size}"] if mount.size else []
                options = ",".join(["exec", "dev", *size])
                self.given.mounts.append(Tmpfs(destination=self._target(mount), options=options))
            case "secret":
                await self._secret(mount)
            case "ssh":
                await self._agent(mount)
            case kind:
                raise errdefs.InvalidArgument(f"mount type {kind} not implemented")

    def _target(self, mount: RunMount, usual: str = "") -> str:
        return posixpath.normpath(posixpath.join("/", self._step.cwd, mount.target or usual))

    def _give(self, source: str | Path, target: str, *, read_only: bool) -> None:
        self.given.mounts.append(Bind(source=str(source), destination=target, read_only=read_only))

    async def _bind(self, place: Path, mount: RunMount) -> None:
        root = self._inputs.path(mount)
        if root is None:
            root = await self._undo.enter_async_context(self._tools.workspaces.scratch())
        elif self._tools.identity.remapped:
            mounted = binds.shifted(
                root, place, self._tools.workspaces, self._tools.shift, read_only=mount.read_only
            )
            root = await self._undo.enter_async_context(mounted)
        elif not mount.read_only:
            root = await self._undo.enter_async_context(binds.changeable(root, place, self._tools.workspaces))
        self._give(await binds.part(root, mount.path), self._target(mount), read_only=mount.read_only)

    async def _cache(self, place: Path, mount: RunMount) -> None:
        root, origin = self._inputs.path(mount), self._inputs.name(mount)
        fill = None if root is None else _filling(root, mount.path)
        known = (mount.id or mount.target, origin)
        if known not in self._caches:  # a step that mounts one twice does not wait for itself
            using = self._tools.caches.use(mount, origin, fill, self._step.args)
            directory = await self._undo.enter_async_context(using)
            if self._tools.identity.remapped:
                shared = binds.shared(directory, place, self._tools.shift)
                directory = await self._undo.enter_async_context(shared)
            self._caches[known] = directory
        self._give(self._caches[known], self._target(mount), read_only=mount.read_only)

    async def _secret(self, mount: RunMount) -> None:
        secret = await secrets.ask(mount, self._session)
        if mount.env:
            self.given.variables.append(secrets.variable(mount, secret))
            if not mount.target:
                return
        if secret is None:
            return
        if self._secrets is None:
            mounted = secrets.SecretFiles.mounted(self._directory / "secrets", self._tools.identity)
            self._secrets = await self._undo.enter_async_context(mounted)
        path = await self._secrets.add(mount, secret)
        self._give(path, self._target(mount, f"/run/secrets/{posixpath.basename(mount.id)}"), read_only=True)

    async def _agent(self, mount: RunMount) -> None:
        number, self._agents = self._agents, self._agents + 1
        target = self._target(mount, f"/run/buildkit/ssh_agent.{number}")
        if number == 0 and not any(entry.startswith(f"{_AGENT}=") for entry in self._step.env):
            self.given.variables.append(f"{_AGENT}={target}")
        if not await agents.has_agent(mount, self._session) or self._session is None:
            return
        socket = self._directory / f"agent.{number}"
        listening = agents.listening(socket, mount, self._session, self._tools.identity)
        await self._undo.enter_async_context(listening)
        self._give(socket, target, read_only=False)


def _remove(directory: Path) -> None:
    with suppress(FileNotFoundError):
        directory.rmdir()


def _filling(root: Path, path: str) -> Fill:
    def fill(directory: Path) -> None:
        top = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            copy_up.fill(top, path or "/", str(directory))
        finally:
            os.close(top)

    return fill
