"""What is to be done for one platform, as values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from engine.build.session import Wanted
from engine.build.source import Position
from engine.build.steps import Vertex
from engine.images.config import ImageConfig
from engine.images.platforms import Platform


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A line of an image's history that this build adds.

    `vertex` makes its layer, None for one that changes the config alone. In `created_by`, "{sources}" stands for the
    digest of what is copied where `hashed` says so: the classic builder tells it.
    """

    created_by: str
    vertex: Vertex | None = None
    author: str = ""
    hashed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """An instruction as the classic API counts and shows it: "RUN make".

    `config` is the image's config after it, without layers and history; `entries` of the history it is known by,
    those of its stage up to and with it. `root` makes its file system, None for that of scratch.
    """

    text: str
    position: Position
    stage: int
    root: Vertex | None = None
    config: ImageConfig = field(default_factory=ImageConfig)
    entries: Sequence[Entry] = ()
    image: str = ""
    """The id of the image that FROM names, where one is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A build for one platform.

    `root` makes the result's file system, None for an empty one. `config` is the result's, with the layers and the
    history of the base alone; `entries` is what comes to the history. `contexts` tells what the steps need of each
    context. `base` is the config of the image that it all stands on, None for scratch. `steps` are those of the
    classic API, in the order of the Dockerfile.
    """

    platform: Platform
    root: Vertex | None
    config: ImageConfig
    entries: Sequence[Entry]
    contexts: Mapping[str, Wanted] = field(default_factory=dict)
    base: ImageConfig | None = None
    steps: Sequence[Step] = ()
    epoch: int | None = None

    @property
    def vertices(self) -> list[Vertex]:
        """All that has to be made, each after its inputs."""
        found: dict[int, Vertex] = {}

        def visit(vertex: Vertex) -> None:
            if id(vertex) not in found:
                for each in vertex.inputs:
                    visit(each)
                found[id(vertex)] = vertex

        if self.root is not None:
            visit(self.root)
        return list(found.values())
