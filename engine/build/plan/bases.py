"""What stages stand on, and what files are taken from beside them: images, named contexts, nothing."""

import msgspec

import errdefs
from engine.build.plan import contexts
from engine.build.plan.contexts import Contexts, Given
from engine.build.plan.graph import SCRATCH, Node
from engine.build.plan.metadata import Base, Metadata
from engine.build.plan.stage import of_base, of_scratch
from engine.build.request import BuildRequest
from engine.build.results import BuildError
from engine.build.source import at
from engine.build.steps import ImageSource, Vertex
from engine.build.worded import worded
from engine.images import platforms, reference
from engine.images.abreast import abreast
from engine.images.config import ImageConfig
from engine.images.platforms import Platform
from engine.images.reference import Reference


class Aim(msgspec.Struct, frozen=True, kw_only=True):
    """What one plan is for: `platform` is the one that was asked for, or this host's if none was (`asked`).

    `several`: progress tells platforms apart.
    """

    platform: Platform
    host: Platform
    asked: bool = False
    several: bool = False


class Found(msgspec.Struct, kw_only=True):
    """An image (`source`, None for one without layers) or a context's `files`; neither is an empty file system.

    `config` is what a stage begins with, to be copied. `shown` is how its vertex is called. `context`: it comes from
    a named context; `replaces`: which takes the place of a whole stage.
    """

    config: ImageConfig
    platform: Platform
    source: ImageSource | None = None
    files: Vertex | None = None
    base: ImageConfig | None = None
    shown: str = ""
    context: bool = False
    replaces: bool = False


class Bases(msgspec.Struct):
    """Those of one plan, each asked for once."""

    request: BuildRequest
    aim: Aim
    metadata: Metadata
    contexts: Contexts
    _found: dict[Node, Found] = msgspec.field(default_factory=dict)
    _vertices: dict[ImageSource, Vertex] = msgspec.field(default_factory=dict)

    async def resolve(self, nodes: list[Node]) -> None:
        """Ask for all of them at the same time; the first failure is raised."""
        async with abreast([self._resolve(node) for node in nodes]) as coming:
            found = [await each for each in coming]
        self._found.update(zip(nodes, found, strict=True))

    async def of(self, node: Node) -> Found:
        """What a stage begins with, or what is taken from."""
        if node not in self._found:
            self._found[node] = await self._resolve(node)
        return self._found[node]

    async def files(self, node: Node) -> Vertex | None:
        """The vertex with the files of a node that is no stage; None for none."""
        found = await self.of(node)
        return found.files or self.vertex(found, found.shown)

    def vertex(self, found: Found, name: str) -> Vertex | None:
        """The vertex of an image's layers; who asks first gives the name. None for no layers."""
        if found.source is None:
            return None
        if found.source not in self._vertices:
            self._vertices[found.source] = Vertex(name=name, operation=found.source)
        return self._vertices[found.source]

    async def _resolve(self, node: Node) -> Found:
        platform = node.platform or self.aim.platform
        with at(node.position):
            named = contexts.given(self.request, node.name, platform) if node.name else None
            if named is not None:
                found = await self._context(named, platform)
                found.context = found.replaces = True
                return found
            if self.request.classic and node.stage is None and node.base == SCRATCH:
                raise errdefs.InvalidArgument(self._about(node, "'scratch' is a reserved name"))
            if node.below is not None or node.base == SCRATCH:
                return self._nothing(platform)
            if self.request.classic and (image := self.metadata.local(node.base)) is not None:
                return self._image(image, platform, f"FROM {image.shown}")
            try:
                name = reference.parse(node.base).with_default_tag()
            except errdefs.InvalidArgument as error:
                raise errdefs.InvalidArgument(self._about(node, error.message)) from None
            if (context := contexts.given(self.request, name.canonical, platform)) is not None:
                found = await self._context(context, platform)
                found.context = True
                return found
            label = f"[{platforms.render(platform)} internal]" if self.aim.several else "[internal]"
            try:
                base = await self.metadata.image(name, platform, label)
            except errdefs.WherryError as error:
                cause = worded(error, self._about(node, error.message)) if self.request.classic else error
                message = f"{node.base}: {error.message}"
                raise BuildError(message, positions=[node.position]) from cause
            return self._image(base, platform, f"FROM {base.shown}")

    async def _context(self, context: Given, platform: Platform) -> Found:
        if context.kind == "input":
            base = await self.metadata.input(context.value)
            return self._image(base, platform, f"[context {context.shown}] {base.shown}")
        if context.kind == "oci-layout":
            store = _store(context)
            name = context.named.with_digest(store.digest)
            label = f"[context {context.shown}]"
            base = await self.metadata.layout(store.familiar_name, name, platform, label)
            return self._image(base, platform, f"{label} OCI load from client")
        if context.kind != "docker-image":
            found = self._nothing(platform)
            found.files = self.contexts.files(context)
            return found
        if context.value == SCRATCH:
            return self._nothing(platform)
        name = reference.parse(context.value).with_default_tag()
        base = await self.metadata.image(name, platform, f"[context {context.shown}]")
        return self._image(base, platform, f"[context {context.shown}] {base.shown}")

    def _about(self, node: Node, message: str) -> str:
        """What is wrong with a name, as the builder that is asked words it."""
        if not self.request.classic:
            return f'failed to parse stage name "{node.base}": {message}'
        return message if node.stage else f"invalid from flag value {node.base}: {message}"

    def _nothing(self, platform: Platform) -> Found:
        return Found(config=of_scratch(platform, classic=self.request.classic), platform=platform)

    def _image(self, base: Base, platform: Platform, shown: str) -> Found:
        """An image that is for another platform than the host's keeps its own where none was asked for."""
        actual = base.config.platform if base.config.architecture and not self.aim.asked else platform
        return Found(
            config=of_base(base, classic=self.request.classic),
            platform=actual,
            source=base.source,
            base=base.config,
            shown=shown,
        )


def _store(context: Given) -> Reference:
    """What the client calls the store of a layout, and the image in it by its digest. InvalidArgument without that."""
    try:
        store = reference.parse(context.value)
    except errdefs.InvalidArgument as error:
        raise errdefs.InvalidArgument(
            f'could not parse oci-layout reference "{context.value}": {error.message}'
        ) from None
    if not store.digest:
        raise errdefs.InvalidArgument(f'oci-layout reference "{context.value}" has no digest')
    return store
