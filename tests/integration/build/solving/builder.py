"""Whole builds in an engine of the test's own: a Dockerfile and files go in, images come out."""

import asyncio
import shutil
import tarfile
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import errdefs
from engine.build.progress import Event, Finding, Log, VertexState
from engine.build.request import BuildRequest
from engine.build.results import Built, Context, Result
from engine.build.session import Credentials, Meter, Wanted
from engine.config import load
from engine.engine import Engine
from engine.images.config import ImageConfig
from tests.daemon import Wherryd


@dataclass
class Files:
    """A client with directories: all of each is sent, but for what the build excludes by name."""

    directories: Mapping[str, Path]
    asked: list[tuple[str, Wanted]] = field(default_factory=list)

    shared_key = ""

    async def receive(self, name: str, into: Path, wanted: Wanted, meter: Meter) -> bool:
        if name not in self.directories:
            raise errdefs.NotFound(f"no local directory {name}")
        self.asked.append((name, wanted))
        ignore = shutil.ignore_patterns(*wanted.exclude)
        shutil.copytree(self.directories[name], into, dirs_exist_ok=True, ignore=ignore, symlinks=True)
        await meter(1)
        return True

    async def upload(self, url: str) -> AsyncIterator[bytes]:
        raise errdefs.NotFound(url)

    async def secret(self, name: str) -> bytes:
        return b"hidden"

    async def agent(self, name: str) -> bool:
        return False

    async def forward_agent(self, name: str, read: Any, write: Any) -> None:
        raise errdefs.NotFound(name)

    async def credentials(self, host: str) -> Credentials | None:
        return None

    async def send_directory(self, exporter: str, directory: Path, meter: Meter) -> None:
        raise errdefs.NotFound(exporter)

    async def send_file(self, exporter: str, chunks: Any, metadata: dict[str, str], meter: Meter) -> None:
        raise errdefs.NotFound(exporter)

    async def read_content(self, store: str, digest: str) -> AsyncIterator[bytes]:
        raise errdefs.NotFound(digest)

    async def write_content(self, store: str, digest: str, size: int, chunks: AsyncIterator[bytes]) -> None:
        raise errdefs.NotFound(store)


@dataclass
class Seen:
    """What a build told."""

    events: list[Event] = field(default_factory=list)
    more: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, event: Event, /) -> None:
        self.events.append(event)
        self.more.set()

    async def told(self, text: str) -> None:
        """Wait for output of steps."""
        while text not in self.output():
            self.more.clear()
            await self.more.wait()

    def names(self) -> list[str]:
        """The vertices in the order in which they began."""
        began = [each for each in self.events if isinstance(each, VertexState) and each.started]
        return list(dict.fromkeys(each.name for each in began))

    def cached(self) -> list[str]:
        """Those of the cache."""
        return [each.name for each in self.events if isinstance(each, VertexState) and each.cached]

    def failed(self) -> dict[str, str]:
        """Errors by vertex."""
        return {each.name: each.error for each in self.events if isinstance(each, VertexState) and each.error}

    def output(self) -> str:
        """All that steps wrote."""
        return b"".join(each.data for each in self.events if isinstance(each, Log)).decode()

    def findings(self) -> list[str]:
        """The rules that were broken."""
        return [each.short for each in self.events if isinstance(each, Finding)]


class Builder:
    """An engine with the image busybox, and a context that tests write into."""

    def __init__(self, root: Path) -> None:
        """Under `root`; `open` it."""
        self.daemon = Wherryd(root, [])
        self.context = root / "context"
        self.context.mkdir()
        self.seen = Seen()
        self.client = Files({"context": self.context, "dockerfile": self.context})
        self._opened = AsyncExitStack()

    async def open(self, busybox: Path | None = None) -> None:
        """Open the engine; with an archive, make the image."""
        self.daemon.config_file.write_text("{}")
        self.engine = await Engine.open(load(self.daemon.argv[4:]))
        self._opened.push_async_callback(self.engine.shutdown, stop_containers=True)
        self.builds = (await self.engine.building.doors()).builds
        if busybox is not None:
            await self.engine.images.import_(_chunks(busybox), repo="busybox", changes=['CMD ["sh"]'])

    async def close(self) -> None:
        """Close it, and take away what an engine keeps in the kernel between two runs."""
        await self.shut()
        self.daemon.remove_static()

    async def shut(self) -> None:
        """Close it, to be opened again."""
        await self._opened.aclose()
        self._opened = AsyncExitStack()

    def write(self, **files: str) -> None:
        """Files of the context."""
        for name, text in files.items():
            (self.context / name).write_text(text)

    async def build(self, dockerfile: str, **request: Any) -> Result:
        """Build; what it told is in `seen`."""
        (self.context / "Dockerfile").write_text(dockerfile)
        self.seen = Seen()
        asked = BuildRequest(id="test", **request)
        async with self.builds.plan(asked, self.client, Context(), self.seen) as planned:
            result = await self.builds.execute(planned)
            self.files = {number: self._files(each) for number, each in enumerate(result.images)}
            return result

    async def config(self, dockerfile: str, **request: Any) -> ImageConfig:
        """The config of what a Dockerfile makes."""
        return (await self.build(dockerfile, **request)).images[0].config

    def _files(self, built: Built) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        for layer in built.ref.layers[1:] if len(built.ref.layers) > 1 else built.ref.layers:
            found.update(_contents(self.engine.images.workshop.content.path(layer.blob)))
        return found


def _contents(archive: Path) -> Iterable[tuple[str, bytes]]:
    with tarfile.open(archive) as opened:
        for entry in opened.getmembers():
            file = opened.extractfile(entry) if entry.isreg() else None
            yield entry.name, file.read() if file else b""


async def _chunks(path: Path) -> AsyncIterator[bytes]:
    yield await asyncio.to_thread(path.read_bytes)


def steps(config: ImageConfig) -> Sequence[str]:
    """The lines of a history."""
    return [each.created_by for each in config.history]
