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
_ZONE: Final = "trusted"
_SECONDS: Final = 60.0  # a firewalld that loads its rules answers after it
_ABSENT: Final = ("no message bus", "org.freedesktop.DBus.Error.")  # nobody there, or gone before the answer


class Firewalld:
    """May be called from any thread and never waits: a thread of its own speaks to firewalld, if that is there."""

    def __init__(self) -> None:
        self._bridges: set[str] = set()
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

    def forget(self, bridge: str) -> None:
        """A bridge goes; firewalld forgets it with its next restart."""
        with self._lock:
            self._bridges.discard(bridge)

    def renew(self) -> None:
        """Firewalld may have begun anew: tell it again, soon. What it knows already changes nothing there."""
        with self._lock:
            if self._pending or self._closed:
                return
            self._pending = True
            self._thread.submit(self._tell)

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
            bridges = sorted(self._bridges)
        try:
            self._add(bridges)
        except BusError as error:
            if not self._closed and not str(error).startswith(_ABSENT):
                _log.warning("firewalld: containers may not reach the outside: %s", error)

    def _add(self, bridges: list[str]) -> None:
        bus = Bus(_SECONDS)
        with self._lock:
            self._bus = bus
            closed = self._closed
        try:
            for bridge in [] if closed else bridges:
                self._add_one(bus, bridge)
        finally:
            with self._lock:
                self._bus = None
            bus.close()

    def _add_one(self, bus: Bus, bridge: str) -> None:
        path, zones = "/org/fedoraproject/FirewallD1", f"{_NAME}.zone"
        if not bus.call(Method(_NAME, path, zones, "getZoneOfInterface"), bridge):  # else somebody meant it
            bus.call(Method(_NAME, path, zones, "addInterface"), _ZONE, bridge)
            _log.info("firewalld: %s is in the zone %s", bridge, _ZONE)
