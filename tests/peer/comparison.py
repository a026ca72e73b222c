"""One request to both daemons, compared whole but for the differences that are meant."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.peer.differences import Differences
from tests.peer.peer import Both
from tests.unix_http import call

OLD = ("1.24", "1.40", "1.43", "1.44")
"""The versions beside 1.45 in which a representative part of the requests is asked, too."""
JSON = {"Content-Type": "application/json"}
CLIENTS_FAULT = "a client's fault is a 400"


def same(
    both: Both,
    known: Differences,
    method: str,
    path: str,
    body: bytes | Mapping[str, Any] | None = None,
    *,
    label: str = "",
    version: str = "1.45",
    headers: Mapping[str, str] | None = None,
) -> None:
    """Ask both and fail on a difference that nobody meant. `label` is what the table knows the request by."""
    ours, theirs = both(method, path, body, version, headers)
    found = known.between(label or f"{method} {path}", ours, theirs)
    if found:
        pytest.fail("\n".join([f"v{version} {label or f'{method} {path}'}", *found]), pytrace=False)


def remove_all(both: Both) -> None:
    """Remove every container of both daemons."""
    for daemon in (both.wherryd, both.peer):
        listed = call(daemon.socket, "GET", "/v1.45/containers/json?all=1").json
        for container in listed:
            call(daemon.socket, "DELETE", f"/v1.45/containers/{container['Id']}?force=1&v=1")


def require_all_met(request: pytest.FixtureRequest, known: Differences) -> None:
    """Fail when a line of a module's table was never needed. Skips where not the whole module ran."""
    if request.session.testsfailed or request.config.option.keyword or "::" in " ".join(request.config.args):
        pytest.skip("not all of the module's tests have passed")
    assert known.unmet() == []
