"""What this run has asked and met: which requests of which endpoint, and which accepted differences were needed.

A run of some tests once more goes on with the books of the run in which they failed.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from api.endpoints import all_routes
from api.routing import Route, Router, split_target
from tests.peer import masks
from tests.peer.accepted import ACCEPTED, Accepted

VERSIONS = ("1.24", "1.40", "1.43", "1.44", "1.45")
"""The versions in which every endpoint is asked; 1.45 is the newest that the peer speaks."""
NO_ROUTE = "(no route)"
BAD = 400


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked: the endpoint as in docs/endpoints.md, the version, and all of it in one text."""

    endpoint: str
    version: str
    text: str

    @classmethod
    def of(
        cls, method: str, path: str, body: Any, version: str, headers: Mapping[str, str] | None
    ) -> "Request":
        """Describe a request; a path without a version is counted to the newest."""
        target = split_target(path)
        found = _ROUTER.find(method, target.path) if target.clean else None
        endpoint = f"{method} {found[0].path}" if found else NO_ROUTE
        shown = (
            body.decode("latin-1")
            if isinstance(body, bytes)
            else json.dumps(body)
            if body is not None
            else ""
        )
        others = "" if not headers or shown else " ".join(f"{k}: {v}" for k, v in headers.items())
        return cls(endpoint, version or VERSIONS[-1], " ".join(filter(None, (method, path, shown, others))))


@dataclass(slots=True)
class Ledger:
    """The books of a run."""

    met: set[Accepted] = field(default_factory=set)
    asked: dict[tuple[str, str], set[tuple[str, bool]]] = field(default_factory=lambda: defaultdict(set))
    """By endpoint and version the requests' digests (some hold archives), each with whether it was answered well."""
    listed: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """By table the differences that were met of those that are listed beside the tests which compare specs."""
    missing: list[str] = field(default_factory=list)
    """What of the suite did not run: what it would have asked and met is not known."""
    failed: list[str] = field(default_factory=list)
    """What of the suite failed: it may have asked in part."""

    def count(self, request: Request, status: int) -> None:
        """Note a request that was compared, and the status of its answer."""
        digest = hashlib.sha256(request.text.encode("utf-8", "surrogatepass")).hexdigest()
        self.asked[request.endpoint, request.version].add((digest, status < BAD))

    def accepts(self, request: Request, where: str) -> bool:
        """Whether a difference is in the table; every line that says so has been met."""
        found = [
            line for line in ACCEPTED if line.covers(request.endpoint, request.version, request.text, where)
        ]
        self.met.update(found)
        return bool(found)

    def unmet(self) -> list[Accepted]:
        """The accepted differences that never were."""
        return [line for line in ACCEPTED if line not in self.met]

    def counts(self, endpoint: str, version: str) -> tuple[int, int]:
        """How many different requests of an endpoint went well, and how many did not (by when, one may do both)."""
        outcomes = [well for _, well in self.asked.get((endpoint, version), ())]
        return outcomes.count(True), outcomes.count(False)

    def keep(self, file: Path) -> None:
        """Write down what was asked and met, and what did not run."""
        books = {
            "met": [number for number, line in enumerate(ACCEPTED) if line in self.met],
            "asked": [[*key, *each] for key, requests in self.asked.items() for each in requests],
            "listed": {table: sorted(met) for table, met in self.listed.items()},
            "masks": masks.needed,
            "missing": self.missing,
        }
        file.write_text(json.dumps(books))

    def go_on(self, file: Path) -> None:
        """Add what another run of the same suite has kept; what did not run then is what is missing now."""
        books = json.loads(file.read_text())
        self.met.update(ACCEPTED[number] for number in books["met"])
        for endpoint, version, digest, well in books["asked"]:
            self.asked[endpoint, version].add((digest, well))
        for table, met in books["listed"].items():
            self.listed[table].update(met)
        masks.needed.update(books["masks"])
        self.missing[:] = books["missing"]


def served() -> list[Route]:
    """The endpoints that wherry serves."""
    return [route for route in _ROUTER.routes if route.built]


_ROUTER = Router(all_routes())
LEDGER = Ledger()
