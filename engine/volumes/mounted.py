"""Who has which volume mounted: a file for each, below the exec root, so that the next daemon knows it.

Such a file is there before the driver is asked to mount, and goes after it was asked to unmount: whatever ends the
daemon in between, the next one has the volume unmounted that nobody uses. Nothing of it outlives the host's boot, and
neither do mounts.
"""

import asyncio
import os
from pathlib import Path

import msgspec

from runtime.settled import settled


class Use(msgspec.Struct, frozen=True, kw_only=True):
    """`user` is what the driver knows it by; `container` is "" for a use of the engine's own."""

    volume: str
    user: str
    container: str


class Mounted:
    """The uses there are. Writes do not wait for the disk: they are to outlive the daemon alone."""

    def __init__(self, directory: Path) -> None:
        """`directory` is there."""
        self._directory = directory
        self._uses: dict[str, Use] = {}

    def load(self) -> None:
        """Read what a former daemon left. Blocks."""
        for path in self._directory.iterdir():
            try:
                use = msgspec.json.decode(path.read_bytes(), type=Use)
            except (OSError, msgspec.DecodeError):
                path.unlink(missing_ok=True)  # it was being written: nothing was mounted yet
            else:
                self._uses[use.user] = use

    def all(self) -> list[Use]:
        """Every use."""
        return list(self._uses.values())

    def of(self, volume: str) -> list[Use]:
        """The uses of a volume."""
        return [use for use in self._uses.values() if use.volume == volume]

    async def add(self, use: Use) -> None:
        """Note that a volume is about to be mounted. Raises OSError; when it is cancelled, it is noted all the same."""
        self._uses[use.user] = use
        try:
            await settled(self._write, use)
        except OSError:
            del self._uses[use.user]
            raise

    async def drop(self, use: Use) -> None:
        """Forget a use."""
        self._uses.pop(use.user, None)
        await asyncio.to_thread((self._directory / use.user).unlink, missing_ok=True)

    def _write(self, use: Use) -> None:
        fresh = self._directory / f".{use.user}"
        fresh.write_bytes(msgspec.json.encode(use))
        os.rename(fresh, self._directory / use.user)
