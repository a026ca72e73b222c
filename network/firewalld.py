"""Our bridges where firewalld rules: in its zone `trusted`, or it refuses what their containers send to the outside.

Its chains come after ours, and an accept of ours does not count there. dockerd does so, too, with a zone of its own.
Nothing is written into firewalld's configuration: it is told again after its reload, which forgets that unless
FlushAllOnReload=no, and after its restart.
"""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from network.dbus import Bus, BusError, Method

_log = logging.getLogger(__name__)

_NAME: Final = "org.fedoraproject.FirewallD1"
_PATH: Final = "/org/fedoraproject/FirewallD1"
_ZONES: Final = f"{_NAME}.zone"
_ZONE: Final = "trusted"
_SECONDS: Final = 60.0  # a firewalld that loads its rules answers after it
_ABSENT: Final = ("no message bus", "org.freedesktop.DBus.Error.")  # nobody there, or gone before the answer


class Firewalld:
    """May be called from any thread and never waits: a thread of its own speaks to firewalld, if that is there."""

    def __init__(self) -> None:
        self._bridges: set[str] = set()
        self._gone: set[str] = set()
        self._lock = threading.Lock()
        self._thread = ThreadPoolExecutor(1, "firewalld")
        self._pending = False
        self._bus: Bus | None = None
        self._closed = False

    def admit(self, bridge: str) -> None:
        """Have a bridge in the zone from now on."""
        self.expect(bridge)
        self.renew()

    def expect(self, bridge: str) -> None:
        """Have a bridge in the zone from the next `renew` on."""
        with self._lock:
            self._bridges.add(bridge)
            self._gone.discard(bridge)

    def forget(self, bridge: str) -> None:
        """A bridge goes, and out of the zone, unless that is written in firewalld's configuration."""
        with self._lock:
            self._bridges.discard(bridge)
            self._gone.add(bridge)
        self.renew()

    def renew(self) -> None:
        """Firewalld may have begun anew: tell it again, soon. What it knows already changes nothing there."""
        with self._lock:
            if self._pending or self._closed:
                return
            self._pending = True
            self._thread.submit(self._tell)

    def settle(self) -> None:
        """Wait until all that was said before is told, or cannot be."""
        self._thread.submit(lambda: None).result()

    def close(self) -> None:
        """Tell nothing any more. Idempotent."""
        with self._lock:
            self._closed = True
            bus = self._bus
        if bus is not None:
            bus.close()
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _tell(self) -> None:
        with self._lock:
            self._pending = False
            bridges, gone = sorted(self._bridges), sorted(self._gone)
            self._gone.clear()
        try:
            self._change(bridges, gone)
        except BusError as error:
            if not self._closed and not str(error).startswith(_ABSENT):
                _log.warning("firewalld: containers may not reach the outside: %s", error)

    def _change(self, bridges: list[str], gone: list[str]) -> None:
        bus = Bus(_SECONDS)
        with self._lock:
            self._bus = bus
            closed = self._closed
        try:
            for bridge in [] if closed else bridges:
                self._add(bus, bridge)
            for bridge in [] if closed else gone:
                self._remove(bus, bridge)
        finally:
            with self._lock:
                self._bus = None
            bus.close()

    def _add(self, bus: Bus, bridge: str) -> None:
        if not bus.call(Method(_NAME, _PATH, _ZONES, "getZoneOfInterface"), bridge):  # else somebody meant it
            bus.call(Method(_NAME, _PATH, _ZONES, "addInterface"), _ZONE, bridge)
            _log.info("firewalld: %s is in the zone %s", bridge, _ZONE)

    def _remove(self, bus: Bus, bridge: str) -> None:
        if bus.call(Method(_NAME, _PATH, _ZONES, "getZoneOfInterface"), bridge) != _ZONE:
            return
        written = Method(_NAME, f"{_PATH}/config", f"{_NAME}.config", "getZoneOfInterface")
        if not bus.call(written, bridge):
            bus.call(Method(_NAME, _PATH, _ZONES, "removeInterface"), _ZONE, bridge)
