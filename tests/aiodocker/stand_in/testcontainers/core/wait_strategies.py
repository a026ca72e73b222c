"""What is waited for: the registry waits by itself."""

from typing import Any, Self


class HttpWaitStrategy:
    """Takes what it is told."""

    def __init__(self, port: int) -> None:
        self.port = port

    def using_tls(self, **_: Any) -> Self:
        """By TLS."""
        return self

    def for_status_code(self, _: int) -> Self:
        """For a status."""
        return self
