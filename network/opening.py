"""What a controller finds or makes when it opens: the default bridge, forwarding, rules, the predefined networks."""

from __future__ import annotations

import hashlib
import re
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

import errdefs
from network.drivers.default_bridge import DefaultBridge
from network.drivers.driver import NetworkInfo
from network.forwarding import Forwarding
from network.ipam.pools import AddressPool, complete_pools
from network.nftables.ruleset import Ruleset, table_name
from network.rules import Rules
from network.worker import Worker

PREDEFINED: Final = frozenset(("bridge", "host", "none"))
_MAX_NAME: Final = 15
_DRIVERS: Final = {"host": "host", "none": "null"}


class NetworkConfig(msgspec.Struct, frozen=True, kw_only=True):
    """`instance`: 8 hex digits that mark all that is ours. `mark`: one bit of the packet mark for forwarded packets.

    `address_pools` are those of networks that ask for no subnet, () for Docker's. `ip_forward`: switch forwarding on,
    `ip_forward_no_drop`: without having it drop what is not ours. `allow_direct_routing`: others reach published ports
    by containers' own addresses.
    `obey_firewall`: published ports are reached as what listens on the host, by way of its INPUT rules.
    `held`: where is noted what plugins hold, None where nothing is asked of them.
    """

    instance: str
    exec_root: Path
    bridge: str = "wherry0"
    default_bridge: DefaultBridge = msgspec.field(default_factory=DefaultBridge)
    address_pools: tuple[AddressPool, ...] = ()
    ip_forward: bool = True
    ip_forward_no_drop: bool = False
    allow_direct_routing: bool = False
    obey_firewall: bool = False
    held: Path | None = None
    mark: int = 0x02000000


def check(config: NetworkConfig) -> None:
    """Raises InvalidArgument for what no daemon can have."""
    if not re.fullmatch(r"[0-9a-f]{8}", config.instance):
        raise errdefs.InvalidArgument(f"invalid instance {config.instance!r}: 8 hex digits are needed")
    name = config.bridge
    if not 0 < len(name) <= _MAX_NAME or name in (".", "..") or not re.fullmatch(r"[A-Za-z0-9_.@-]+", name):
        raise errdefs.InvalidArgument(f"invalid bridge name {name!r}")


def network_id(config: NetworkConfig, name: str) -> str:
    """Ids of the predefined networks: the same after each restart, different for each instance."""
    return hashlib.sha256(f"wherry network {config.instance} {name}".encode()).hexdigest()


def owner(config: NetworkConfig) -> str:
    """The alias of interfaces that this instance made on the host."""
    return f"wherry:{config.instance}"


def predefined(config: NetworkConfig, name: str, created: datetime) -> NetworkInfo:
    """The network `host` or `none`."""
    return NetworkInfo(name=name, id=network_id(config, name), driver=_DRIVERS[name], created=created)


def forward(worker: Worker, config: NetworkConfig) -> None:
    """Have the host forward, unless that is not wanted. Blocks: for the worker's thread."""
    if config.ip_forward:
        _forwarding(worker, config).enable()


def rules(worker: Worker, config: NetworkConfig) -> Rules:
    """The rules of a daemon that has no networks yet, not yet applied."""
    return Rules(worker, Ruleset(table_name(config.instance), config.mark), _forwarding(worker, config))


def address_pools(config: NetworkConfig) -> tuple[AddressPool, ...]:
    """What networks get subnets from; IPv6 from a prefix that is this instance's own where no pool has it."""
    return complete_pools(config.address_pools, config.instance)


def _forwarding(worker: Worker, config: NetworkConfig) -> Forwarding:
    return Forwarding(
        *(worker.nft, config.mark, table_name(config.instance)),
        enabled=config.ip_forward,
        drop=not config.ip_forward_no_drop,
    )
