"""What is to be done for one platform, as values."""

from collections.abc import Mapping, Sequence

import msgspec

from engine.build.source import Position
from engine.build.steps import Files, Vertex
from engine.images.config import ImageConfig
from engine.images.platforms import Platform

SOURCES = "{sources}"
NOTHING = Vertex(name="", operation=Files(actions=()))
"""The input that stands for an empty file system; it is never made."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A line of an image's history that this build adds.

    `vertex` makes its layer, None for one that changes the config alone. In `created_by`, SOURCES stands for what is
    copied where `hashed` says so: the classic builder tells its digest. `command` are the words of `created_by`.
    """

    created_by: str
    vertex: Vertex | None = None
    author: str = ""
    hashed: bool = False
    command: Sequence[str] = ()


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """An instruction as the classic API counts and shows it: "RUN make".

    `config` is the image's config after it, without layers and history; `entries` of the history it is known by,
    those of its stage up to and with it. `root` makes its file system, None for that of scratch.
    """

    text: str
    position: Position
    stage: int
    root: Vertex | None = None
    config: ImageConfig = msgspec.field(default_factory=ImageConfig)
    entries: Sequence[Entry] = ()
    base: ImageConfig | None = None
    image: str = ""
    """The id of the image that FROM names."""
    triggers: Sequence[str] = ()
    """The ONBUILD instructions of that image, which are carried out."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A build for one platform.

    `root` makes the result's file system, None for an empty one. `config` is the result's, with the layers and the
    history of the base alone; `entries` is what comes to the history. `base` is the config of the image that it all
    stands on, None for scratch. `steps` are those of the classic API, in the order of the Dockerfile.
    """

    platform: Platform
    root: Vertex | None
    config: ImageConfig
    entries: Sequence[Entry]
    base: ImageConfig | None = None
    steps: Sequence[Step] = ()
    epoch: int | None = None
    unused: Sequence[str] = ()
    """Arguments of the build that the Dockerfile does not know."""
    stages: Sequence[int] = ()
    """The numbers of the stages that are needed."""
    bases: Mapping[int, ImageConfig] = msgspec.field(default_factory=dict)
    """The configs of the images that stages stand on."""
    variables: Mapping[str, str | None] = msgspec.field(default_factory=dict)
    """What FROM can use."""

    @property
    def roots(self) -> list[Vertex]:
        """What has to be made, with all that it needs."""
        roots = [*(step.root for step in self.steps), self.root]
        return list(dict.fromkeys(root for root in roots if root is not None))

    @property
    def vertices(self) -> list[Vertex]:
        """All that has to be made, each after its inputs."""
        return ordered(self.roots)

    def chain(self) -> list[Vertex]:
        """The steps that made the layers of the result, the lowest first."""
        found: list[Vertex] = []
        vertex = self.root
        while vertex is not None and vertex is not NOTHING:
            found.append(vertex)
            vertex = vertex.inputs[0] if vertex.inputs else None
        return found[::-1]


def ordered(roots: Sequence[Vertex]) -> list[Vertex]:
    """Vertices and all that they need, each after its inputs."""
    found: dict[Vertex, None] = {}
    waiting = list(reversed(roots))
    while waiting:
        vertex = waiting.pop()
        missing = [each for each in vertex.inputs if each not in found and each is not NOTHING]
        if vertex in found:
            continue
        if missing:
            waiting += [vertex, *reversed(missing)]
        else:
            found[vertex] = None
    return list(found)
