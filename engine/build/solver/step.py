"""One vertex of one build: found in the cache, brought from another one, or done."""

import secrets
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec

import errdefs
from engine.build.files.copier import Copier
from engine.build.files.owners import Owners
from engine.build.refs import SCRATCH, Layer, Output, Ref
from engine.build.run.runner import Runner
from engine.build.solver import keys
from engine.build.solver.executable import require_executable
from engine.build.solver.records import CacheStore, Record, new_id
from engine.build.solver.sharing import Output as Tell
from engine.build.solver.sharing import Shared
from engine.build.solver.views import Views
from engine.build.solver.work import Outcome, Work
from engine.build.steps import (
    ContextSource,
    Copy,
    Files,
    GitSource,
    ImageSource,
    Run,
    RunMount,
    UrlSource,
    Vertex,
)
from engine.build.workspace import Holds, Workspaces
from engine.images import config

_REMEMBERED = 4096  # digests of what was copied from layers and known contexts
_OWN = frozenset(("secret", "ssh"))  # mounts that a client gives for its own build


class Tools(msgspec.Struct, kw_only=True):
    """What steps are done with; one for all builds."""

    store: CacheStore
    workspaces: Workspaces
    copier: Copier
    runner: Runner
    owners: Owners
    shared: Shared[Record] = msgspec.field(default_factory=Shared)
    contents: "OrderedDict[str, str]" = msgspec.field(default_factory=OrderedDict)
    """Digests of what was copied or mounted, by selector."""


class Step:
    """One vertex, of which the inputs beside the root are done. `root` is to be there before it is run."""

    def __init__(self, tools: Tools, vertex: Vertex, others: Sequence[Outcome], work: Work) -> None:
        self._tools = tools
        self._vertex = vertex
        self._others = others
        self._work = work
        self._contents: list[str] = []
        self._key = ""
        self.root = Outcome(output=SCRATCH)

    @property
    def _inputs(self) -> list[Outcome]:
        return [self.root, *self._others]

    def is_at_hand(self) -> bool:
        """Whether it is known what comes of it: nothing has to be fetched, digested or done. All inputs are done."""
        operation = self._vertex.operation
        if not isinstance(operation, Files | Run):
            return self._work.sources.has(operation)
        if self._vertex.ignore_cache or (self._work.classic and _has_owner(operation)):
            return False
        known = self._tools.contents
        selectors = [self._selector(take) for take in keys.taken(operation)]
        if any(each not in known for each in selectors):
            return False
        self._contents = [known[each] for each in selectors]
        for each in selectors:
            known.move_to_end(each)
        self._key = keys.key_of(operation, self.root.ref, self._contents)
        return self._tools.store.find(self._key) is not None

    async def look(self) -> None:
        """Digest what it takes from its other inputs, for which the root is not needed."""
        if self._key:
            return
        self._contents = []
        async with AsyncExitStack() as stack:
            views = Views(self._tools.workspaces, self._inputs, stack)
            for take in keys.taken(self._vertex.operation):
                self._contents.append(await self._content(take, views))

    async def run(self) -> Outcome:
        """What comes of it. Errors are worded as BuildKit does."""
        operation, work = self._vertex.operation, self._work
        digest = work.digest(self._vertex)
        if isinstance(operation, ImageSource):
            outcome = await work.sources.image(operation.image, digest)
            work.use(self._tools.store, outcome.record)
            return outcome
        if isinstance(operation, ContextSource):
            return Outcome(output=await work.sources.context(operation.name, digest))
        if isinstance(operation, UrlSource | GitSource):
            tree = await work.sources.fetch(operation, digest)
            return Outcome(output=tree, cached=not isinstance(tree.path, Path))
        return await self._made(operation, self.root.ref)

    async def _made(self, operation: Files | Run, root: Ref) -> Outcome:
        if self._work.classic and isinstance(operation, Files):
            operation = await self._tools.owners.numbered(operation, root)
        if len(root.layers) >= config.MAX_LAYERS:
            raise errdefs.InvalidArgument("max depth exceeded")
        key = self._key or keys.key_of(operation, root, self._contents)
        if not self._vertex.ignore_cache:
            found = await self._cached(key, root) or await self._imported(key, root)
            if found is not None:
                return found
        return await self._done(operation, root, key)

    def _selector(self, take: Copy | RunMount) -> str:
        return keys.selector(take, self._inputs[take.source or 0].output)

    async def _content(self, take: Copy | RunMount, views: Views) -> str:
        """The digest of what is copied or mounted; remembered where a name tells what that was."""
        assert take.source is not None
        selector = self._selector(take)
        known = self._tools.contents
        if selector and selector in known:
            known.move_to_end(selector)
            return known[selector]
        path = await views.path(take.source)
        try:
            if isinstance(take, Copy):
                digest = await self._tools.copier.digest(path, take)
            else:
                digest = await self._tools.copier.digest_path(path, take.path)
        except errdefs.NotFound as error:
            ref = self._work.digest(self._vertex.inputs[take.source])[7:32]
            raise errdefs.NotFound(
                f"failed to compute cache key: failed to calculate checksum of ref {ref}: {error.message}"
            ) from error
        if selector:
            known[selector] = digest
            while len(known) > _REMEMBERED:
                known.popitem(last=False)
        return digest

    async def _cached(self, key: str, root: Ref) -> Outcome | None:
        """What the cache has; a record of which something is gone is forgotten."""
        store = self._tools.store
        record = store.find(key)
        if record is None:
            return None
        self._work.use(self._tools.store, record.id)
        try:
            layer = await self._on(root, record)
        except errdefs.NotFound:
            await store.remove([record.id])
            return None
        await store.touch(record.id)
        return self._outcome(record, root, layer, cached=True)

    async def _on(self, root: Ref, record: Record) -> Layer | None:
        """The layer of a record on a root, held; that of a step with `--link` may have been made on another one."""
        if not record.layers:
            return await self._unchanged(root)
        (layer,) = record.layers
        if not self._work.holds.keep(layer):
            raise errdefs.NotFound(f"layer {layer.chain_id} does not exist")
        if layer.chain_id == config.chain_id(root.chain_id, layer.diff_id):
            return layer
        return await self._tools.workspaces.stack(root, layer, self._work.holds)

    async def _imported(self, key: str, root: Ref) -> Outcome | None:
        """What a cache elsewhere has, which is ours as well from then on."""
        for source in self._work.imports:
            found = await source.find(key, root)
            if found is None:
                continue
            if found.layer is not None and not await self._work.holds.take(found.layer):
                continue
            record = self._record(key, root, found.layer, found.created or time.time_ns())
            self._tools.store.add(record)
            self._work.use(self._tools.store, record.id)
            return self._outcome(record, root, await self._on(root, record), cached=True)
        return None

    async def _unchanged(self, root: Ref) -> Layer | None:
        """What a step makes that changes nothing: BuildKit has an empty layer for it, the classic builder none."""
        if self._work.classic:
            return None
        return await self._tools.workspaces.unchanged(root, self._work.holds)

    async def _done(self, operation: Files | Run, root: Ref, key: str) -> Outcome:
        """Do it, or have it from another build that is at it."""
        await self._work.working(self._vertex)

        @asynccontextmanager
        async def make(tell: Tell) -> AsyncIterator[Record]:
            async with (
                self._work.lending.needed(),
                self._tools.workspaces.holds() as holds,
                AsyncExitStack() as stack,
            ):
                layer = await self._do(operation, root, tell, holds, stack)
                record = self._record(key, root, layer, time.time_ns())
                self._tools.store.add(record)
                yield record

        alone = self._vertex.ignore_cache or _is_own(operation)
        name = f"{key} {secrets.token_hex(8)}" if alone else key
        async with self._tools.shared.join(name, make, self._work.output_of(self._vertex)) as record:
            self._work.use(self._tools.store, record.id)
            layer = await self._on(root, record)
        return self._outcome(record, root, layer, cached=False)

    async def _do(
        self, operation: Files | Run, root: Ref, tell: Tell, holds: Holds, stack: AsyncExitStack
    ) -> Layer | None:
        for each in self._inputs:
            holds.stand_on(each.ref)
        views = Views(self._tools.workspaces, self._inputs, stack)
        if isinstance(operation, Files):
            paths = [await views.path(number) for number in range(1, len(self._inputs))]
            return await self._tools.copier.run(operation, root, paths, holds)
        require_executable(operation.platform)
        used = {mount.source for mount in operation.mounts}
        mounted = [
            await views.path(number) if number in used else None for number in range(len(self._inputs))
        ]
        names = [_name(each.output) for each in self._inputs]
        return await self._tools.runner.run(operation, root, mounted, tell, self._work.session, holds, names)

    def _record(self, key: str, root: Ref, layer: Layer | None, created: int) -> Record:
        return Record(
            id=new_id(),
            key=key,
            description=self._vertex.name,
            layers=(layer,) if layer else (),
            parent=self.root.record,
            root=root.chain_id,
            size=layer.size if layer else 0,
            created=created,
            used=time.time_ns(),
        )

    def _outcome(self, record: Record, root: Ref, layer: Layer | None, *, cached: bool) -> Outcome:
        return Outcome(
            output=root.on_top(layer),
            key=record.key,
            layer=layer,
            cached=cached,
            created=record.created,
            contents=self._contents,
            record=record.id,
        )


def _has_owner(operation: Files | Run) -> bool:
    """Whether the files of the root may have to be asked who that is."""
    return isinstance(operation, Files) and any(
        isinstance(action, Copy) and action.owner for action in operation.actions
    )


def _is_own(operation: Files | Run) -> bool:
    return isinstance(operation, Run) and any(mount.kind in _OWN for mount in operation.mounts)


def _name(output: Output) -> str:
    """What names the content of an input, "" for a directory."""
    return output.chain_id if isinstance(output, Ref) else ""
