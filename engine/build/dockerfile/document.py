"""A whole Dockerfile as a value."""

from collections.abc import Sequence

import msgspec

from engine.build.dockerfile.instructions import Arg, From, Instruction
from engine.build.source import Position


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """A FROM and what follows it."""

    start: From
    instructions: Sequence[Instruction]

    @property
    def name(self) -> str:
        """Lower case, "" for one without a name."""
        return self.start.name


class Dockerfile(msgspec.Struct, frozen=True, kw_only=True):
    """A whole file. `arguments` are the ARGs before the first FROM; `escape` is the escape character.

    `syntax` and `check` are the values of these directives, "" where there are none. `empty_continuations` are the last
    lines of instructions that are continued by empty lines.
    """

    stages: Sequence[Stage]
    arguments: Sequence[Arg] = ()
    escape: str = "\\"
    syntax: str = ""
    check: str = ""
    empty_continuations: Sequence[Position] = ()
