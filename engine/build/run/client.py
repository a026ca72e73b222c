"""What a step asks of the client of its build; `engine.build.session.Session` has it."""

from collections.abc import Awaitable, Callable
from typing import Protocol


class Client(Protocol):
    """See Session."""

    async def secret(self, name: str) -> bytes:
        """NotFound for one that the client does not have."""

    async def agent(self, name: str) -> bool:
        """Whether the client forwards that SSH agent."""

    async def forward_agent(
        self, name: str, read: Callable[[], Awaitable[bytes]], write: Callable[[bytes], Awaitable[None]]
    ) -> None:
        """Carry one connection to an agent until either side ends it; b"" from `read` is that end."""
