"""Who is called what: a zone for each network, and a view of zones for each container. Pure.

A container sees the names of the networks that it is in and no others, each also as `name.network`, and its own links.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from network.dns import message
from network.endpoint import Endpoint

Known = dict[int, tuple[bytes, ...]]
"""The records of a name by their type; empty for a name that is known and has none."""


class Zone(msgspec.Struct, eq=False):
    """The names of one network: of each, the records by the endpoint that gave them."""

    name: bytes | None  # the network's own, on the wire in lower case
    label: str
    names: dict[bytes, dict[str, Known]] = msgspec.field(default_factory=dict)
    views: set[View] = msgspec.field(default_factory=set)

    def add(self, endpoint: Endpoint) -> None:
        """Its names lead to its addresses, and its addresses to its first name."""
        addresses = [each for each in (endpoint.ipv4, endpoint.ipv6) if each]
        if endpoint.names and addresses:
            records = _by_kind(message.address_record(each) for each in addresses)
            for name in endpoint.names:
                self._put(message.encode_name(name), endpoint.id, records)
            target = message.encode_name(f"{endpoint.names[0]}.{self.label}")
            if target is not None:
                pointer: Known = {message.PTR: (message.pointer_record(target),)}
                for address in addresses:
                    self._put(message.reverse_name(address), endpoint.id, pointer)
        self.changed()

    def remove(self, endpoint_id: str) -> None:
        """Forget what an endpoint gave."""
        for name, givers in list(self.names.items()):
            givers.pop(endpoint_id, None)
            if not givers:
                del self.names[name]
        self.changed()

    def find(self, name: bytes) -> Known | None:
        """All records of a name, None for one that is not known."""
        givers = self.names.get(name)
        if givers is None:
            return None
        return _merged(givers.values())

    def changed(self) -> None:
        """Let the views forget what they have put together."""
        for view in self.views:
            view.forget()

    def _put(self, name: bytes | None, endpoint_id: str, records: Known) -> None:
        if name is not None:
            self.names.setdefault(name.lower(), {})[endpoint_id] = records


class _Place(msgspec.Struct):
    """The container's endpoint in one network."""

    endpoint: Endpoint
    zone: Zone
    internal: bool
    links: dict[bytes, bytes]

    def rank(self) -> tuple[int, bool, int, str]:
        """The order in which networks are asked, as Docker's: the one with the default route first."""
        gateways = self.endpoint.leads_out4 + 2 * self.endpoint.leads_out6
        return -self.endpoint.gateway_priority, self.internal, -gateways, self.endpoint.network


class View:
    """What one container may ask for."""

    def __init__(self) -> None:
        self._places: dict[str, _Place] = {}  # by endpoint id
        self._ordered: list[_Place] = []
        self._cache: dict[bytes, Known] = {}
        self.ready: dict[bytes, bytes] = {}
        """Answers by their questions, both without their ids, until something changes: for the server to fill."""

    @property
    def is_external(self) -> bool:
        """Whether a network that is not internal leads out."""
        return any(
            not each.internal and (each.endpoint.leads_out4 or each.endpoint.leads_out6)
            for each in self._ordered
        )

    @property
    def has_ipv6(self) -> bool:
        """Whether there is an IPv6 address."""
        return any(each.endpoint.ipv6 for each in self._ordered)

    def join(self, endpoint: Endpoint, zone: Zone, *, internal: bool) -> None:
        """The container is in a network now."""
        links = {}
        for alias, name in endpoint.links:
            key, target = message.encode_name(alias), message.encode_name(name)
            if key is not None and target is not None:
                links[key.lower()] = target.lower()
        self._places[endpoint.id] = _Place(endpoint, zone, internal, links)
        zone.views.add(self)
        self._reorder()

    def leave(self, endpoint_id: str) -> Zone | None:
        """The container has left; the network's zone, None when it was not in it."""
        place = self._places.pop(endpoint_id, None)
        if place is None:
            return None
        self._reorder()
        if all(each.zone is not place.zone for each in self._ordered):
            place.zone.views.discard(self)
        return place.zone

    def endpoints(self) -> list[str]:
        """Ids of the endpoints that joined."""
        return list(self._places)

    def forget(self) -> None:
        """Put answers together anew: a network has changed."""
        self._cache.clear()
        self.ready.clear()

    def find(self, name: bytes) -> Known | None:
        """The records of a name (on the wire, lower case); None for one that is none of ours."""
        known = self._cache.get(name)
        if known is None:
            known = self._search(name)
            if known is not None:  # so there are never more than there are names
                self._cache[name] = known
        return known

    def _search(self, name: bytes) -> Known | None:
        known = self._in_networks(name, self._ordered)
        if known is not None:
            return known
        for front, back in message.splits(name):
            known = self._in_networks(front, [each for each in self._ordered if each.zone.name == back])
            if known is not None:
                return known
        return None

    def _in_networks(self, name: bytes, places: list[_Place]) -> Known | None:
        """Of each type, the records of the first network that has some; links go before names."""
        linked = [each.zone.find(each.links[name]) for each in places if name in each.links]
        named = [each.zone.find(name) for each in places if name not in each.links]
        for found in (linked, named):
            present = [each for each in found if each is not None]
            if present:
                known: Known = {}
                for each in reversed(present):
                    known |= each
                return known
        return None

    def _reorder(self) -> None:
        self._ordered = sorted(self._places.values(), key=_Place.rank)
        self.forget()


def _by_kind(records: Iterable[tuple[int, bytes]]) -> Known:
    known: Known = {}
    for kind, record in records:
        known[kind] = (*known.get(kind, ()), record)
    return known


def _merged(parts: Iterable[Known]) -> Known:
    merged: dict[int, dict[bytes, None]] = {}
    for part in parts:
        for kind, records in part.items():
            merged.setdefault(kind, {}).update(dict.fromkeys(records))
    return {kind: tuple(records) for kind, records in merged.items()}
