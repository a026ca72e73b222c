"""What Docker has and wherry does not serve yet, by name; and what an engine outside a swarm answers.

The table shrinks with each release. `docs/endpoints.md` shows it.
"""

from aiohttp import web

import errdefs
from api.call import Call
from api.routing import Route
from api.server import refused

_UNBUILT = """
POST /auth: registry logins
GET /system/df: disk usage
GET /containers/{name}/stats: statistics
POST /containers/{name}/update: changing a container's resources
GET /containers/{name}/attach/ws: attach by WebSocket
HEAD /containers/{name}/archive: copying from and to containers
GET /containers/{name}/archive: copying from and to containers
PUT /containers/{name}/archive: copying from and to containers
POST /containers/prune: pruning
GET /containers/{name}/checkpoints: checkpoints
POST /containers/{name}/checkpoints: checkpoints
DELETE /containers/{name}/checkpoints/{checkpoint}: checkpoints
GET /images/{name}/attestations: attestations
GET /images/{name}/history: history of images
POST /images/{name}/push: pushing images
GET /images/search: searching registries
POST /images/prune: pruning
POST /build: builds
POST /build/prune: builds
POST /build/cancel: builds
GET /distribution/{name}/json: looking into registries
POST /session: BuildKit sessions
POST /grpc: BuildKit
GET /volumes: volumes
POST /volumes/create: volumes
GET /volumes/{name}: volumes
PUT /volumes/{name}: volumes
DELETE /volumes/{name}: volumes
POST /volumes/prune: volumes
DELETE /networks/{name}: user-defined networks
POST /networks/create: user-defined networks
POST /networks/{name}/connect: user-defined networks
POST /networks/{name}/disconnect: user-defined networks
POST /networks/prune: pruning
GET /plugins/privileges: plugins
POST /plugins/pull: plugins
GET /plugins/{name}/json: plugins
DELETE /plugins/{name}: plugins
POST /plugins/{name}/enable: plugins
POST /plugins/{name}/disable: plugins
POST /plugins/{name}/upgrade: plugins
POST /plugins/create: plugins
POST /plugins/{name}/push: plugins
POST /plugins/{name}/set: plugins
POST /swarm/init: swarm mode
POST /swarm/join: swarm mode
"""

_SWARM = """
GET /swarm
POST /swarm/update
GET /swarm/unlockkey
POST /swarm/unlock
GET /nodes
GET /nodes/{name}
DELETE /nodes/{name}
POST /nodes/{name}/update
GET /services
POST /services/create
GET /services/{name}/logs
GET /services/{name}
DELETE /services/{name}
POST /services/{name}/update
GET /tasks
GET /tasks/{name}/logs
GET /tasks/{name}
GET /secrets
POST /secrets/create
GET /secrets/{name}
DELETE /secrets/{name}
POST /secrets/{name}/update
GET /configs
POST /configs/create
GET /configs/{name}
DELETE /configs/{name}
POST /configs/{name}/update
"""

_NO_MANAGER = (
    'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" '
    "to connect this node to swarm and try again."
)
_NO_MEMBER = "This node is not part of a swarm"
OUTSIDE_A_SWARM = "answers as an engine outside a swarm does"


def routes() -> list[Route]:
    """The table."""
    unbuilt = [_unbuilt(line) for line in _UNBUILT.strip().splitlines()]
    swarm = [_outside(line, _NO_MANAGER) for line in _SWARM.strip().splitlines()]
    leave = _outside("POST /swarm/leave", _NO_MEMBER)
    return [*unbuilt, *swarm, leave, Route("GET", "/plugins", _no_plugins)]


def _unbuilt(line: str) -> Route:
    endpoint, _, summary = line.partition(": ")
    method, path = endpoint.split()
    return refused(method, path, summary)


def _outside(line: str, message: str) -> Route:
    method, path = line.split()

    async def answer(call: Call) -> web.StreamResponse:
        del call
        raise errdefs.Unavailable(message)

    return Route(method, path, answer, summary=OUTSIDE_A_SWARM)


async def _no_plugins(call: Call) -> web.StreamResponse:
    return call.answer([])
