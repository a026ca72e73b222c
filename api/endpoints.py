"""The table of endpoints, `docs/endpoints.md`, made from the routes: `python -m api.endpoints > docs/endpoints.md`."""

import sys
from collections.abc import Iterable
from typing import Any

from api import assemble, versions
from api.routing import Route

_HEAD = f"""# Endpoints

Made from the routes by `python -m api.endpoints`; a test keeps it true. API {versions.MINIMUM} to {versions.MAXIMUM},
with and without a version in the path. What is not served answers 501 and says so by name.

| method | path | |
|---|---|---|
"""


def table(routes: Iterable[Route]) -> str:
    """The page."""
    lines = [f"| {route.method} | `{route.path}` | {_note(route)} |" for route in routes]
    return _HEAD + "\n".join(sorted(set(lines), key=_by_path)) + "\n"


def _note(route: Route) -> str:
    if route.built:
        return route.summary or "served"
    return f"not yet: {route.summary}"


def _by_path(line: str) -> tuple[str, str]:
    _, method, path, _ = line.split("|", 3)
    return path, method


class _Nobody:
    """Stands for the engine and its configuration: making routes asks them nothing."""

    def __getattr__(self, name: str) -> "_Nobody":
        return self


def all_routes() -> list[Route]:
    """Every route there is; none of them can be called."""
    nobody: Any = _Nobody()
    return assemble.routes(nobody, nobody)


def main() -> None:
    """Print the page."""
    sys.stdout.write(table(all_routes()))


if __name__ == "__main__":
    main()
