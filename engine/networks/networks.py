"""The door to networks: finds, makes and removes them, under a lock for each name."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from weakref import WeakValueDictionary

import errdefs
from engine.database import Database
from engine.events import Events
from engine.filters import Filters
from engine.networks import create, predefined, remove
from engine.networks.create import CreateRequest, DefaultOptions
from engine.networks.find import find
from engine.networks.remove import User
from engine.networks.select import select
from engine.networks.store import NetworkStore
from engine.undo import Undo
from network.controller import Controller
from network.drivers.driver import NetworkInfo

_log = logging.getLogger(__name__)

Users = Callable[[], Iterable[User]]
"""The endpoints of all running containers."""


class Networks:
    """All networks, the predefined ones among them. Who uses one is derived from the containers, never counted.

    A container that is being attached holds its network until its record tells.
    """

    def __init__(
        self,
        controller: Controller,
        store: NetworkStore,
        events: Events,
        users: Users,
        defaults: DefaultOptions | None = None,
    ) -> None:
        self._controller = controller
        self._store = store
        self._events = events
        self._users = users
        self._defaults = defaults
        self._held: list[User] = []
        self._going: set[str] = set()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @classmethod
    async def open(
        cls,
        database: Database,
        controller: Controller,
        events: Events,
        users: Users,
        defaults: DefaultOptions | None = None,
    ) -> "Networks":
        """Read the records and have each network made again; no container must be adopted yet.

        One that cannot be made again is kept and listed: it can be removed, or comes back when its subnet is free.
        """
        store = NetworkStore(database)
        await store.load()
        networks = cls(controller, store, events, users, defaults)
        await asyncio.gather(*map(networks._restore_at_boot, store.all()))
        return networks

    def all(self) -> list[NetworkInfo]:
        """Every network there is: the predefined ones, then the others in the order in which they were made."""
        builtin = [each for each in self._controller.networks() if each.name in predefined.NAMES]
        return builtin + self._store.all()

    def find(self, reference: str) -> NetworkInfo:
        """A network by ID, else by name, else by a prefix of the ID that one network alone has.

        NotFound and InvalidArgument (ambiguous) in Docker's words.
        """
        return find(self.all(), reference)

    def list(self, filters: Filters) -> list[NetworkInfo]:
        """The networks that pass the filters; InvalidArgument for filters that mean nothing."""
        return select(self.all(), filters, {user.network_id for user in self._in_use()})

    @contextmanager
    def hold(self, network: NetworkInfo, container_id: str, name: str) -> Iterator[None]:
        """Keep a network from being removed while a container is attached to it, until its record tells.

        NotFound when its removal is under way.
        """
        if network.id in self._going:
            raise errdefs.NotFound(f"network {network.name} not found")
        user = User(network.id, container_id, name)
        self._held.append(user)
        try:
            yield
        finally:
            self._held.remove(user)

    async def create(self, request: CreateRequest) -> NetworkInfo:
        """Make a network, durably, or nothing at all. Raises errdefs in Docker's words."""
        async with self._locked(request.name):
            wanted = create.compose(request, self.all(), self._defaults)
            async with Undo("network_create", create.STEPS) as undo:
                made = wanted if wanted.config_only else await self._controller.create_network(wanted)
                undo.step("made", partial(self._controller.remove_network, made.id))
                await self._store.add(made)
                undo.step("recorded", partial(self._store.delete, made.id))
                await self._tell(made, "create")
                undo.done()
        return made

    async def remove(self, reference: str) -> None:
        """Remove a network that no running container is in. NotFound, Forbidden for one that is used or predefined."""
        network = self.find(reference)
        async with self._locked(network.name):
            if all(each.id != network.id for each in self.all()):
                raise errdefs.NotFound(f"network {reference} not found")
            remove.require_removable(network, self.all(), self._in_use())
            self._going.add(network.id)
            try:
                await self._remove(network)
            finally:
                self._going.discard(network.id)

    async def _remove(self, network: NetworkInfo) -> None:
        async with Undo("network_remove", remove.STEPS) as undo:
            await self._controller.remove_network(network.id)
            undo.step("unmade", partial(self._restore, network))
            await self._store.delete(network.id)
            undo.step("forgotten")
            undo.done()
        if not network.config_only:
            await self._tell(network, "destroy")

    async def _restore_at_boot(self, network: NetworkInfo) -> None:
        """All are asked for at once, so that the network's thread goes through them without waiting for the loop."""
        try:
            await self._restore(network)
        except (errdefs.WherryError, OSError) as error:
            _log.error("network %s: %s", network.name, error)

    async def _restore(self, network: NetworkInfo) -> None:
        if not network.config_only:
            await self._controller.restore_network(network)

    def _in_use(self) -> Iterable[User]:
        return [*self._users(), *self._held]

    def _locked(self, name: str) -> asyncio.Lock:
        return self._locks.setdefault(name, asyncio.Lock())

    async def _tell(self, network: NetworkInfo, action: str) -> None:
        await self._events.publish(
            "network", action, network.id, {"name": network.name, "type": network.driver}
        )
