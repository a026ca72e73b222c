"""Fields of a create request that do not work yet: used for real, they are refused, never silently dropped.

The table shrinks with each release. Zero, null and empty values are always accepted.
"""

from collections.abc import Callable

import errdefs
from engine.containers.config import HostConfig

_HOST_FIELDS: dict[str, Callable[[HostConfig], object]] = {
    "HostConfig.StorageOpt": lambda host: host.storage_opt,
    "HostConfig.UsernsMode": lambda host: host.userns_mode not in ("", "host"),
}


def refuse_unbuilt(host: HostConfig) -> None:
    """Raise InvalidArgument naming the first field that is used and does not work yet."""
    used = [name for name, uses in _HOST_FIELDS.items() if uses(host)]
    if used:
        raise errdefs.InvalidArgument(f"{used[0]} is not supported by this version of wherry: leave it out")
