"""What an engine answers that is no part of a swarm and has no plugins."""

from aiohttp import web

import errdefs
from api.call import Call
from api.query import Query
from api.routing import Route
from engine import filters

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
_PLUGINS = """
GET /plugins/{name}/json
DELETE /plugins/{name}
POST /plugins/{name}/enable
POST /plugins/{name}/disable
POST /plugins/{name}/push
POST /plugins/{name}/set
"""
_NO_MANAGER = (
    'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" '
    "to connect this node to swarm and try again."
)
_NO_MEMBER = "This node is not part of a swarm"
OUTSIDE_A_SWARM = "answers as an engine outside a swarm does"
WITHOUT_PLUGINS = "answers as an engine without plugins does"

# What an update must say of the version that it changes, and how Docker names it.
_UPDATED = {
    "/swarm/update": "swarm",
    "/nodes/{name}/update": "node",
    "/services/{name}/update": "service",
    "/secrets/{name}/update": "secret",
    "/configs/{name}/update": "config",
}
_BRIEF = frozenset({"secret", "config"})
_PLUGIN_FILTERS = frozenset({"enabled", "capability"})


def routes() -> list[Route]:
    """The table."""
    swarm = [_outside(*line.split()) for line in _SWARM.strip().splitlines()]
    plugins = [_pluginless(*line.split()) for line in _PLUGINS.strip().splitlines()]
    leave = Route("POST", "/swarm/leave", _no_member, summary=OUTSIDE_A_SWARM)
    return [*swarm, leave, Route("GET", "/plugins", _no_plugins, summary=WITHOUT_PLUGINS), *plugins]


def _outside(method: str, path: str) -> Route:
    async def answer(call: Call) -> web.StreamResponse:
        if path in _UPDATED:
            _require_version(call.query, _UPDATED[path])
        if path.endswith("/logs") and not (call.query.flag("stdout") or call.query.flag("stderr")):
            raise errdefs.InvalidArgument("Bad parameters: you must choose at least one stream")
        raise errdefs.Unavailable(_NO_MANAGER)

    return Route(method, path, answer, summary=OUTSIDE_A_SWARM)


def _pluginless(method: str, path: str) -> Route:
    return Route(method, path, _no_plugin, summary=WITHOUT_PLUGINS)


def _require_version(query: Query, noun: str) -> None:
    text = query.text("version")
    if text.isascii() and text.isdecimal():
        return
    detail = f" '{text}': strconv.ParseUint: parsing \"{text}\": invalid syntax"
    raise errdefs.InvalidArgument(f"invalid {noun} version" + ("" if noun in _BRIEF else detail))


async def _no_member(call: Call) -> web.StreamResponse:
    del call
    raise errdefs.Unavailable(_NO_MEMBER)


async def _no_plugins(call: Call) -> web.StreamResponse:
    filters.parse(call.query.text("filters"), _PLUGIN_FILTERS)
    return call.answer([])


async def _no_plugin(call: Call) -> web.StreamResponse:
    raise errdefs.NotFound(f'plugin "{call.name}" not found')
