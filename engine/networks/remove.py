"""Which networks may be removed."""

from collections.abc import Iterable
from typing import NamedTuple

import errdefs
from engine.networks import predefined
from network.drivers.driver import NetworkInfo

STEPS = ("unmade", "forgotten")
"""Points at which the crash tests kill the daemon."""


class User(NamedTuple):
    """A container's endpoint in a network."""

    network_id: str
    endpoint_id: str
    name: str


def require_removable(network: NetworkInfo, existing: Iterable[NetworkInfo], users: Iterable[User]) -> None:
    """Pass if the network is a user's and nothing is in it; else Forbidden in Docker's words, naming who is in it."""
    if network.name in predefined.NAMES:
        raise errdefs.Forbidden(f"{network.name} is a pre-defined network and cannot be removed")
    if network.config_only and any(each.config_from == network.name for each in existing):
        raise _refused(f'configuration network "{network.name}" is in use')
    held = [
        f'name:"{user.name}" id:"{user.endpoint_id[:12]}"' for user in users if user.network_id == network.id
    ]
    if held:
        raise _refused(f"network {network.name} id {network.id} has active endpoints ({', '.join(held)})")


def _refused(why: str) -> errdefs.Forbidden:
    return errdefs.Forbidden(f"error while removing network: {why}")
