"""What is done inside a sandbox when an endpoint comes, beside its interface: DNS and default routes.

A visit to a namespace takes a thread, a fifth of a millisecond; so it is done by the thread that sets up the interface.
"""

from __future__ import annotations

from collections.abc import Sequence

import errdefs
from network import netns, routes
from network.dns import sockets
from network.dns.sockets import Opened
from network.endpoint import Endpoint
from network.netlink import Rtnetlink
from network.routes import Gateways


class Arrival:
    """One endpoint more beside `endpoints`. `asks`: the sandbox is to ask for names from now on.

    `opened` holds the sockets for that, the caller's to serve or close, also after a failure. `done`: not every
    endpoint has an interface; without one it is still to be made up for.
    """

    def __init__(self, endpoints: Sequence[Endpoint], *, asks: bool) -> None:
        self._endpoints = tuple(endpoints)
        self._asks = asks
        self.done = False
        self.opened: Opened | None = None

    @property
    def before(self) -> Gateways:
        """The endpoints that lead out without it."""
        return routes.choose(self._endpoints)

    def is_due(self, endpoint: Endpoint) -> bool:
        """Whether there is anything left to do in the sandbox for the endpoint: nothing for that of "none"."""
        return not self.done and (self._asks or routes.choose((*self._endpoints, endpoint)) != self.before)

    def finish(self, endpoint: Endpoint, rtnl: Rtnetlink) -> None:
        """Once, in the sandbox, when the interface is up. Blocks. Raises SystemFailure."""
        self.done = True
        if self._asks:
            try:
                self.opened = sockets.listen()
            except OSError as error:
                raise errdefs.SystemFailure(
                    f"cannot set up the embedded DNS of container {endpoint.container_id}: {error.strerror}"
                ) from error
        try:
            routes.follow(rtnl, self.before, routes.choose((*self._endpoints, endpoint)))
        except OSError as error:
            raise errdefs.SystemFailure(
                f"cannot set the default route of endpoint {endpoint.name}: {error.strerror}"
            ) from error

    def make_up(self, fd: int, endpoint: Endpoint) -> None:
        """Do it now, in the namespace `fd`, where no interface was set up. Blocks, for the worker's thread."""
        netns.inside(fd, lambda: self._enter(endpoint))

    def _enter(self, endpoint: Endpoint) -> None:
        with Rtnetlink() as rtnl:
            self.finish(endpoint, rtnl)
