"""One build that goes on: what it holds, what came of its vertices, and whom it tells."""

import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from typing import Protocol

import msgspec

from engine.build.lending import Lending
from engine.build.progress import Log, VertexState, Watch
from engine.build.refs import Layer, Output, Ref, Tree
from engine.build.results import CacheSource
from engine.build.session import Session
from engine.build.solver.keys import Digests
from engine.build.solver.records import CacheStore
from engine.build.steps import GitSource, Source, UrlSource, Vertex
from engine.build.workspace import Holds


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a vertex. Steps that the cache knows have a `key`; `layer` is what such a step adds to its root.

    `contents` are the digests of what it copied; `created` is in Unix nanoseconds.
    """

    output: Output
    key: str = ""
    layer: Layer | None = None
    cached: bool = False
    created: int = 0
    contents: Sequence[str] = ()
    record: str = ""

    @property
    def ref(self) -> Ref:
        """The file system that it is; a directory is none."""
        return self.output if isinstance(self.output, Ref) else Ref()


class Sources(Protocol):
    """What a build gets from elsewhere. `vertex` is the digest of the vertex that tells how it goes."""

    def has(self, source: Source) -> bool:
        """Whether it is here already, and nothing is to be waited for."""

    async def image(self, image: str, vertex: str) -> Outcome:
        """The layers of an image that the plan names by its id, held; `cached` if they were here."""

    async def context(self, name: str, vertex: str) -> Tree:
        """The directory of a context, as far as steps need it."""

    async def fetch(self, source: UrlSource | GitSource, vertex: str) -> Tree:
        """The directory with what was fetched."""


class Work(msgspec.Struct, kw_only=True):
    """What solving needs to know of a build."""

    session: Session | None
    watch: Watch
    holds: Holds
    sources: Sources
    lending: Lending
    classic: bool = False
    """Steps that change nothing make no layer; otherwise they make an empty one, as BuildKit's do."""
    imports: Sequence[CacheSource] = ()
    digest: Callable[[Vertex], str] = msgspec.field(default_factory=Digests)
    """What the progress names a vertex by."""
    outcomes: dict[Vertex, Outcome] = msgspec.field(default_factory=dict)
    in_use: ExitStack = msgspec.field(default_factory=ExitStack)
    _states: dict[Vertex, VertexState] = msgspec.field(default_factory=dict)

    async def told(
        self, vertex: Vertex, *, started: int = 0, completed: int = 0, cached: bool = False, error: str = ""
    ) -> None:
        """Report a vertex as it is now; nobody asks when a step of the classic API begins."""
        if self.classic and not completed:
            return
        state = VertexState(
            digest=self.digest(vertex),
            name=vertex.name,
            inputs=[] if self.classic else [self.digest(each) for each in vertex.inputs if each.name],
            started=started,
            completed=completed,
            cached=cached,
            error=error,
        )
        self._states[vertex] = state
        await self.watch(state)

    async def working(self, vertex: Vertex) -> None:
        """Report that a vertex is not to be had from a cache."""
        state = self._states.get(vertex) or VertexState(digest=self.digest(vertex), name=vertex.name)
        await self.watch(msgspec.structs.replace(state, working=True))

    def use(self, store: CacheStore, record: str) -> None:
        """Keep a record, by its id, for as long as the build goes on."""
        if record:
            self.in_use.enter_context(store.using([record]))

    def output_of(self, vertex: Vertex) -> Callable[[int, bytes], Awaitable[None]]:
        """Reports what a step writes."""
        digest = self.digest(vertex)

        async def tell(stream: int, data: bytes) -> None:
            await self.watch(Log(vertex=digest, data=data, stream=stream, timestamp=time.time_ns()))

        return tell
