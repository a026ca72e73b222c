"""What surrounds every call: ping, version, info, and the answers to what is wrong with a request."""

import pytest

from tests.peer.comparison import same
from tests.peer.peer import Both

pytestmark = pytest.mark.root

JSON = {"Content-Type": "application/json"}
# (method, path, version, body, headers): the whole answer is the same.
ERRORS = [
    ("GET", "/containers/nope/json", "1.45", None, {}),
    ("GET", "/containers/nope/json", "1.24", None, {}),
    ("GET", "/containers/nope/logs?stdout=1", "1.45", None, {}),
    ("GET", "/containers/nope/top", "1.45", None, {}),
    ("POST", "/containers/nope/start", "1.45", None, {}),
    ("POST", "/containers/nope/stop", "1.45", None, {}),
    ("POST", "/containers/nope/kill", "1.45", None, {}),
    ("POST", "/containers/nope/wait", "1.45", None, {}),
    ("POST", "/containers/nope/rename?name=other", "1.45", None, {}),
    ("DELETE", "/containers/nope", "1.45", None, {}),
    ("POST", "/containers/nope/exec", "1.45", b'{"Cmd":["true"]}', JSON),
    ("GET", "/exec/nope/json", "1.45", None, {}),
    ("GET", "/images/nope/json", "1.45", None, {}),
    ("DELETE", "/images/nope", "1.45", None, {}),
    ("POST", "/images/nope/tag?repo=x", "1.45", None, {}),
    ("POST", "/images/busybox/tag?repo=UPPER", "1.45", None, {}),
    ("GET", "/networks/nope", "1.45", None, {}),
    ("POST", "/containers/create", "1.45", b"{", JSON),
    ("POST", "/containers/create", "1.45", b"", JSON),
    ("POST", "/containers/create", "1.45", b"{} {}", JSON),
    ("POST", "/containers/create", "1.45", b"{}", {"Content-Type": "text/plain"}),
    ("POST", "/containers/create", "1.45", b'{"Image":"nope"}', JSON),
    ("POST", "/containers/create?name=a", "1.45", b'{"Image":"busybox"}', JSON),
    ("POST", "/containers/create?name=a/b", "1.45", b'{"Image":"busybox"}', JSON),
    ("GET", "/containers/json?filters={", "1.45", None, {}),
    ("GET", '/containers/json?filters={"nope":["x"]}', "1.45", None, {}),
    ("GET", '/containers/json?filters={"status":["nope"]}', "1.45", None, {}),
]


@pytest.mark.parametrize("request_", ERRORS, ids=lambda r: f"{r[0]} {r[1]} {r[2]} {r[3] or b''!r}")
def test_errors(both: Both, request_: tuple[str, str, str, bytes | None, dict[str, str]]) -> None:
    method, path, version, body, headers = request_
    same(both, method, path, body, version=version, headers=headers)


@pytest.mark.parametrize("path", ["/nope", "/_ping", "/version?x=1"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT"])
def test_paths_without_a_version(both: Both, method: str, path: str) -> None:
    same(both, method, path, version="")


@pytest.mark.parametrize("version", ["1.999", "1.23"])
def test_versions_out_of_range(both: Both, version: str) -> None:
    same(both, "GET", "/version", version=version)


def test_info_has_the_types_of_dockerd(both: Both) -> None:
    ours, theirs = both("GET", "/info")
    shown = {key: type(value) for key, value in theirs.body.items() if value is not None}
    wrong = {
        key: kind
        for key, kind in shown.items()
        if key in ours.body and ours.body[key] is not None and type(ours.body[key]) is not kind
    }
    assert wrong == {}
