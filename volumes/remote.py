"""Volumes of a plugin: Docker's VolumeDriver.* calls."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import errdefs
from plugins.client import PluginAway, PluginFailure
from plugins.registry import VOLUME, Plugin, Plugins
from volumes.driver import Seen
from volumes.volume import Volume

_log = logging.getLogger(__name__)
_SCOPES = ("local", "global")
_LISTING = 5.0  # seconds that a plugin has to tell what it has


class RemoteDriver:
    """See Driver. The plugin is looked for when it is first called, and counts who uses its volumes by itself."""

    def __init__(self, plugins: Plugins, name: str) -> None:
        self.name = name
        self._plugins = plugins
        self._scope = ""

    @property
    def scope(self) -> str:
        """See Driver; "local" until the plugin was called."""
        return self._scope or "local"

    def check(self, name: str, options: Mapping[str, str] | None) -> None:
        """See Driver: the plugin decides when it makes one."""

    def mounts(self, volume: Volume) -> bool:  # noqa: ARG002 - any of them
        """See Driver."""
        return True

    async def open(self) -> None:
        """Be sure that there is such a plugin: NotFound, SystemFailure."""
        await self._plugin()

    async def find(self, name: str) -> Seen | None:
        """See Driver. What a plugin says no to is not there, as in Docker."""
        looking = f'error while checking if volume "{name}" exists in driver "{self.name}": '
        try:
            answer = await self._call("Get", Name=name)
        except PluginAway as error:
            raise errdefs.SystemFailure(looking + error.message) from error
        except PluginFailure as error:
            _log.debug("volume %s: %s", name, error.message)
            return None
        found = answer.get("Volume")
        return _seen(found) if isinstance(found, dict) else None

    async def list(self) -> list[Seen]:
        """See Driver. Who asks what there is does not wait for a plugin that is away, nor long for one that hangs."""
        try:
            async with asyncio.timeout(_LISTING):
                found = (await self._call("List", patient=False)).get("Volumes")
        except TimeoutError as error:
            raise PluginAway(f"the plugin did not answer in {_LISTING:g} seconds") from error
        return [_seen(each) for each in found or () if isinstance(each, dict) and each.get("Name")]

    async def create(self, name: str, options: Mapping[str, str] | None) -> None:
        """See Driver."""
        try:
            await self._call("Create", Name=name, Opts=None if options is None else dict(options))
        except PluginFailure as error:
            raise errdefs.SystemFailure(f"create {name}: {error.message}") from error

    async def mount(self, volume: Volume, user: str) -> str:
        """See Driver."""
        failed = "error while mounting volume '': "
        try:
            path = (await self._call("Mount", Name=volume.name, ID=user)).get("Mountpoint")
        except PluginFailure as error:
            raise type(error)(failed + error.message) from error
        if not isinstance(path, str) or not path.startswith("/"):
            raise errdefs.SystemFailure(f"{failed}plugin {self.name} does not tell where {volume.name} is")
        return path

    async def unmount(self, volume: Volume, user: str, *, last: bool) -> None:  # noqa: ARG002 - it counts itself
        """See Driver."""
        try:
            await self._call("Unmount", Name=volume.name, ID=user)
        except PluginFailure as error:
            raise type(error)(f"error while unmounting volume {volume.name}: {error.message}") from error

    async def remove(self, name: str) -> None:
        """See Driver."""
        try:
            await self._call("Remove", Name=name)
        except PluginFailure as error:
            raise errdefs.SystemFailure(f"remove {name}: {error.message}") from error

    async def sweep(self) -> None:
        """See Driver: nothing of it is here."""

    async def _call(self, verb: str, *, patient: bool = True, **arguments: Any) -> dict[str, Any]:
        plugin = await self._plugin(patient=patient)
        answer = await plugin.client.call(f"{VOLUME}.{verb}", arguments, patient=patient)
        if answer.get("Err"):
            raise PluginFailure(str(answer["Err"]))
        return answer

    async def _plugin(self, *, patient: bool = True) -> Plugin:
        plugin = await self._plugins.get(self.name, VOLUME, patient=patient)
        if not self._scope:
            self._scope = await _scope(plugin)
        return plugin


async def _scope(plugin: Plugin) -> str:
    """Of one host unless the plugin says otherwise: it need not know the question."""
    try:
        answer = await plugin.client.call(f"{VOLUME}.Capabilities", {})
    except PluginFailure as error:
        _log.info("volume plugin %s does not tell its capabilities: %s", plugin.name, error.message)
        return "local"
    told = answer.get("Capabilities")
    scope = str(told.get("Scope") or "local").lower() if isinstance(told, dict) else "local"
    if scope not in _SCOPES:
        _log.warning("volume plugin %s has the invalid scope %r: taken for local", plugin.name, scope)
    return scope if scope in _SCOPES else "local"


def _seen(told: Mapping[str, Any]) -> Seen:
    status = told.get("Status")
    return Seen(
        name=str(told.get("Name", "")),
        mountpoint=str(told.get("Mountpoint") or ""),
        created=str(told.get("CreatedAt") or ""),
        status=status if isinstance(status, dict) else None,
    )
