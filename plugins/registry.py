"""The plugins in use: each is found and activated when it is first asked for, and stays until the daemon ends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Final

import errdefs
from plugins.client import AWAY, PATIENCE, Client, PluginFailure
from plugins.discovery import Address, Places, find

_log = logging.getLogger(__name__)

NETWORK: Final = "NetworkDriver"
IPAM: Final = "IpamDriver"
_SCOPES: Final = ("local", "global")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
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
        self._failed: dict[
            str, float
        ] = {}  # name -> until when it is not waited for again, of the loop's clock

    async def get(self, name: str, subsystem: str) -> Plugin:
        """The plugin of that name, activated if need be; it is waited for, 15 seconds, as Docker does, but not again
        and again within a minute.

        Raises NotFound, SystemFailure when it is not to be activated or does not implement the subsystem.
        """
        plugin = await self._activated(name)
        if subsystem not in plugin.implements:
            raise errdefs.SystemFailure(
                "legacy plugin: Plugin does not implement the requested driver: "
                f'plugin="{name}", requested implementation="{subsystem}"'
            )
        return plugin

    async def close(self) -> None:
        """Stop waiting for plugins and let go of all."""
        tasks = list(self._active.values())
        self._active.clear()
        for task in tasks:
            task.cancel()
        for done in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(done, Plugin):
                await done.client.close()

    async def _activated(self, name: str) -> Plugin:
        """Callers of the same name share one activation; it is nobody's to cancel, and a failed one is forgotten."""
        task = self._active.get(name)
        if task is None:
            task = self._active[name] = self._spawn(self._activate(name))
        try:
            return await asyncio.shield(task)
        except errdefs.WherryError:
            if self._active.get(name) is task:
                del self._active[name]
                self._note_failure(name)
            raise

    def _note_failure(self, name: str) -> None:
        now = asyncio.get_running_loop().time()
        self._failed = {each: until for each, until in self._failed.items() if until > now}
        self._failed[name] = now + AWAY

    def _spawn(self, work: Coroutine[Any, Any, Plugin]) -> asyncio.Task[Plugin]:
        task = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())  # callers may be gone
        return task

    async def _activate(self, name: str) -> Plugin:
        patience = () if self._is_recent(name) else PATIENCE
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
