"""The contract of volume drivers.

A driver keeps the data of volumes; which volumes there are is not its business but the engine's, which calls it under
the lock of the volume's name. Vocabulary and life: `check` says whether a volume could be made, without touching
anything. `create` makes the place of its data, `mount` brings it to this host for one user, `unmount` tells that this
user needs it no more, `remove` takes it away for good. All of them may have been cut short by the daemon's death and
are then called again: what is there already, or gone already, is no error. `create` takes a place that others filled
as it is; `find` tells of it beforehand.

    driver.check("db", None)
    await driver.create("db", None)
    await driver.mount(volume, user)          # "/var/lib/wherry/volumes/db/_data"
    await driver.unmount(volume, user, last=True)
    await driver.remove("db")
"""

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from volumes.volume import Volume


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What a driver tells of a volume: where its data is, "" if nowhere now; when it was made (RFC 3339), "" if it does
    not say; and whatever else it has to say.
    """

    name: str
    mountpoint: str = ""
    created: str = ""
    status: Mapping[str, Any] | None = None


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

    def mounts(self, volume: Volume) -> bool:
        """Whether it must be told who uses the volume; if not, `mount` is free of consequences. Pure."""

    async def find(self, name: str) -> Seen | None:
        """What there is of this name. SystemFailure when that is not to be learned."""

    async def list(self) -> list[Seen]:
        """What there is, whoever made it; nothing from a driver whose volumes the engine alone knows."""

    async def create(self, name: str, options: Mapping[str, str] | None) -> None:
        """Make the place; durable. SystemFailure when the host cannot."""

    async def mount(self, volume: Volume, user: str) -> str:
        """The directory of its data, which is there for this user from now on. SystemFailure when it cannot be.

        A failure leaves nothing; what was cancelled is to be unmounted.
        """

    async def unmount(self, volume: Volume, user: str, *, last: bool) -> None:
        """This user, the `last` one or not, needs it no more. SystemFailure when it stays."""

    async def remove(self, name: str) -> None:
        """Take away all of it; Conflict when something of the host is mounted in it."""

    async def sweep(self) -> None:
        """Go on removing what a crash left half removed."""
