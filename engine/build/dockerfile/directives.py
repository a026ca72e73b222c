"""The directives above everything else in a Dockerfile: `# syntax=`, `# escape=`, `# check=`."""

import re

import errdefs
from engine.build.dockerfile.text import SPACES, quoted

_DIRECTIVE = re.compile(r"([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*", re.ASCII | re.DOTALL)
_NAMES = frozenset({"syntax", "escape", "check"})
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_OURS = re.compile(r"(?:.+/)?docker/dockerfile(?:-upstream)?(?::[^/]*)?(?:@.*)?")


class Directives:
    """Takes the lines from the first on; `values` has what they said, until a line is no directive."""

    def __init__(self, comment: str = "#") -> None:
        self.values: dict[str, str] = {}
        self._comment = comment
        self._over = False

    def take(self, line: str) -> bool:
        """Whether the line is a directive. InvalidArgument for one that is there already."""
        match = None
        if not self._over and line.startswith(self._comment):
            match = _DIRECTIVE.fullmatch(line.removeprefix(self._comment).lstrip(SPACES))
        if match is None or (name := match[1].lower()) not in _NAMES:
            self._over = True
            return False
        if name in self.values:
            raise errdefs.InvalidArgument(f"only one {name} parser directive can be used")
        self.values[name] = match[2]
        return True


def find(name: str, content: bytes) -> str:
    """What a directive of a whole file says, "" if it has none. A line of `#!` may stand above it."""
    lines = without_mark(content).decode(errors="replace").split("\n")
    directives = Directives("//" if name == "syntax" and lines[0].startswith("//") else "#")
    for line in lines[1:] if lines[0].startswith("#!") else lines:
        try:
            if not directives.take(line.rstrip("\r")):
                break
        except errdefs.InvalidArgument:
            break
    return directives.values.get(name, "")


def without_mark(content: bytes) -> bytes:
    """Without the byte order mark that some editors put first."""
    return content.removeprefix(_BYTE_ORDER_MARK)


def require_own(syntax: str) -> None:
    """InvalidArgument unless the syntax, an image that reads Dockerfiles, is one that is read here without it."""
    image = syntax.split(" ")[0]
    if image and not _OURS.fullmatch(image):
        raise errdefs.InvalidArgument(
            f"frontend {quoted(image)} is not supported: only docker/dockerfile is, and it is built in"
        )
