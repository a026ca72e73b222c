"""Routes: which handler answers which method and path.

Paths are matched decoded and clean, as Docker's router does: a name may hold slashes (`/images/a/b:c/json`),
methods that a path does not have are "page not found" too.
"""

import posixpath
import re
from collections.abc import Awaitable, Callable, Iterable
from functools import cached_property
from urllib.parse import quote, unquote

import msgspec

from api import web
from api.call import Call

Handler = Callable[[Call], Awaitable[web.StreamResponse]]

_VERSIONED = re.compile(r"/v([0-9.]+)(/.*)", re.DOTALL)
_PLAIN = re.compile(r"(?:/v([0-9.]+))?((?:/[A-Za-z0-9_][A-Za-z0-9_.:=@~-]*)+)")
"""A path that is clean, whether decoded or not: nearly all are."""
_VARIABLE = re.compile(r"\{(\w+)\}")
_SAFE = "/:@!$&'()*+,;=~"


class Route(msgspec.Struct, frozen=True, dict=True):
    """A method and a path without its version.

    `{name}` stands for any text, slashes included, `{id}` for a text without any, as in Docker's routes.
    """

    method: str
    path: str
    handler: Handler
    built: bool = True  # False: it answers that wherry does not do this
    summary: str = ""

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """What the path looks like."""
        literals_and_variables = enumerate(_VARIABLE.split(self.path))
        parts = (
            _pattern_of(part) if index % 2 else re.escape(part) for index, part in literals_and_variables
        )
        return re.compile("".join(parts), re.DOTALL)

    @cached_property
    def literal(self) -> bool:
        """Whether the path has no variable."""
        return "{" not in self.path


def _pattern_of(variable: str) -> str:
    return "([^/]+)" if variable == "id" else "(.*)"


class Target(msgspec.Struct, frozen=True):
    """A request target taken apart. `version` is None if the path has none; `location` is the clean target."""

    path: str
    version: str | None
    query: str
    clean: bool
    location: str


def split_target(target: str) -> Target:
    """Take a request target (origin or absolute form) apart."""
    if not target.startswith("/") and "://" in target:
        rest = target.partition("://")[2]
        target = "/" + rest.partition("/")[2]
    raw, _, query = target.partition("?")
    if plain := _PLAIN.fullmatch(raw):
        location = target if query else raw
        return Target(path=plain[2], version=plain[1], query=query, clean=True, location=location)
    decoded = unquote(raw, errors="replace")
    cleaned = clean_path(decoded)
    location = quote(cleaned, safe=_SAFE) + (f"?{query}" if query else "")
    match = _VERSIONED.fullmatch(cleaned)
    path, version = (match[2], match[1]) if match else (cleaned, None)
    return Target(path=path, version=version, query=query, clean=cleaned == decoded, location=location)


def clean_path(path: str) -> str:
    """The path without empty, "." and ".." parts; a slash at its end stays."""
    cleaned = posixpath.normpath("/" + path.lstrip("/"))
    return cleaned + "/" if path.endswith("/") and cleaned != "/" else cleaned


class Router:
    """Finds the route of a request."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = tuple(routes)
        self._literal = {(route.method, route.path): route for route in self.routes if route.literal}
        self._patterns = [route for route in self.routes if not route.literal]

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]] | None:
        """The route and what its path's first variable, `name`, stands for; or None."""
        route = self._literal.get((method, path))
        if route is not None:
            return route, {}
        for route in self._patterns:
            if route.method == method and (match := route.pattern.fullmatch(path)):
                return route, {"name": match[1]}
        return None
