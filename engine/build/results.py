"""What goes into a build and what comes out of it, as those who serve it and those who export it see it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import msgspec

import errdefs
from engine.build.refs import Layer, Ref, Tree
from engine.build.source import Position, SourceFile
from engine.build.steps import Operation
from engine.images.config import ImageConfig
from engine.images.platforms import Platform


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """Where a build's files are.

    `directory` is the whole context, .dockerignore applied; None if the session has it, or `BuildRequest.remote`
    names it. `tree` is the same for steps, where it is not there before they need it, or named. `dockerfile` is one
    that came by itself, None to look for it in the context.
    """

    directory: Path | None = None
    tree: Tree | None = None
    dockerfile: SourceFile | None = None


class CacheStep(msgspec.Struct, frozen=True, kw_only=True):
    """A step that can be found again by `key`: `layer` is what it adds to its root, None for nothing.

    `parent` is the key of the step that made its root, "" where that is an image or scratch; `root` is the chain id
    of that root. `created` is in Unix nanoseconds.
    """

    key: str
    parent: str
    root: str
    layer: Layer | None
    created: int
    description: str = ""


class Built(msgspec.Struct, frozen=True, kw_only=True):
    """The result for one platform. `config` is whole: layers, history, times.

    `base` is the config of the image that it stands on. `cache` are the steps that this result is made of, and
    `all_cache` those of all stages (what `mode=max` exports): each after those it stands on.
    """

    platform: Platform
    ref: Ref
    config: ImageConfig
    base: ImageConfig | None = None
    cache: Sequence[CacheStep] = ()
    all_cache: Sequence[CacheStep] = ()


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What a build made, held until its Planned is left: one for each platform in the order asked for.

    `several`: platforms were asked for, so that the result is of that many even if it is one.
    """

    images: Sequence[Built]
    several: bool = False

    @property
    def only(self) -> Built:
        """The one image. InvalidArgument if there are more."""
        if len(self.images) != 1:
            raise errdefs.InvalidArgument(
                "exporting multiple references to image store is currently unsupported"
            )
        return self.images[0]


class Brought(msgspec.Struct, frozen=True, kw_only=True):
    """What a cache elsewhere has for a key: the layer on the root that was asked for, None for no change."""

    layer: Layer | None
    created: int = 0


class CacheSource(Protocol):
    """A cache to import from; what it finds is held until it is left."""

    async def find(self, key: str, root: Ref) -> Brought | None:
        """Have the layer of a step here, on top of its root; None for a key that it does not know."""


class BuildError(errdefs.WherryError):
    """A build that failed. `__cause__` is what it failed with: `run.StepFailed` has the exit code.

    `vertex` is the digest, as in the progress, of what failed, "" if it failed before any; `operation` is what that
    does. `positions` are in `source`.
    """

    def __init__(
        self,
        message: str,
        *,
        vertex: str = "",
        operation: Operation | None = None,
        positions: Sequence[Position] = (),
        source: SourceFile | None = None,
    ) -> None:
        super().__init__(message)
        self.vertex = vertex
        self.operation = operation
        self.positions = list(positions)
        self.source = source
