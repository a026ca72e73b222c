"""The contract of volume drivers.

A driver keeps the data of volumes; which volumes there are is not its business but the engine's, which calls it under
the lock of the volume's name. Vocabulary and life: `check` says whether a volume could be made, without touching
anything. `create` makes the place of its data, `path` brings it to this host, `remove` takes it away for good. Both
`create` and `remove` may have been cut short by the daemon's death and are then called again: what is there already,
or gone already, is no error. `create` takes a place that others filled as it is; `exists` tells of it beforehand.

    driver.check("db", None)
    await driver.create("db", None)
    await driver.path("db")          # "/var/lib/wherry/volumes/db/_data"
    await driver.remove("db")
"""

from collections.abc import Mapping
from typing import Protocol


class Driver(Protocol):
    """Keeps the data of volumes. Errors are errdefs."""

    @property
    def name(self) -> str:
        """What clients call it."""

    @property
    def scope(self) -> str:
        """ "local" or "global": whether a volume is one host's."""

    def check(self, name: str, options: Mapping[str, str] | None) -> None:
        """Pass if such a volume can be; InvalidArgument otherwise. Pure."""

    def mountpoint(self, name: str) -> str:
        """Where its data is shown to be, whether it is there or not. Pure."""

    async def exists(self, name: str) -> bool:
        """Whether there is data of this name."""

    async def create(self, name: str, options: Mapping[str, str] | None) -> None:
        """Make the place; durable. SystemFailure when the host cannot."""

    async def path(self, name: str) -> str:
        """The directory to mount; SystemFailure when it is not there."""

    async def remove(self, name: str) -> None:
        """Take away all of it; Conflict when something of the host is mounted in it."""

    async def sweep(self) -> None:
        """Go on removing what a crash left half removed."""
