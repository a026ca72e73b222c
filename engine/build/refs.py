"""What steps of a build work on: file systems made of layers, and directories that came from outside."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

import msgspec


class Layer(msgspec.Struct, frozen=True, kw_only=True):
    """A layer as an image has it: `blob` is the digest of its archive with `size` bytes, compressed or not.

    `chain_id` names its snapshot, so that the same content on the same content is the same layer, whoever made it.
    """

    diff_id: str
    chain_id: str
    blob: str
    size: int


class Ref(msgspec.Struct, frozen=True):
    """A file system: its layers from the lowest up. Without any it is `scratch`."""

    layers: tuple[Layer, ...] = ()

    @property
    def chain_id(self) -> str:
        """The name of its snapshot, "" for scratch."""
        return self.layers[-1].chain_id if self.layers else ""

    @property
    def diff_ids(self) -> list[str]:
        """As an image's config lists them."""
        return [layer.diff_id for layer in self.layers]

    def on_top(self, layer: Layer | None) -> "Ref":
        """This with one more layer; None is a step that changed nothing."""
        return self if layer is None else Ref((*self.layers, layer))


class Tree(msgspec.Struct, frozen=True):
    """A directory of the host with a build's context or something fetched; it does not change while the build lasts.

    `path` may be what puts it there, once it is needed. `content` names what is in it, "" where nothing does.
    """

    path: Path | Callable[[], Awaitable[Path]]
    content: str = ""

    async def place(self) -> Path:
        """Where it is, from now on. Raises what goes wrong with putting it there."""
        return self.path if isinstance(self.path, Path) else await self.path()


Output: TypeAlias = Ref | Tree
SCRATCH = Ref()
