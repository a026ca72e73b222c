"""The labels by which a create request asks wherry for more than Docker does.

An image's labels become its containers' labels too, so these are noted from the request alone: no image switches a
feature on.
"""

from collections.abc import Mapping

import errdefs

ON_UNHEALTHY = "wherry.on-unhealthy"
RESTART = "restart"
DEPENDS_ON = "com.docker.compose.depends_on"
PROJECT = "com.docker.compose.project"
SERVICE = "com.docker.compose.service"
_HEEDED = (ON_UNHEALTHY, DEPENDS_ON, PROJECT, SERVICE)


def own_labels(asked: Mapping[str, str] | None) -> dict[str, str]:
    """Those of a create request's labels that are heeded; InvalidArgument for a value that means nothing."""
    found = {name: asked[name] for name in _HEEDED if asked and name in asked}
    if found.get(ON_UNHEALTHY, RESTART) != RESTART:
        raise errdefs.InvalidArgument(
            f"invalid label {ON_UNHEALTHY}={found[ON_UNHEALTHY]}: the one value that it may have is {RESTART}"
        )
    return found
