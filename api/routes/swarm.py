"""What an engine answers that is no part of a swarm and has no plugins."""

import msgspec

import errdefs
from api import gojson, web
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
GET /nodes/{id}
DELETE /nodes/{id}
POST /nodes/{id}/update
GET /services
POST /services/create
GET /services/{id}/logs
GET /services/{id}
DELETE /services/{id}
POST /services/{id}/update
GET /tasks
GET /tasks/{id}/logs
GET /tasks/{id}
GET /secrets
POST /secrets/create
GET /secrets/{id}
DELETE /secrets/{id}
POST /secrets/{id}/update
GET /configs
POST /configs/create
GET /configs/{id}
DELETE /configs/{id}
POST /configs/{id}/update
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
    "/nodes/{id}/update": "node",
    "/services/{id}/update": "service",
    "/secrets/{id}/update": "secret",
    "/configs/{id}/update": "config",
}
_BRIEF = frozenset({"secret", "config"})
# Whose body is looked at before it is found that there is no swarm.
_READ = frozenset({*_UPDATED, "/swarm/unlock", "/services/create", "/secrets/create", "/configs/create"})
_LISTS = frozenset({"/nodes", "/services", "/tasks", "/secrets", "/configs"})
_BOOLEANS = {"/services": ("status", "1.41"), "/services/{id}": ("insertDefaults", "1.24")}
_GO_BOOLEANS = frozenset({"1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False"})
_ROTATIONS = ("rotateWorkerToken", "rotateManagerToken", "rotateManagerUnlockKey")
_PLUGIN_FILTERS = frozenset({"enabled", "capability"})


class _Body(msgspec.Struct, kw_only=True, rename="pascal"):
    """What the bodies of swarms have in common, as far as it is read."""

    name: str = ""
    role: str = ""
    unlock_key: str = ""


def routes() -> list[Route]:
    """The table."""
    swarm = [_outside(*line.split()) for line in _SWARM.strip().splitlines()]
    plugins = [_pluginless(*line.split()) for line in _PLUGINS.strip().splitlines()]
    leave = Route("POST", "/swarm/leave", _no_member, summary=OUTSIDE_A_SWARM)
    return [*swarm, leave, Route("GET", "/plugins", _no_plugins, summary=WITHOUT_PLUGINS), *plugins]


def _outside(method: str, path: str) -> Route:
    async def answer(call: Call) -> web.StreamResponse:
        await _require_sense(call, path)
        raise errdefs.Unavailable(_NO_MANAGER)

    return Route(method, path, answer, summary=OUTSIDE_A_SWARM)


async def _require_sense(call: Call, path: str) -> None:
    """Pass if a request is one that a manager would look at."""
    if path in _READ and call.request.method == "POST":
        await call.json(_Body)
    if path in _UPDATED:
        _require_version(call.query, _UPDATED[path])
    if path == "/swarm/update":
        for flag in _ROTATIONS:
            _require_boolean(call.query, flag, brief=True)
    if path in _LISTS and call.request.method == "GET":
        filters.read(call.query.text("filters"))
    if path in _BOOLEANS and call.request.method == "GET":
        flag, since = _BOOLEANS[path]
        if not call.version.before(since):
            _require_boolean(call.query, flag)
    if path.endswith("/logs") and not (call.query.flag("stdout") or call.query.flag("stderr")):
        raise errdefs.InvalidArgument("Bad parameters: you must choose at least one stream")


def _require_boolean(query: Query, name: str, *, brief: bool = False) -> None:
    value = query.text(name)
    if value and value not in _GO_BOOLEANS:
        detail = "" if brief else f': strconv.ParseBool: parsing "{value}": invalid syntax'
        raise errdefs.InvalidArgument(f"invalid value for {name}: {value}{detail}")


def _pluginless(method: str, path: str) -> Route:
    async def answer(call: Call) -> web.StreamResponse:
        if path.endswith("/enable"):
            _require_timeout(call.query.text("timeout"))
        if path.endswith("/set"):
            gojson.decode(await call.body(), list[str])
        raise errdefs.NotFound(f'plugin "{call.name}" not found')

    return Route(method, path, answer, summary=WITHOUT_PLUGINS)


def _require_timeout(text: str) -> None:
    if not text.removeprefix("-").removeprefix("+").isdecimal():
        raise errdefs.InvalidArgument(f'strconv.Atoi: parsing "{text}": invalid syntax')


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
    filters.parse(call.query.text("filters"), _PLUGIN_FILTERS).boolean("enabled", default=False)
    return call.answer([])
