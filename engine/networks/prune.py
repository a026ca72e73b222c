"""`docker network prune`: the networks that no running container is in go."""

import logging

import errdefs
from engine.events import Events
from engine.filters import Filters
from engine.networks import predefined
from engine.networks.networks import Networks
from engine.prune import Turn, until
from network.drivers.driver import NetworkInfo

_log = logging.getLogger(__name__)

FILTERS = frozenset(("label", "label!", "until"))


class NetworkPrune:
    """The door to it; one at a time."""

    def __init__(self, networks: Networks, events: Events) -> None:
        self._networks = networks
        self._events = events
        self._turn = Turn()

    async def prune(self, filters: Filters) -> list[str]:
        """Remove the unused networks that pass the filters; their names. Config-only ones stay, as in Docker.

        InvalidArgument for filters that mean nothing, Conflict while another prune works.
        """
        with self._turn:
            latest = until(filters)
            gone = [
                network.name
                for network in self._networks.all()
                if _passes(network, filters, latest) and await self._remove(network)
            ]
            await self._events.publish("network", "prune", "", {"reclaimed": "0"})
        return gone

    async def _remove(self, network: NetworkInfo) -> bool:
        try:
            await self._networks.remove(network.id)
        except (errdefs.Forbidden, errdefs.NotFound):
            return False  # it is used, or gone meanwhile
        except errdefs.WherryError as error:
            _log.warning("network %s is not pruned: %s", network.name, error)
            return False
        return True


def _passes(network: NetworkInfo, filters: Filters, latest: int | None) -> bool:
    return (
        network.name not in predefined.NAMES
        and not network.config_only
        and (latest is None or network.created.timestamp() * 1e9 <= latest)
        and filters.labels("label", network.labels)
        and not filters.any_label("label!", network.labels)
    )
