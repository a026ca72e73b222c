"""What surrounds every call: ping, version, info, and the answers to what is wrong with a request."""

import pytest

from tests.peer.peer import Both, shape

pytestmark = pytest.mark.root

JSON = {"Content-Type": "application/json"}
# wherry says on every answer what dockerd says only on those of a known route and version.
SAID_ALWAYS = {"docker-experimental", "ostype"}
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
    ours, theirs = both(method, path, body, version, headers)
    assert ours == theirs


@pytest.mark.parametrize("version", ["1.45", ""])
def test_unknown_route(both: Both, version: str) -> None:
    ours, theirs = both("GET", "/nope", version=version)
    assert (ours.status, ours.body) == (theirs.status, theirs.body)
    assert ours.headers.keys() ^ theirs.headers.keys() <= SAID_ALWAYS


def test_a_number_that_is_none_is_the_clients_error(both: Both) -> None:
    """Dockerd blames itself here (500); a client's fault is a 400."""
    ours, theirs = both("GET", "/containers/json?limit=x")
    assert (ours.status, theirs.status) == (400, 500)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("version", ["", "1.45", "1.24"])
def test_ping(both: Both, method: str, version: str) -> None:
    ours, theirs = both(method, "/_ping", version=version)
    assert (ours.status, ours.body) == (theirs.status, theirs.body)
    # The version of the builder is told once there is one.
    assert theirs.headers.items() - ours.headers.items() == {("builder-version", "2")}
    assert ours.headers.keys() - theirs.headers.keys() == set()


@pytest.mark.parametrize("version", ["1.999", "1.23"])
def test_versions_out_of_range(both: Both, version: str) -> None:
    ours, theirs = both("GET", "/version", version=version)
    assert ours.status == theirs.status
    assert ours.headers.keys() ^ theirs.headers.keys() <= SAID_ALWAYS
    # The numbers are each daemon's own, the words are not.
    words = ours.body["message"].split(" Maximum ")[0].split(" Minimum ")[0]
    assert theirs.body["message"].startswith(words)


def test_version(both: Both) -> None:
    ours, theirs = both("GET", "/version")
    assert ours.headers == theirs.headers
    # GoVersion and the components tell what a daemon is made of.
    assert set(theirs.body) - set(ours.body) <= {"GoVersion"}
    assert ours.body["Os"] == theirs.body["Os"]
    assert ours.body["Arch"] == theirs.body["Arch"]
    assert ours.body["KernelVersion"] == theirs.body["KernelVersion"]
    assert shape(ours.body["Components"][0]).keys() == shape(theirs.body["Components"][0]).keys()


def test_info_has_every_field(both: Both) -> None:
    ours, theirs = both("GET", "/info")
    assert ours.headers == theirs.headers
    # Kernel memory limits for TCP are gone from the API.
    assert theirs.body.keys() - ours.body.keys() <= {"KernelMemoryTCP"}
    # Fields that are of one type in both; the values tell of each daemon.
    wrong = {
        key: (shape(ours.body[key]), shape(theirs.body[key]))
        for key in theirs.body.keys() & ours.body.keys() - {"Warnings"}  # a list, or null for none
        if type(ours.body[key]) is not type(theirs.body[key])
    }
    assert wrong == {}
