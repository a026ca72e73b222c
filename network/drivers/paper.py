"""The networks `host` and `none`: one of each, and nothing is made. Their endpoints exist on paper alone."""

from __future__ import annotations

import errdefs
from network.drivers.driver import Driver, NetworkInfo
from network.drivers.endpoints import bare
from network.endpoint import Endpoint, EndpointRequest
from network.interface import Finish
from network.sandbox import Sandbox


class PaperDriver:
    """The host's own stack, or a sandbox with nothing but its loopback."""

    def __init__(self, info: NetworkInfo) -> None:
        self.info = info

    async def connect(self, sandbox: Sandbox, request: EndpointRequest, _: str, __: Finish, /) -> Endpoint:
        """An endpoint without addresses."""
        return bare(self.info, sandbox, request)

    async def adopt(self, sandbox: Sandbox, endpoint: Endpoint, /) -> None:
        """Nothing to take over."""

    async def disconnect(self, sandbox: Sandbox, endpoint: Endpoint, /, *, hot: bool) -> None:
        """Nothing to undo."""

    async def remove(self) -> None:
        """Nothing to remove."""


class PaperKind:
    """The one network of the driver `name` is predefined; there is no second one."""

    def __init__(self, name: str) -> None:
        self._name = name

    async def create(self, _: NetworkInfo, /) -> Driver:
        """Raises Forbidden."""
        raise errdefs.Forbidden(f'only one instance of "{self._name}" network is allowed')

    async def restore(self, made: NetworkInfo) -> Driver:
        """Raises Forbidden."""
        return await self.create(made)

    async def sweep(self) -> None:
        """Nothing to remove."""

    async def remove_strays(self) -> list[str]:
        """Nothing to remove."""
        return []
