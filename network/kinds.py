"""Which kind makes a network: ours by their names, what is called otherwise is a plugin; and so with IPAM drivers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from network.drivers.driver import Kind, NetworkInfo
from network.drivers.leased import LeasedKind
from network.drivers.remote_kind import RemoteKind
from network.held import Held
from network.ipam.remote import RemoteIpam
from network.subnets import DEFAULT_IPAM, Subnets
from network.worker import Worker

_OURS: Final = (*DEFAULT_IPAM, "null")


class Kinds:
    """Finds the kind of a network. The plugins are the daemon's, who closes them before the networks."""

    def __init__(self, ours: Mapping[str, Kind], worker: Worker, held: Held, subnets: Subnets) -> None:
        self._ours = ours
        self._held = held
        self._remote = RemoteKind(held, worker, subnets.complete)

    def __iter__(self) -> Iterator[Kind]:
        return iter(self._ours.values())

    def of(self, info: NetworkInfo) -> Kind:
        """A plugin is looked for when it is first used."""
        kind = self._ours.get(info.driver, self._remote)
        if info.ipam_driver in _OURS:
            return kind
        return LeasedKind(kind, RemoteIpam(self._held, info.ipam_driver))
