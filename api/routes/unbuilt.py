"""What Docker has and wherry does not serve yet, by name.

The table shrinks with each release. `docs/endpoints.md` shows it.
"""

from api.routing import Route
from api.server import refused

_UNBUILT = """
GET /containers/{name}/checkpoints: checkpoints
POST /containers/{name}/checkpoints: checkpoints
DELETE /containers/{name}/checkpoints/{checkpoint}: checkpoints
GET /images/{name}/attestations: attestations
GET /plugins/privileges: plugins
POST /plugins/pull: plugins
POST /plugins/{name}/upgrade: plugins
POST /plugins/create: plugins
POST /swarm/init: swarm mode
POST /swarm/join: swarm mode
"""


def routes() -> list[Route]:
    """The table."""
    return [_unbuilt(line) for line in _UNBUILT.strip().splitlines()]


def _unbuilt(line: str) -> Route:
    endpoint, _, summary = line.partition(": ")
    method, path = endpoint.split()
    return refused(method, path, summary)
