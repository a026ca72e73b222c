"""Who the users of a new container are on the host: pure, with Docker's texts."""

import errdefs
from engine.containers.config import HostConfig
from engine.containers.network_mode import mode_of_host
from runtime.spec.identity import HOST, Identity


def identity_of(host: HostConfig, usual: Identity) -> Identity:
    """The identity that it has for its life; `usual` is the daemon's. InvalidArgument for what needs the host's."""
    if host.userns_mode == "host" or not usual.remapped:
        return HOST
    if host.privileged:
        raise errdefs.InvalidArgument(
            "privileged mode is incompatible with user namespaces.  You must run the container in the host namespace"
            " when running privileged mode"
        )
    if mode_of_host(host) == "host":
        raise errdefs.InvalidArgument(
            "cannot share the host's network namespace when user namespaces are enabled"
        )
    if host.pid_mode == "host":
        raise errdefs.InvalidArgument("cannot share the host PID namespace when user namespaces are enabled")
    return usual
