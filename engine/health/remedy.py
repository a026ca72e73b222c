"""Restarting containers that have become unhealthy, where their create request asked for it by a label."""

import logging

import msgspec

import errdefs
from engine import faults
from engine.containers.announce import Announcer
from engine.containers.container import Container
from engine.containers.live import Live, Lives
from engine.containers.own_labels import ON_UNHEALTHY, RESTART
from engine.containers.stop import stop
from engine.containers.store import ContainerStore

_log = logging.getLogger(__name__)


class Remedy:
    """Stops such a container as `docker stop` does; its end, being noted as an ailing one's, leads to a start."""

    def __init__(self, store: ContainerStore, lives: Lives, announcer: Announcer) -> None:
        self._store = store
        self._lives = lives
        self._announcer = announcer

    def unhealthy(self, container: Container) -> None:
        """A container is unhealthy, as its latest probe said once more."""
        live = self._lives.of(container.id)
        if container.own_labels.get(ON_UNHEALTHY) != RESTART or live.ailing:
            return
        live.ailing = True
        self._lives.spawn(self._restart(container.id, live), f"restart {container.id[:12]}")

    async def _restart(self, container_id: str, live: Live) -> None:
        async with live.lock:
            container = self._store.find(container_id)
            meant_to_end = live.removing or live.restarting_by_user
            if container is None or not container.running or container.stopped_by_user or meant_to_end:
                live.ailing = False
                return
            # Should the daemon die meanwhile, the next one starts it.
            await self._store.save_run(msgspec.structs.replace(container, restart_wanted=True), durable=True)
            faults.hit("unhealthy.marked")
        _log.warning("container %s is unhealthy: it is restarted", container_id[:12])
        try:
            await stop(container, live, self._announcer)
        except errdefs.WherryError as error:
            live.ailing = False  # it still runs, and the next probe that fails leads here again
            _log.error("container %s: restart of an unhealthy one: %s", container_id[:12], error)
