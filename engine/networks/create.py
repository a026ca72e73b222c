"""What a new network is asked to be: checked in dockerd's order, with its texts. Pure."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import msgspec

import errdefs
from engine import ids
from engine.networks import predefined
from network.drivers.driver import NetworkInfo, Pool
from network.ipam import asked

STEPS = ("made", "recorded")
"""Points at which the crash tests kill the daemon."""

DRIVER = "bridge"
CONFIG_DRIVER = "null"
"""What the driver of a config-only network is shown to be: none ever sees it."""

_IPAM = "default"
_IPV4 = "com.docker.network.enable_ipv4"
_IPV6 = "com.docker.network.enable_ipv6"
_TRUE = frozenset(("1", "t", "T", "TRUE", "true", "True"))
_FALSE = frozenset(("0", "f", "F", "FALSE", "false", "False"))
_NO_SWARM = (
    'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and'
    " try again."
)
_OPERATORS = (
    "configuration network can only contain network specific fields. Network operator fields like"
    " [ ingress | internal | attachable | scope ] are not supported."
)


class CreateRequest(msgspec.Struct, frozen=True, kw_only=True):
    """`None` is what the client did not say."""

    name: str
    driver: str = ""
    scope: str = ""
    internal: bool = False
    attachable: bool = False
    ingress: bool = False
    config_only: bool = False
    config_from: str = ""
    enable_ipv4: bool | None = None
    enable_ipv6: bool | None = None
    pools: tuple[Pool, ...] = ()
    ipam_driver: str = ""
    ipam_options: Mapping[str, str] | None = None
    options: Mapping[str, str] = msgspec.field(default_factory=dict)
    labels: Mapping[str, str] = msgspec.field(default_factory=dict)


DefaultOptions = Mapping[str, Mapping[str, str]]
"""Options of new networks by driver: the daemon's `default-network-opts`."""


def compose(
    request: CreateRequest, existing: Iterable[NetworkInfo], defaults: DefaultOptions | None = None
) -> NetworkInfo:
    """The network that is asked for, without what its driver chooses.

    Raises Forbidden, InvalidArgument, Conflict for a name that is taken, NotFound for an unknown configuration.
    """
    existing = list(existing)
    _require_possible(request)
    wanted = _wanted(request, {} if request.config_from else (defaults or {}))
    asked.read(request.pools)
    if not request.name.strip():
        raise errdefs.InvalidArgument(f"invalid name: {request.name}")
    require_free(request.name, existing)
    if request.config_only:
        _require_configuration(request)
        return msgspec.structs.replace(wanted, driver=CONFIG_DRIVER)
    if request.config_from:
        _require_bare(request, wanted)
    if request.ingress:
        raise errdefs.Forbidden("Ingress network can only be global scope network")
    if request.scope == "swarm":
        raise errdefs.Forbidden("cannot create a swarm scoped network when swarm is not active")
    return _configured(wanted, existing) if request.config_from else wanted


def require_free(name: str, existing: Iterable[NetworkInfo]) -> None:
    """Pass if no network has the name; else Conflict in Docker's words."""
    if any(each.name == name for each in existing):
        raise errdefs.Conflict(f"network with name {name} already exists")


def _require_possible(request: CreateRequest) -> None:
    if request.name in predefined.RESERVED:
        raise errdefs.Forbidden(f"operation is not permitted on predefined {request.name} network ")
    if request.driver == "overlay":
        raise errdefs.Forbidden(_NO_SWARM)


def _wanted(request: CreateRequest, defaults: DefaultOptions) -> NetworkInfo:
    driver = request.driver or DRIVER
    options = {**defaults.get(driver, {}), **request.options}
    return NetworkInfo(
        name=request.name,
        id=ids.new_id(),
        driver=driver,
        created=datetime.now(UTC),
        scope=request.scope or "local",
        pools=request.pools,
        ipam_driver=request.ipam_driver or _IPAM,
        ipam_options=request.ipam_options,
        internal=request.internal,
        attachable=request.attachable,
        config_only=request.config_only,
        config_from=request.config_from,
        enable_ipv4=_enabled(request.enable_ipv4, options, _IPV4, default=True),
        enable_ipv6=_enabled(request.enable_ipv6, options, _IPV6, default=False),
        labels=dict(request.labels),
        options=options,
    )


def _enabled(said: bool | None, options: dict[str, str], option: str, *, default: bool) -> bool:
    """What the request says, else its option; an option that is overruled is not kept."""
    if said is not None:
        options.pop(option, None)
        return said
    value = options.get(option)
    if value is None:
        return default
    if value not in _TRUE | _FALSE:
        raise errdefs.InvalidArgument(f'driver-opt "{option}" is not a valid bool')
    return value in _TRUE


def _require_configuration(request: CreateRequest) -> None:
    if request.ingress or request.internal or request.attachable or request.scope:
        raise errdefs.Forbidden(_OPERATORS)
    if request.config_from:
        raise errdefs.Forbidden("a configuration network cannot depend on another configuration network")


def _require_bare(request: CreateRequest, wanted: NetworkInfo) -> None:
    """Pass if nothing is said that the configuration network is to say."""
    if (
        wanted.ipam_driver != _IPAM
        or not wanted.enable_ipv4
        or wanted.enable_ipv6
        or request.labels
        or request.ipam_options
        or request.pools
    ):
        raise errdefs.Forbidden(
            "user specified configurations are not supported if the network depends on a configuration network"
        )
    if request.options:
        raise errdefs.Forbidden(
            "network driver options are not supported if the network depends on a configuration network"
        )


def _configured(wanted: NetworkInfo, existing: Iterable[NetworkInfo]) -> NetworkInfo:
    """The same with all that its configuration network says."""
    for each in existing:
        if each.config_only and each.name == wanted.config_from:
            return msgspec.structs.replace(
                wanted,
                pools=each.pools,
                ipam_driver=each.ipam_driver,
                ipam_options=each.ipam_options,
                enable_ipv4=each.enable_ipv4,
                enable_ipv6=each.enable_ipv6,
                labels=each.labels,
                options=each.options,
            )
    raise errdefs.NotFound(f'configuration network "{wanted.config_from}" does not exist')
