"""The drivers of volumes: the local one, and each plugin by its name."""

from collections.abc import Sequence

import errdefs
from plugins.registry import VOLUME, Plugins
from volumes.driver import Driver
from volumes.local import LocalDriver
from volumes.remote import RemoteDriver
from volumes.volume import LOCAL


class Drivers:
    """Finds them; a plugin that was found once is the same driver ever after."""

    def __init__(self, local: LocalDriver, plugins: Plugins) -> None:
        self.local = local
        self._plugins = plugins
        self._remote: dict[str, RemoteDriver] = {}

    def of(self, name: str) -> Driver:
        """The driver of a volume that there is."""
        if name in ("", LOCAL):
            return self.local
        return self._remote.setdefault(name, RemoteDriver(self._plugins, name))

    async def to_make(self, volume: str, name: str) -> Driver:
        """The driver that is to make a volume; NotFound or SystemFailure in Docker's words when there is none."""
        if name in ("", LOCAL):
            return self.local
        driver = self._remote.get(name) or RemoteDriver(self._plugins, name)
        try:
            await driver.open()
        except errdefs.WherryError as error:
            text = f"create {volume}: error looking up volume plugin {name}: {error.message}"
            raise type(error)(text) from error
        return self._remote.setdefault(name, driver)

    async def remote(self) -> Sequence[Driver]:
        """The plugins there are, whether a volume of theirs is known or not."""
        return [self.of(plugin.name) for plugin in await self._plugins.all(VOLUME)]

    def names(self) -> list[str]:
        """What clients are told of: the local one, and plugins that were used."""
        return sorted({LOCAL, *self._remote})
