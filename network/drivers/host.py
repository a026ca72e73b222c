"""The host's own stack: nothing is made, nothing is isolated."""

from __future__ import annotations

from datetime import datetime

from network.drivers.driver import NetworkInfo, bare
from network.endpoint import Endpoint, EndpointRequest, new_id
from network.sandbox import Sandbox


class HostDriver:
    """The network `host`; endpoints exist on paper alone."""

    def __init__(self, network_id: str, created: datetime) -> None:
        self.info = NetworkInfo(name="host", id=network_id, driver="host", created=created)

    def connect(self, sandbox: Sandbox, request: EndpointRequest) -> Endpoint:
        """An endpoint without addresses."""
        return bare(self.info, sandbox, request, new_id())

    def adopt(self, sandbox: Sandbox, endpoint: Endpoint) -> None:
        """Nothing to take over."""

    def disconnect(self, endpoint: Endpoint) -> None:
        """Nothing to undo."""
