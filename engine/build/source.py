"""Where in a Dockerfile something is, and what is wrong there."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec

import errdefs


class Position(msgspec.Struct, frozen=True):
    """Lines from `first` to `last`, from 1."""

    first: int
    last: int


class SourceFile(msgspec.Struct, frozen=True):
    """A Dockerfile as it came: its name for people, and its bytes."""

    name: str
    content: bytes

    def excerpt(self, positions: Sequence[Position], around: int = 3) -> str:
        """The lines of those positions, marked, with those around them, numbered: as buildx shows them."""
        lines = self.content.decode(errors="replace").splitlines()
        wrong = {line for each in positions for line in range(each.first, each.last + 1)}
        if not wrong:
            return ""
        first, last = max(1, min(wrong) - around), min(len(lines), max(wrong) + around)
        shown = [
            f"{number:4} | {'>>>' if number in wrong else '   '} {lines[number - 1]}".rstrip()
            for number in range(first, last + 1)
        ]
        where = f"{self.name}:{min(wrong)}"
        return "\n".join([where, "-" * 20, *shown, "-" * 20])


class DockerfileError(errdefs.InvalidArgument):
    """What cannot be built as it is written; `message` is the text, `positions` where."""

    def __init__(self, message: str, *positions: Position) -> None:
        super().__init__(message)
        self.positions = positions
        self.source: SourceFile | None = None
        """The file that the positions are in, once a build knows it."""


@contextmanager
def at(*positions: Position) -> Iterator[None]:
    """Tell where the argument was that turned out to be invalid in the block, unless that was told."""
    try:
        yield
    except DockerfileError as error:
        error.positions = error.positions or positions
        raise
    except errdefs.InvalidArgument as error:
        raise DockerfileError(error.message, *positions) from error
