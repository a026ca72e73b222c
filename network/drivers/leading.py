"""Telling networks by which of its endpoints a sandbox reaches the outside, and that its endpoints are looked at.

Plugins alone want to know.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol, runtime_checkable

from network.drivers.driver import Driver
from network.endpoint import Endpoint
from network.routes import Gateways


@runtime_checkable
class LeadsOut(Protocol):
    """A network that wants to know."""

    async def lead_out(self, endpoint: Endpoint, /) -> None:
        """The endpoint has become the one. Raises errdefs."""

    async def lead_out_no_more(self, endpoint: Endpoint, /) -> None:
        """It is not the one any more. Idempotent."""

    async def look(self, endpoint: Endpoint, /) -> None:
        """The sandbox was connected to one more network, after which Docker asks what is known of each endpoint."""


def of(gateways: Gateways) -> Endpoint | None:
    """The one endpoint, as Docker sees it."""
    return gateways.ipv4 or gateways.ipv6


async def begin(drivers: Mapping[str, Driver], before: Endpoint | None, after: Endpoint | None) -> None:
    """From one endpoint to another, or from none. Raises errdefs; it is as before then."""
    if after is None or (before is not None and before.id == after.id):
        return
    if before is not None:
        await end(drivers, before)
    driver = _driver(drivers, after)
    if driver is not None:
        try:
            await driver.lead_out(after)
        except BaseException:
            await begin(drivers, None, before)
            raise


async def end(drivers: Mapping[str, Driver], endpoint: Endpoint) -> None:
    """The endpoint goes."""
    driver = _driver(drivers, endpoint)
    if driver is not None:
        await driver.lead_out_no_more(endpoint)


async def look(drivers: Mapping[str, Driver], endpoints: Iterable[Endpoint]) -> None:
    """All of a sandbox, after it was connected to one more network."""
    for endpoint in endpoints:
        driver = _driver(drivers, endpoint)
        if driver is not None:
            await driver.look(endpoint)


def _driver(drivers: Mapping[str, object], endpoint: Endpoint) -> LeadsOut | None:
    driver = drivers.get(endpoint.network_id)
    return driver if isinstance(driver, LeadsOut) else None
