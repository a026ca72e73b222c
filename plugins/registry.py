"""The plugins in use: each is found and activated when it is first asked for, and stays until the daemon ends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, Final
from weakref import WeakSet

import msgspec

import errdefs
from plugins.client import AWAY, PATIENCE, Client, PluginFailure
from plugins.discovery import Address, Places, find, names

_log = logging.getLogger(__name__)

NETWORK: Final = "NetworkDriver"
IPAM: Final = "IpamDriver"
VOLUME: Final = "VolumeDriver"
_SCOPES: Final = ("local", "global")
_GLANCE: Final = 2.0  # seconds that those get which nobody named


class Plugin(msgspec.Struct, frozen=True, kw_only=True):
    """An activated plugin and what it told of itself. `scope` is "" when it is no network driver."""

    name: str
    client: Client
    implements: tuple[str, ...]
    scope: str = ""
    requires_mac: bool = False
    requires_replay: bool = False


class Plugins:
    """Finds, activates and keeps them. One that hangs holds up nobody but those who asked for it."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._active: dict[str, asyncio.Task[Plugin]] = {}
        self._hasty: WeakSet[asyncio.Task[Plugin]] = WeakSet()  # those that were begun without patience
        self._failed: dict[
            str, float
        ] = {}  # name -> until when it is not waited for again, of the loop's clock

    async def get(self, name: str, subsystem: str, *, patient: bool = True) -> Plugin:
        """The plugin of that name, activated if need be; it is waited for, 15 seconds, as Docker does, but not again
        and again within a minute, nor without patience.

        Raises NotFound, SystemFailure when it is not to be activated or does not implement the subsystem.
        """
        plugin = await self._activated(name, patient=patient)
        if subsystem not in plugin.implements:
            raise errdefs.SystemFailure(
                "legacy plugin: Plugin does not implement the requested driver: "
                f'plugin="{name}", requested implementation="{subsystem}"'
            )
        return plugin

    async def all(self, subsystem: str) -> list[Plugin]:
        """All that implement the subsystem, by name, also those that nobody has named yet.

        One that does not answer at once is left out, and looked at again after a minute.
        """
        found = await asyncio.to_thread(names, self._places)
        known = sorted({*found, *(name for name, task in self._active.items() if _is_there(task))})
        plugins = await asyncio.gather(*(self._glance(name) for name in known))
        return [plugin for plugin in plugins if plugin is not None and subsystem in plugin.implements]

    async def _glance(self, name: str) -> Plugin | None:
        task = self._active.get(name)
        if self._is_recent(name) and not (task and _is_there(task)):
            return None
        try:
            async with asyncio.timeout(_GLANCE):
                return await self._activated(name, patient=False)
        except (errdefs.WherryError, TimeoutError) as error:
            _log.warning("plugin %s is left out: %s", name, error or "it does not answer")
            self._note_failure(name)
            return None

    async def close(self) -> None:
        """Stop waiting for plugins and let go of all."""
        tasks = list(self._active.values())
        self._active.clear()
        for task in tasks:
            task.cancel()
        for done in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(done, Plugin):
                await done.client.close()

    async def _activated(self, name: str, *, patient: bool = True) -> Plugin:
        """Callers of the same name share one activation; it is nobody's to cancel, and a failed one is forgotten.

        Who is patient does not fail with one that was begun without patience.
        """
        task = self._active.get(name)
        if task is None:
            task = self._active[name] = self._spawn(self._activate(name, patient=patient))
            if not patient:
                self._hasty.add(task)
        try:
            return await asyncio.shield(task)
        except errdefs.WherryError:
            tried = patient and task not in self._hasty
            if self._active.get(name) is task:
                del self._active[name]
                if tried:
                    self._note_failure(name)
            if tried or not patient:
                raise
        return await self._activated(name)

    def _note_failure(self, name: str) -> None:
        now = asyncio.get_running_loop().time()
        self._failed = {each: until for each, until in self._failed.items() if until > now}
        self._failed[name] = now + AWAY

    def _spawn(self, work: Coroutine[Any, Any, Plugin]) -> asyncio.Task[Plugin]:
        task = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())  # callers may be gone
        return task

    async def _activate(self, name: str, *, patient: bool) -> Plugin:
        patience = PATIENCE if patient and not self._is_recent(name) else ()
        client = Client(await self._find(name, patience), patient=bool(patience))
        try:
            answer = await client.call("Plugin.Activate")
            implements = answer.get("Implements")
            if not isinstance(implements, list):
                raise PluginFailure(f"Plugin.Activate: plugin {name} does not tell what it implements")
            plugin = Plugin(name=name, client=client, implements=tuple(map(str, implements)))
            return await _introduced(plugin)
        except errdefs.WherryError as error:
            await client.close()
            raise errdefs.SystemFailure(f"legacy plugin: {error.message}") from error
        except BaseException:
            await client.close()
            raise

    def _is_recent(self, name: str) -> bool:
        return self._failed.get(name, 0.0) > asyncio.get_running_loop().time()

    async def _find(self, name: str, patience: tuple[float, ...]) -> Address:
        for seconds in (*patience, None):
            address = await asyncio.to_thread(find, self._places, name)
            if address is not None:
                return address
            if seconds is None or "/" in name:
                break
            _log.warning("unable to locate plugin %s, trying again in %g s", name, seconds)
            await asyncio.sleep(seconds)
        raise errdefs.NotFound(f'plugin "{name}" not found')


def _is_there(task: asyncio.Task[Plugin]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None


async def _introduced(plugin: Plugin) -> Plugin:
    """Each of its subsystems is asked what it can do; an IPAM driver need not know the question."""
    told: dict[str, Any] = {}
    for subsystem in plugin.implements:
        if subsystem == NETWORK:
            told["scope"] = _scope(await plugin.client.call(f"{NETWORK}.GetCapabilities"))
        elif subsystem == IPAM:
            try:
                answer = await plugin.client.call(f"{IPAM}.GetCapabilities")
            except PluginFailure as error:
                _log.info("ipam plugin %s does not tell its capabilities: %s", plugin.name, error.message)
                continue
            told["requires_mac"] = answer.get("RequiresMACAddress") is True
            told["requires_replay"] = answer.get("RequiresRequestReplay") is True
    return Plugin(name=plugin.name, client=plugin.client, implements=plugin.implements, **told)


def _scope(answer: dict[str, Any]) -> str:
    if answer.get("Err"):
        raise PluginFailure(f"remote: {answer['Err']}")
    scope = answer.get("Scope")
    if scope not in _SCOPES or answer.get("ConnectivityScope", "") not in ("", *_SCOPES):
        raise PluginFailure(f"invalid capability: expecting 'local' or 'global', got {scope}")
    return str(scope)
