"""Searching the same index as a real dockerd does."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.peer.comparison import differences, require
from tests.peer.ledger import VERSIONS
from tests.peer.peer import Both, Peer
from tests.peer.scripted import Rule, Scripted
from tests.ports import free_port
from tests.registries import PASSWORD, USER

pytestmark = pytest.mark.root

BASIC = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
RESULTS = json.dumps(
    {
        "num_results": 3,
        "query": "x",
        "results": [
            {
                "name": "x",
                "description": "<X> & é",
                "star_count": 90,
                "is_official": True,
                "is_automated": True,
            },
            {"name": "a/x", "description": None, "star_count": 5, "is_trusted": True},
            {"Name": "b/x", "STAR_COUNT": 0, "is_official": False},
        ],
    }
)
SEARCH = "/v1/search"
INDEXES = {
    "open": [Rule(SEARCH, body=RESULTS)],
    "guarded": [Rule(SEARCH, body=RESULTS, authorization=BASIC), Rule(SEARCH, 401, "no")],
    "failing": [Rule(SEARCH, 500, "broken")],
    "none": [],
    "odd": [Rule(SEARCH, body="{}")],
    "null": [Rule(SEARCH, body='{"results": null}')],
    "moved": [
        Rule(SEARCH, 302, headers={"Location": "http://{netloc}/elsewhere"}),
        Rule("/elsewhere", body=RESULTS),
    ],
    "wrong": [Rule(SEARCH, body='{"results": [{"name": 5}]}')],
    "text": [Rule(SEARCH, body="<html>")],
}


@pytest.fixture(scope="module")
def indexes(peer: Peer, session_root: Path) -> Iterator[dict[str, str]]:
    """The host and port of each index."""
    servers = {
        name: Scripted(session_root / f"index-{name}", free_port(), peer.pid, rules)
        for name, rules in INDEXES.items()
    }
    started: list[Scripted] = []
    try:
        for server in servers.values():
            started.append(server)
            server.__enter__()
        yield {name: server.netloc for name, server in servers.items()}
    finally:
        for server in started:
            server.__exit__()


def _auth(**fields: str) -> dict[str, str]:
    return {"X-Registry-Auth": base64.urlsafe_b64encode(json.dumps(fields).encode()).decode()}


KNOWN, WRONG = _auth(username=USER, password=PASSWORD), _auth(username=USER, password="wrong")
LIMITS = ("", "0", "1", "100", "101", "x", "1.5", "99999999999999999999", "-1")
FILTERS = [
    *({"stars": values} for values in (["3"], ["3", "80"], ["-3"], ["+3"], ["x"], ["1.5"], [""], [])),
    *({"is-official": values} for values in (["true"], ["0"], ["x"], [])),
    *({"is-automated": values} for values in (["true"], ["false"], ["x"])),
    {"nope": ["x"]},
    {"is-official": {"true": True}, "stars": {"5": True}},
]
# (host of the term, the rest of it, further options, headers)
ASKED: list[tuple[str, str, dict[str, str], dict[str, str]]] = [
    *((name, name, {}, {}) for name in INDEXES),
    *(("open", term, {}, {}) for term in ("", "a b&c", "library/x", "é")),
    *(("open", "x", {"limit": limit}, {}) for limit in LIMITS),
    *(("open", "x", {"filters": json.dumps(filters)}, {}) for filters in FILTERS),
    ("open", "x", {"filters": "{"}, {}),
    ("none", "x", {"filters": '{"is-automated":["true"]}', "limit": "1000"}, {}),
    ("open", "x", {}, KNOWN),
    ("open", "x", {}, {"X-Registry-Auth": "%%%"}),
    ("guarded", "x", {}, KNOWN),
    ("guarded", "x", {}, WRONG),
    ("moved", "x", {}, KNOWN),
    *(
        (host, "x", {}, {})
        for host in ("127.0.0.1:1", "127.0.0.1:99999", "http://127.0.0.1:1", "-a.b", "a.b-")
    ),
]


@pytest.mark.parametrize("version", VERSIONS)
def test_searches(both: Both, indexes: dict[str, str], version: str) -> None:
    found: list[str] = []
    for host, term, options, headers in ASKED:
        query = urlencode({"term": f"{indexes.get(host, host)}/{term}", **options})
        found += differences(both, "GET", f"/images/search?{query}", version=version, headers=headers or None)
    require(found)
