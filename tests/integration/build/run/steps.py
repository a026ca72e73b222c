"""Steps of builds in an engine of the test's own, without a Dockerfile: their output, their layers, their leftovers."""

import asyncio
import os
import subprocess
import tarfile
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import errdefs
from engine.build import leftovers
from engine.build.refs import SCRATCH, Layer, Ref
from engine.build.run.caches import CacheMounts
from engine.build.run.runner import Runner
from engine.build.solver.records import SCHEMA, CacheStore
from engine.build.steps import Run
from engine.build.workspace import Holds, Workspaces
from engine.config import load
from engine.database import Database, Migration
from engine.engine import Engine
from runtime.copying.workers import Workers
from tests.daemon import Wherryd


@dataclass
class Client:
    """A client of a build: it has secrets, and agents that answer each message with itself, in capitals."""

    secrets: dict[str, bytes] = field(default_factory=dict)
    agents: Sequence[str] = ()

    async def secret(self, name: str) -> bytes:
        try:
            return self.secrets[name]
        except KeyError:
            raise errdefs.NotFound(f"secret {name}: not found") from None

    async def agent(self, name: str) -> bool:
        return name in self.agents

    async def forward_agent(
        self, name: str, read: Callable[[], Awaitable[bytes]], write: Callable[[bytes], Awaitable[None]]
    ) -> None:
        while data := await read():
            await write(name.encode() + b":" + data.upper())


class Steps:
    """An engine with the layers of busybox as `base`. `said` is all output of steps, (stream, bytes) as it came."""

    def __init__(self, root: Path, flags: Sequence[str] = ()) -> None:
        """Under `root`; `open` it."""
        self.daemon = Wherryd(root, flags)
        self.said: list[tuple[int, bytes]] = []
        self.base = SCRATCH
        self._opened = AsyncExitStack()

    async def open(self, busybox: Path) -> None:
        """Open the engine, and make the base of an archive."""
        self.daemon.config_file.write_text("{}")
        config = load(self.daemon.argv[4:])
        self.engine = engine = await Engine.open(config)
        self._opened.push_async_callback(engine.shutdown, stop_containers=True)
        shop = engine.images.workshop
        machinery = engine._machinery
        self.content = shop.content
        workers = Workers()
        self._opened.push_async_callback(workers.close)
        self.workspaces = Workspaces(
            machinery.snapshots, shop.content, shop.layers, shop.blobs, config.exec_root / "build", workers
        )
        self._opened.callback(self.workspaces.close)
        database = await Database.open(self.daemon.root / "cache.db", [Migration(1, SCHEMA)])
        self._opened.push_async_callback(database.close)
        self.cache = CacheStore(database)
        await self.cache.load()
        directory = config.data_root / "build" / "steps"
        await leftovers.sweep_caches(self.cache, directory)
        self.caches = CacheMounts(self.cache, directory)
        self._opened.push_async_callback(self.caches.close)
        self.runner = Runner(machinery, self.workspaces, self.caches, engine._store)
        self.holds: Holds = await self._opened.enter_async_context(self.workspaces.holds())
        self.base = Ref((await self.layer(lambda root: _unpack(busybox, root)),))

    async def close(self) -> None:
        """Close all, and take away what an engine keeps in the kernel between two runs."""
        await self._opened.aclose()
        self.daemon.remove_static()

    async def layer(self, change: Callable[[Path], object], on: Ref = SCRATCH) -> Layer:
        """A layer of what `change` does with the mounted files."""
        async with self.workspaces.writable(on, self.holds) as workspace:
            change(workspace.root)
            made = await workspace.commit()
        assert made is not None
        return made

    async def run(
        self,
        command: str | Sequence[str],
        *,
        root: Ref | None = None,
        inputs: Sequence[Path | None] = (),
        names: Sequence[str] = (),
        client: Client | None = None,
        **step: Any,
    ) -> Layer | None:
        """Run a command (of the shell, if it is a text) on the base."""
        args = ["/bin/sh", "-c", command] if isinstance(command, str) else list(command)
        settings = {"env": [], "cwd": "/", "user": "", **step}
        run = Run(args=args, **settings)
        return await self.runner.run(
            run, self.base if root is None else root, inputs, self._hear, client, self.holds, names
        )

    def begin(self, command: str, **options: Any) -> asyncio.Task[Layer | None]:
        """Run a command beside the test."""
        return asyncio.get_running_loop().create_task(self.run(command, **options))

    async def tell(self, command: str, **options: Any) -> str:
        """What a command writes on stdout."""
        self.said.clear()
        await self.run(command, **options)
        return self.text(1)

    def text(self, stream: int) -> str:
        """All that came on a stream."""
        return b"".join(data for number, data in self.said if number == stream).decode()

    async def _hear(self, stream: int, data: bytes) -> None:
        self.said.append((stream, data))

    def names(self, layer: Layer | None) -> list[str]:
        """What is in a layer, directories with a slash at the end."""
        return [] if layer is None else [_name(entry) for entry in self.entries(layer)]

    def entries(self, layer: Layer) -> list[tarfile.TarInfo]:
        """The entries of a layer's archive."""
        with tarfile.open(self.content.path(layer.blob)) as archive:
            return archive.getmembers()

    def read(self, layer: Layer, name: str) -> bytes:
        """A file of a layer."""
        with tarfile.open(self.content.path(layer.blob)) as archive:
            file = archive.extractfile(name)
            assert file is not None
            return file.read()

    def left(self) -> list[str]:
        """What is left of steps: processes, mounts, directories."""
        exec_root = str(self.daemon.exec_root)
        shims = [
            pid
            for pid in filter(str.isdigit, os.listdir("/proc"))
            if _belongs(pid, f"{exec_root}/containers/")
        ]
        mounts = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if exec_root in line]
        rooms = [
            str(path)
            for name in ("build", "containers", "netns", "runc")
            for path in (self.daemon.exec_root / name).glob("*")
        ]
        active = [
            str(path)
            for kind in ("active", "view", "tmp")
            for path in (self.daemon.data_root / "snapshots" / kind).iterdir()
        ]
        return [*shims, *mounts, *rooms, *active]


def held(daemon: Wherryd) -> set[str]:
    """What a running daemon has for steps of builds: rooms, and files that are written to."""
    places = (daemon.exec_root / "build", daemon.data_root / "snapshots/active")
    return {str(path) for place in places for path in place.iterdir()}


def _unpack(archive: Path, root: Path) -> None:
    subprocess.run(["tar", "xpf", archive, "-C", root], check=True)


def _name(entry: tarfile.TarInfo) -> str:
    return entry.name + "/" * entry.isdir()


def _belongs(pid: str, prefix: str) -> bool:
    try:
        return any(
            os.readlink(f"/proc/{pid}/fd/{fd}").startswith(prefix) for fd in os.listdir(f"/proc/{pid}/fd")
        )
    except OSError:
        return False


async def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Wait for something; AssertionError if it does not come."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - the world tells nobody
            await asyncio.sleep(0.01)
