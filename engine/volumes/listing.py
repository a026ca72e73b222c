"""Volumes as clients are shown them: the records, and what drivers tell."""

import asyncio
from collections.abc import Callable, Sequence

import msgspec

import errdefs
from engine.filters import Filters
from engine.volumes.drivers import Drivers
from volumes.driver import Driver, Seen
from volumes.volume import LOCAL, Volume

FILTERS = frozenset(("dangling", "driver", "label", "name"))


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A volume, whether it is one host's, and what its driver tells."""

    volume: Volume
    scope: str
    seen: Seen


def shown(volume: Volume, drivers: Drivers, seen: Seen | None) -> Shown:
    """A volume by its record, and by what its driver told, if it was asked."""
    if seen is None:
        mountpoint = drivers.local.mountpoint(volume.name) if volume.driver == LOCAL else ""
        seen = Seen(name=volume.name, mountpoint=mountpoint)
    return Shown(volume=volume, scope=drivers.of(volume.driver).scope, seen=seen)


def passes(volume: Volume, filters: Filters) -> bool:
    """Whether a volume passes the filters that its record decides."""
    return (
        filters.match("name", volume.name)
        and filters.exact("driver", volume.driver)
        and filters.labels("label", volume.labels)
    )


class Listing(msgspec.Struct, frozen=True):
    """Volumes by name, and why there may be more."""

    volumes: Sequence[Shown]
    warnings: Sequence[str]

    @classmethod
    async def of(cls, records: Sequence[Volume], drivers: Drivers) -> "Listing":
        """Ask every driver. Volumes of one that does not answer are shown by their records."""
        remote = await drivers.remote()
        known = {volume.driver for volume in records}
        asked = list({each.name: each for each in (*remote, *map(drivers.of, known - {LOCAL, ""}))}.values())
        answers = await asyncio.gather(*(_list(driver) for driver in asked if driver is not drivers.local))
        told = {driver.name: answer for driver, answer in zip(asked, answers, strict=True)}
        volumes = []
        for volume in records:
            answer = told.get(volume.driver)
            if not isinstance(answer, dict):
                volumes.append(shown(volume, drivers, None))
            elif volume.name in answer:
                volumes.append(shown(volume, drivers, _briefly(answer.pop(volume.name))))
        for driver, answer in told.items():
            for seen in answer.values() if isinstance(answer, dict) else ():
                stranger = Volume(name=seen.name, created=0, driver=driver)
                volumes.append(shown(stranger, drivers, _briefly(seen)))
        failures = [answer for answer in answers if isinstance(answer, str)]
        return cls(sorted(volumes, key=lambda each: each.volume.name), failures)

    def only(self, wanted: Callable[[Volume], bool]) -> "Listing":
        """Those that are wanted."""
        return msgspec.structs.replace(self, volumes=[each for each in self.volumes if wanted(each.volume)])


def _briefly(seen: Seen) -> Seen:
    """What lists show of it, as in Docker."""
    return msgspec.structs.replace(seen, created="", status=None)


async def _list(driver: Driver) -> dict[str, Seen] | str:
    """What a driver has, by name, or why that is not known."""
    try:
        return {seen.name: seen for seen in await driver.list()}
    except errdefs.WherryError as error:
        return f"list {driver.name}: {error.message}"
