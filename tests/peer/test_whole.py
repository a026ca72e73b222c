"""The suite on itself, after all of it ran: nothing that it accepts is idle, no endpoint went unasked.

It judges the suite when some of its tests failed, too: most of them have asked all the same.
"""

import fnmatch

import pytest

from tests.peer import masks
from tests.peer.comparison import require
from tests.peer.ledger import LEDGER, VERSIONS, served

ENOUGH = 5
"""Different requests of an endpoint in each version."""
ENOUGH_BAD = 2
"""Of these, such as are answered with 400 or more."""

# (endpoint, why there is no such request); an endpoint that a version does not have answers it with 404 alone.
NEVER_BAD = (
    ("* /_ping", "it looks at nothing that is asked"),
    ("GET /version", "it looks at nothing that is asked"),
    ("GET /info", "it looks at nothing that is asked"),
    ("POST /images/load", "its failures travel in the stream"),
    ("GET /system/df", "before 1.42 it looks at nothing that is asked"),
)
NEVER_GOOD = (
    *(
        (f"* /{noun}*", "there is no swarm")
        for noun in ("swarm", "nodes", "services", "tasks", "secrets", "configs")
    ),
    ("PUT /volumes/{name}", "there is no swarm"),
    ("* /plugins/{name}*", "there are no plugins"),
)
NEWER = {
    "1.24": ("POST /*/prune", "GET /plugins*", "POST /plugins*", "DELETE /plugins*", "PUT /volumes/{name}")
}


@pytest.fixture(autouse=True)
def _whole() -> None:
    if LEDGER.missing:
        pytest.skip(f"not all of tests/peer ran: {', '.join(LEDGER.missing[:3])}, …")


def _require(found: list[str]) -> None:
    """Fail with what was found, and name what failed before: it may be what would have asked."""
    require([*found, *(f"(failed: {test})" for test in LEDGER.failed)] if found else [])


def test_every_accepted_difference_was_met() -> None:
    idle = [f"{line.endpoint} {line.where} {line.request} ({line.reason})" for line in LEDGER.unmet()]
    _require(idle)


def test_every_mask_was_needed() -> None:
    _require(masks.unneeded())


def test_every_endpoint_was_asked_in_every_version() -> None:
    found = [
        f"{endpoint} v{version}: {good} good, {bad} bad"
        for endpoint in sorted({f"{route.method} {route.path}" for route in served()})
        for version in VERSIONS
        for good, bad in [LEDGER.counts(endpoint, version)]
        if not _enough(endpoint, version, good, bad)
    ]
    _require(found)


def test_every_exemption_is_needed() -> None:
    every = [f"{route.method} {route.path}" for route in served()]
    counts = {each: [LEDGER.counts(each, version) for version in VERSIONS] for each in every}
    for pattern, _ in NEVER_BAD:
        assert any(bad == 0 for each in fnmatch.filter(every, pattern) for _, bad in counts[each]), pattern
    for pattern, _ in NEVER_GOOD:
        assert any(good == 0 for each in fnmatch.filter(every, pattern) for good, _ in counts[each]), pattern


def _enough(endpoint: str, version: str, good: int, bad: int) -> bool:
    return (
        good + bad >= ENOUGH
        and (bad >= ENOUGH_BAD or _matches(endpoint, NEVER_BAD))
        and (good >= 1 or _matches(endpoint, NEVER_GOOD) or _is_newer(endpoint, version))
    )


def _matches(endpoint: str, exemptions: tuple[tuple[str, str], ...]) -> bool:
    return any(fnmatch.fnmatchcase(endpoint, pattern) for pattern, _ in exemptions)


def _is_newer(endpoint: str, version: str) -> bool:
    return any(fnmatch.fnmatchcase(endpoint, pattern) for pattern in NEWER.get(version, ()))
