"""What plugins hold for us: noted before it is asked for, so that a daemon that is killed meanwhile has it taken back.

A plugin's network, endpoint, pool and address each have a key, and under it the calls that take it back. The note is
there as long as the plugin holds the thing; at boot those that no record of a network or container refers to are
taken back, in the background, as a plugin may be away. What a plugin chooses itself (a pool, an address) is known
only by its answer, and noted then.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
from pathlib import Path
from typing import Any, Final

import msgspec

import errdefs
from plugins.client import PluginAway, PluginFailure
from plugins.registry import Plugins

_log = logging.getLogger(__name__)

_UNFINISHED: Final = ".new"
DELETE_ENDPOINT: Final = "NetworkDriver.DeleteEndpoint"
DELETE_NETWORK: Final = "NetworkDriver.DeleteNetwork"
RELEASE_ADDRESS: Final = "IpamDriver.ReleaseAddress"
RELEASE_POOL: Final = "IpamDriver.ReleasePool"
_IN_ORDER: Final = (DELETE_ENDPOINT, RELEASE_ADDRESS, DELETE_NETWORK, RELEASE_POOL)


class Call(msgspec.Struct, frozen=True):
    """One call of a plugin, "Subsystem.Method"."""

    plugin: str
    method: str
    arguments: dict[str, Any]


class Held:
    """A file for each key in `folder`; without a folder nothing is noted. Keys are unique among plugins, and the last
    call of each is one of those that are named above.
    """

    def __init__(self, folder: Path | None, plugins: Plugins) -> None:
        self._folder = folder
        self.plugins = plugins
        self._left: set[str] = set()  # of an earlier daemon, and not known of any record so far

    async def open(self) -> None:
        """Read which notes an earlier daemon left."""
        if self._folder is not None:
            self._left = await asyncio.to_thread(_keys, self._folder)

    async def note(self, key: str, *calls: Call) -> None:
        """Durably: what is about to be asked for, or was given just now, is taken back by these calls, in order.

        Raises SystemFailure; nothing may be asked for then.
        """
        if self._folder is None:
            return
        try:
            await asyncio.to_thread(_write, self._folder / key, calls)
        except OSError as error:
            raise errdefs.SystemFailure(f"cannot write {self._folder / key}: {error.strerror}") from error

    async def forget(self, key: str) -> None:
        """It was taken back, or was never given; idempotent."""
        self._left.discard(key)
        if self._folder is not None:
            await asyncio.to_thread((self._folder / key).unlink, missing_ok=True)

    def keep(self, key: str) -> None:
        """At boot: a record refers to it."""
        self._left.discard(key)

    async def take_back(self) -> None:
        """What no record refers to goes. A plugin's no is logged; one that is away is asked at the next boot."""
        left, self._left = self._left, set()
        if self._folder is None or not left:
            return
        notes = await asyncio.to_thread(_read_all, self._folder, left)
        for last in _IN_ORDER:
            due = [key for key, calls in notes.items() if calls[-1].method == last]
            await asyncio.gather(*(self._take_back(key, notes[key]) for key in due))

    async def _take_back(self, key: str, calls: list[Call]) -> None:
        try:
            for call in calls:
                await self._tell(call)
            await self.forget(key)
        except (errdefs.WherryError, OSError) as error:
            _log.warning("plugin %s holds what nobody has any more: %s", calls[-1].plugin, error)

    async def _tell(self, call: Call) -> None:
        """Raises what Plugins.get does, PluginAway."""
        plugin = await self.plugins.get(call.plugin, call.method.partition(".")[0])
        try:
            await plugin.client.call(call.method, call.arguments)
        except PluginFailure as error:
            if not was_heard(error):
                raise
            _log.warning("plugin %s: %s", call.plugin, error.message)
        _log.info("plugin %s: %s of what an earlier daemon left half made", call.plugin, call.method)


def was_heard(error: errdefs.WherryError) -> bool:
    """Whether a plugin said no to a taking back, and was not merely away: there is nothing more to be done then."""
    return isinstance(error, PluginFailure) and not isinstance(error, PluginAway)


def key_of(*parts: str) -> str:
    """A key of what plugins name as they like."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _keys(folder: Path) -> set[str]:
    folder.mkdir(mode=0o700, exist_ok=True)
    names = set(os.listdir(folder))
    for name in {each for each in names if each.endswith(_UNFINISHED)}:
        names.discard(name)
        (folder / name).unlink()
    return names


def _write(path: Path, calls: tuple[Call, ...]) -> None:
    """Whole or not at all, whenever the power fails."""
    lines = [json.dumps([call.plugin, call.method, call.arguments]) + "\n" for call in calls]
    unfinished = path.with_name(path.name + _UNFINISHED)
    with unfinished.open("w") as file:
        file.write("".join(lines))
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _read_all(folder: Path, keys: set[str]) -> dict[str, list[Call]]:
    notes = {}
    for key in sorted(keys):
        try:
            notes[key] = [Call(*json.loads(line)) for line in (folder / key).read_text().splitlines()]
        except (OSError, ValueError, TypeError) as error:
            _log.error("%s cannot be read: %s", folder / key, error)
    return {key: calls for key, calls in notes.items() if calls}
