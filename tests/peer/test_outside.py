"""What an engine answers that is in no swarm, has no plugins and reaches no registry."""

import pytest

from tests.peer.peer import Both

pytestmark = pytest.mark.root

JSON = {"Content-Type": "application/json"}
SWARM = """
GET /swarm
POST /swarm/leave
POST /swarm/update
POST /swarm/update?version=1
POST /swarm/update?version=x
GET /swarm/unlockkey
POST /swarm/unlock
GET /nodes
GET /nodes/x
DELETE /nodes/x
POST /nodes/x/update
POST /nodes/x/update?version=1
GET /services
POST /services/create
GET /services/x
GET /services/x/logs?stdout=1
DELETE /services/x
POST /services/x/update
POST /services/x/update?version=1
GET /tasks
GET /tasks/x
GET /tasks/x/logs?stderr=1
GET /secrets
POST /secrets/create
GET /secrets/x
DELETE /secrets/x
POST /secrets/x/update
POST /secrets/x/update?version=1
GET /configs
POST /configs/create
GET /configs/x
DELETE /configs/x
POST /configs/x/update
POST /configs/x/update?version=1
"""
PLUGINS = """
GET /plugins
GET /plugins?filters={"nope":["x"]}
GET /plugins?filters={"enabled":["true"]}
GET /plugins/x/json
DELETE /plugins/x
POST /plugins/x/enable?timeout=1
POST /plugins/x/disable
POST /plugins/x/push
"""


@pytest.mark.parametrize("line", [*SWARM.split("\n")[1:-1], *PLUGINS.split("\n")[1:-1]])
@pytest.mark.parametrize("version", ["1.30", "1.45"])
def test_answers(both: Both, line: str, version: str) -> None:
    method, path = line.split(" ", 1)
    body = b"{}" if method == "POST" else None
    ours, theirs = both(method, path.replace('"', "%22"), body, version, JSON)
    assert (ours.status, ours.body) == (theirs.status, theirs.body)


@pytest.mark.parametrize("path", ["/services/x/logs", "/tasks/x/logs"])
def test_logs_of_no_stream_are_the_clients_error(both: Both, path: str) -> None:
    """Dockerd 26 blames itself."""
    ours, theirs = both("GET", path)
    assert (ours.status, theirs.status) == (400, 500)
    assert ours.body == theirs.body


@pytest.mark.parametrize("address", ["127.0.0.1:1", "http://127.0.0.1:1/v2/", "127.0.0.1:1/v1/"])
def test_login_without_a_registry(both: Both, address: str) -> None:
    body = {"username": "u", "password": "p", "serveraddress": address}
    ours, theirs = both("POST", "/auth", body)
    assert ours == theirs
    assert ours.status == 500


@pytest.mark.parametrize("body", [b"", b"{", b"[]"])
def test_login_with_a_bad_body_is_the_clients_error(both: Both, body: bytes) -> None:
    """Dockerd 26 blames itself."""
    ours, theirs = both("POST", "/auth", body, headers=JSON)
    assert (ours.status, theirs.status) == (400, 500)


@pytest.mark.parametrize("name", ["busybox", "busybox:latest", "nope", "NOPE", "busybox:none", "sha256:12"])
@pytest.mark.parametrize("version", ["1.24", "1.40", "1.45"])
def test_history(both: Both, name: str, version: str) -> None:
    ours, theirs = both("GET", f"/images/{name}/history", version=version)
    for answer in (ours, theirs):
        for step in answer.body if answer.status == 200 else ():
            step["Created"] = 0  # each side has made its own
    assert ours == theirs
