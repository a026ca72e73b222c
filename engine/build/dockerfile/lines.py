"""The lines of a Dockerfile put together to statements: continued lines joined, comments left out, heredocs read."""

import re
from collections.abc import Sequence

import msgspec

import errdefs
from engine.build.dockerfile import heredocs, words
from engine.build.dockerfile.directives import Directives, without_mark
from engine.build.dockerfile.text import SPACES
from engine.build.dockerfile.values import Heredoc
from engine.build.dockerfile.words import Words
from engine.build.source import DockerfileError, Position, at

_MAX_LINE = 65535  # bytes
_TAKES_HEREDOCS = frozenset({"add", "copy", "run"})
_DEFAULT_ESCAPE = "\\"


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """One instruction as it is written. `inner` is what ONBUILD holds."""

    keyword: str
    flags: Sequence[str]
    words: Words
    text: str
    position: Position
    heredocs: Sequence[Heredoc] = ()
    comments: Sequence[str] = ()
    inner: "Statement | None" = None

    @property
    def name(self) -> str:
        """In lower case."""
        return self.keyword.lower()


class Statements(msgspec.Struct):
    """All of a file; `empty` are the last lines of instructions that are continued by empty lines."""

    statements: list[Statement] = msgspec.field(default_factory=list)
    empty: list[Position] = msgspec.field(default_factory=list)
    escape: str = _DEFAULT_ESCAPE


def read(content: bytes) -> Statements:
    """The statements of a Dockerfile. DockerfileError for what is none, and for a file without any."""
    return _Reader(content).run()


def statement(text: str, position: Position, escape: str, comments: Sequence[str] = ()) -> Statement:
    """One line, already joined. DockerfileError in BuildKit's words."""
    with at(position):
        keyword, *after = words.BLANKS.split(text.strip(SPACES), maxsplit=1)
        flags, rest = words.take_flags("".join(after), escape)
        rest = rest.strip(SPACES)
        inner = None
        if keyword.lower() == "onbuild" and rest:
            inner = statement(rest, position, escape)
        return Statement(
            keyword=keyword,
            flags=flags,
            words=words.read(keyword.lower(), rest, escape),
            text=text,
            position=position,
            comments=comments,
            inner=inner,
        )


class _Reader:
    def __init__(self, content: bytes) -> None:
        self._lines = without_mark(content).split(b"\n")
        self._number = 0
        self._directives = Directives()
        self._comments: list[str] = []
        self._found = Statements()
        self._continued = _continuation(_DEFAULT_ESCAPE)

    def run(self) -> Statements:
        while (raw := self._take()) is not None:
            line = raw.rstrip("\r\n").lstrip(SPACES)
            if line.startswith("#"):
                self._comment(line)
                continue
            self._directives.take(line)
            start = self._number
            text, more = self._cut(line)
            if text or more:
                self._statement(start, text, more=more)
        if not self._found.statements:
            last = max(1, self._number)
            raise DockerfileError("file with no instructions", Position(last, last))
        return self._found

    def _take(self) -> str | None:
        """The next line with its line feed; what is no UTF-8 is replaced."""
        if self._number == len(self._lines) or (self._number == len(self._lines) - 1 and not self._lines[-1]):
            return None
        raw = self._lines[self._number]
        self._number += 1
        if len(raw) > _MAX_LINE:
            problem = f"dockerfile line greater than max allowed size of {_MAX_LINE}"
            raise DockerfileError(problem, Position(self._number, self._number))
        feed = "\n" if self._number < len(self._lines) else ""
        return raw.decode(errors="replace") + feed

    def _comment(self, line: str) -> None:
        with at(Position(self._number, self._number)):
            if self._directives.take(line):
                self._set_escape(self._directives.values.get("escape", _DEFAULT_ESCAPE))
                return
        text = line[1:].strip(SPACES)
        self._comments = [*self._comments, text] if text else []

    def _set_escape(self, escape: str) -> None:
        if escape not in ("\\", "`"):
            raise errdefs.InvalidArgument(f"invalid escape token '{escape}' does not match ` or \\")
        self._found.escape = escape
        self._continued = _continuation(escape)

    def _cut(self, line: str) -> tuple[str, bool]:
        """The line without the escape that continues it, and whether it had one."""
        text, count = self._continued.subn(r"\1", line)
        return text, count > 0

    def _statement(self, start: int, text: str, *, more: bool) -> None:
        parts = [text]
        empty = False
        while more and (raw := self._take()) is not None:
            line = raw.rstrip("\r\n")
            content = line.lstrip(SPACES)
            empty = empty or not content
            if content and not content.startswith("#"):
                text, more = self._cut(line)
                parts.append(text)
        if empty:
            self._found.empty.append(Position(self._number, self._number))
        joined = "".join(parts)
        found = statement(joined, Position(start, self._number), self._found.escape, self._comments)
        self._found.statements.append(self._with_heredocs(found))
        self._comments = []

    def _with_heredocs(self, found: Statement) -> Statement:
        holder = found.inner or found
        if holder.name not in _TAKES_HEREDOCS or holder.words.json or "<<" not in found.text:
            return found
        start = found.position.first
        with at(found.position):
            begun = heredocs.of_line(found.text)
        contents = [self._content(start, heredoc) for heredoc in begun]
        return msgspec.structs.replace(found, position=Position(start, self._number), heredocs=contents)

    def _content(self, start: int, heredoc: Heredoc) -> Heredoc:
        lines: list[str] = []
        while (raw := self._take()) is not None:
            end = raw.rstrip("\r\n")
            if (end.lstrip("\t") if heredoc.chomp else end) == heredoc.name:
                return msgspec.structs.replace(heredoc, content="".join(lines))
            lines.append(raw)
        raise DockerfileError("unterminated heredoc", Position(start, self._number))


def _continuation(escape: str) -> re.Pattern[str]:
    """The escape at the end of a line, unless it is escaped itself."""
    token = re.escape(escape)
    return re.compile(rf"((?:^|[^{token}])){token}[ \t]*$")
