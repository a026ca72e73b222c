"""Requests as lines of text, `POST /containers/create?name=x {"Image":"busybox"}`, and a blank line between blocks.

A target has no blank in it (%20 is one); what a target may not hold (`{"` of a filter) is quoted when it is sent.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

from tests.peer.comparison import JSON, differences
from tests.peer.peer import Both, Ids

_SAFE = "/?=&%:,+@!~;$"


@dataclass(frozen=True, slots=True)
class Line:
    """A request."""

    method: str
    path: str
    body: bytes | None

    @classmethod
    def of(cls, text: str) -> "Line":
        """Read a line."""
        method, target, *body = text.split(" ", 2)
        return cls(method, quote(target, safe=_SAFE), body[0].encode() if body else None)


def blocks(text: str) -> list[list[Line]]:
    """The blocks of a text."""
    return [[Line.of(line) for line in block.splitlines()] for block in text.strip().split("\n\n")]


def name(block: list[Line]) -> str:
    """What a block is called in the id of a test."""
    return f"{block[0].method} {block[0].path.partition('?')[0]}"


def found(both: Both, block: list[Line], version: str, ids: Ids | None = None) -> Iterator[str]:
    """Ask the lines of a block of both daemons, in their order; the differences that are not accepted."""
    for line in block:
        headers = JSON if line.body is not None else None
        yield from differences(
            both, line.method, line.path, line.body, version=version, headers=headers, ids=ids
        )
