"""COPY and ADD, in BuildKit's words."""

from typing import TypedDict

import errdefs
from engine.build.dockerfile import heredocs
from engine.build.dockerfile.flags import Flags
from engine.build.dockerfile.instructions import Add, Copy
from engine.build.dockerfile.lines import Statement
from engine.build.dockerfile.values import Heredoc
from engine.build.source import Position

_COMMON = ("chown", "chmod")


class _Parts(TypedDict):
    """What both have."""

    keyword: str
    text: str
    position: Position
    comments: tuple[str, ...]
    sources: list[str]
    destination: str
    files: list[Heredoc]
    chown: str
    chmod: str
    link: bool
    exclude: list[str]


def copy(statement: Statement) -> Copy:
    """InvalidArgument for a bad one."""
    _require_two(statement)
    flags = Flags(statement.flags, (*_COMMON, "from"), ("exclude",), ("link", "parents"))
    parts = _parts(statement, flags)
    return Copy(**parts, origin=flags.text("from"), parents=bool(flags.switch("parents")))


def add(statement: Statement) -> Add:
    """InvalidArgument for a bad one."""
    _require_two(statement)
    switches = ("link", "keep-git-dir", "unpack")
    flags = Flags(statement.flags, (*_COMMON, "checksum"), ("exclude",), switches)
    return Add(
        **_parts(statement, flags),
        checksum=flags.text("checksum"),
        keep_git_dir=flags.switch("keep-git-dir"),
        unpack=flags.switch("unpack"),
    )


def _require_two(statement: Statement) -> None:
    if len(statement.words.words) < 2:
        problem = "at least two arguments, but only one was provided. Destination could not be determined"
        raise errdefs.InvalidArgument(f"{statement.name.upper()} requires {problem}")


def _parts(statement: Statement, flags: Flags) -> _Parts:
    *given, destination = statement.words.words
    if heredocs.begun(destination):
        raise errdefs.InvalidArgument(f"{statement.name.upper()} cannot accept a heredoc as a destination")
    contents = {heredoc.name: heredoc for heredoc in statement.heredocs}
    files = [(word, heredocs.begun(word)) for word in given]
    return _Parts(
        keyword=statement.keyword,
        text=statement.text.strip(),
        position=statement.position,
        comments=tuple(statement.comments),
        sources=[word for word, file in files if file is None],
        destination=destination,
        files=[contents.get(file.name, file) for _, file in files if file is not None],
        chown=flags.text("chown"),
        chmod=flags.text("chmod"),
        link=bool(flags.switch("link")),
        exclude=flags.texts("exclude"),
    )
