"""The door to containers: finds them, takes their lock, and calls the verb."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, ExitStack, suppress

import msgspec

import errdefs
from engine import names
from engine.containers import donors, image_mounts, linked, networking
from engine.containers import list as listing
from engine.containers import wait as waiting
from engine.containers.attach import Attachment, AttachRequest
from engine.containers.attaching import attach
from engine.containers.config import ContainerConfig, EndpointConfig, HostConfig, NetworkingConfig
from engine.containers.connect import connect
from engine.containers.container import Container
from engine.containers.create import Created, choose_name, create, prepare
from engine.containers.disconnect import disconnect
from engine.containers.files import tell_parents
from engine.containers.group import on_group
from engine.containers.life import Life
from engine.containers.state import Action, Status
from engine.containers.store import ContainerStore
from engine.containers.top import Top, top
from engine.images import platforms
from engine.logs.reader import LogQuery, read
from runtime import cgroups
from runtime.layers import marks

_replace = msgspec.structs.replace


def _allocating(name: str, identifier: str, store: ContainerStore) -> AbstractContextManager[object]:
    """Hold another name for a container; what is wrong with it is told as Docker tells it."""
    try:
        names.require_valid(f"/{name}")
        with ExitStack() as stack:
            stack.enter_context(store.reserving(name, identifier))
            return stack.pop_all()
    except (errdefs.InvalidArgument, errdefs.Conflict) as error:
        raise type(error)(f"Error when allocating new name: {error.message}") from error


class Sizes(msgspec.Struct, frozen=True):
    """Bytes: of the container's own changes, and of its whole root."""

    rw: int
    rootfs: int


class Containers(Life):
    """All containers. Records that it hands out are values: they show one moment and are not to be changed."""

    def get(self, reference: str) -> Container:
        """A container by name, ID or unique ID prefix; NotFound, or InvalidArgument for an ambiguous prefix."""
        return self._store.get(reference)

    def names(self, container: Container) -> Sequence[str]:
        """What a container goes by: "/name", and "/parent/alias" for each link to it."""
        return self._store.names(container)

    def list(self, query: listing.ListQuery) -> list[Container]:
        """The containers that a query asks for, newest first."""
        query.filters.require_known(listing.ALLOWED)
        before, since = (self._named(query, key) for key in ("before", "since"))
        ancestors = frozenset[str]().union(*map(self._images_of, query.filters.values("ancestor")))
        return listing.select(self._store.all(), query, before, since, ancestors)

    def _named(self, query: listing.ListQuery, key: str) -> Container | None:
        values = query.filters.values(key)
        return self._store.get(values[-1]) if values else None

    def _images_of(self, reference: str) -> frozenset[str]:
        try:
            return frozenset((self._images.get(reference).id,))
        except errdefs.WherryError:
            return frozenset()

    async def size(self, container: Container) -> Sizes:
        """What a container takes of the disk; nothing if it is being removed meanwhile."""
        try:
            snapshots = self._machinery.snapshots
            own = (await snapshots.usage(container.snapshot)).size
            own -= await asyncio.to_thread(marks.size, snapshots.upper(container.snapshot))
        except errdefs.WherryError:
            now = self._store.find(container.id)
            if now is not None and now.state.status not in (Status.REMOVING, Status.DEAD):
                raise
            return Sizes(0, 0)
        try:
            image = self._images.get(container.image_id).size if container.image_id else 0
        except errdefs.NotFound:
            image = 0
        return Sizes(own, own + image)

    async def create(
        self,
        name: str,
        config: ContainerConfig,
        host: HostConfig,
        networks: NetworkingConfig | None,
        *,
        platform: str = "",
        recursive_read_only: bool = True,
    ) -> Created:
        """Make a container; the errors are Docker's, and nothing stays of a create that failed.

        `recursive_read_only` says whether a read-only bind that does not say otherwise covers the mounts below it.
        """
        host = donors.by_id(host, self._store)
        image = None
        if config.image:
            image = self._images.get(config.image)
            self._images.require_platform(image, platform)
        container, warnings = await prepare(
            name,
            config,
            host,
            networks,
            image,
            self._machinery,
            self._store,
            recursive_read_only=recursive_read_only,
        )
        name = choose_name(name, self._store, container.id)
        with self._store.reserving(name, container.id):
            async with AsyncExitStack() as held:
                await held.enter_async_context(self._images.taken(image, container.id))
                for mounted in image_mounts.images_of(container, self._images):
                    await held.enter_async_context(self._images.taken(mounted, container.id))
                container = _replace(container, name=name)
                container = await create(container, image, self._machinery, self._store)
        await self._announcer.tell(container, "create")
        if image is not None and not platform:
            warnings = [*warnings, *platforms.warning(image.platform)]
        return Created(container.id, warnings)

    async def rename(self, reference: str, name: str) -> None:
        """Give a container another name."""
        if not name:
            raise errdefs.InvalidArgument("Neither old nor new names may be empty")
        async with self._locked(reference) as (container, _):
            name = name.removeprefix("/")
            if name == container.name:
                raise errdefs.InvalidArgument("Renaming a container with the same name as its current name")
            with _allocating(name, container.id, self._store):
                renamed = networking.renamed(container, name)
                await self._store.save(renamed)
            networking.tell_names(renamed, self._machinery.network)
        await self._announcer.tell(renamed, "rename", oldName=f"/{container.name}")

    async def connect_network(self, reference: str, network: str, asked: EndpointConfig | None) -> None:
        """Connect a container to a network, also one that runs; the errors are Docker's."""
        async with self._locked(reference) as (container, _):
            info = await connect(container, network, asked or EndpointConfig(), self._machinery, self._store)
            await self._follow_links(container.id)
        if info is not None:
            await self._announcer.place("connect", container, info)

    async def disconnect_network(self, reference: str, network: str, *, force: bool = False) -> None:
        """Disconnect a container from a network, also one that runs; the errors are Docker's.

        With `force` it is told of a container that is gone that it has no endpoint.
        """
        if force:
            self._require_known(reference, network)
        async with self._locked(reference) as (container, _):
            info = await disconnect(container, network, self._machinery, self._store, force=force)
            await self._follow_links(container.id)
        if info is not None:
            await self._announcer.place("disconnect", container, info)

    async def _follow_links(self, container_id: str) -> None:
        container = self._store.find(container_id)
        if container is not None and container.running:
            await tell_parents(container, self._machinery, self._store)
            await linked.follow(container, self._machinery, self._store)

    def _require_known(self, reference: str, network: str) -> None:
        try:
            self._store.get(reference)
        except errdefs.NotFound:
            self._machinery.networks.find(network)
            raise errdefs.NotFound(f"endpoint {reference} not found") from None

    async def wait(self, reference: str, condition: str = "") -> waiting.Waiting:
        """Register for a condition; the result comes from the returned value."""
        container = self._store.get(reference)
        return waiting.wait(container, self._lives.of(container.id).waits, condition)

    async def top(self, reference: str, arguments: str = "") -> Top:
        """The processes of a running container."""
        container = self._store.get(reference)
        container.require(Action.TOP)
        table = await top(await on_group(cgroups.pids, container), arguments)
        await self._announcer.tell(container, "top")
        return table

    async def resize(self, reference: str, height: int, width: int) -> None:
        """Set the terminal's size, in characters; of a container without one it changes nothing, as in Docker."""
        container = self._store.get(reference)
        container.require(Action.RESIZE)
        if (task := self._lives.of(container.id).task) is not None and container.config.tty:
            await task.resize(height, width)
        await self._announcer.tell(container, "resize", height=str(height), width=str(width))

    async def logs(self, reference: str, query: LogQuery) -> AsyncIterator[bytes]:
        """What a container wrote, as the query asks for it; fails before the first byte if it cannot be read."""
        container = self._store.get(reference)
        path = self._machinery.logs.path(container)
        return read(path, query, self._lives.of(container.id).ended)

    async def attach(self, reference: str, request: AttachRequest) -> Attachment:
        """A client's hold of a container's stdio, running or about to start."""
        container = self._store.get(reference)
        replay = None
        if request.logs:
            multiplexed = not container.config.tty
            query = LogQuery(stdout=request.stdout, stderr=request.stderr, multiplexed=multiplexed)
            with suppress(errdefs.Unsupported):  # it has no log that can be read
                replay = await self.logs(container.id, query)
        attachment = await attach(container, self._lives.of(container.id), request, replay)
        await self._announcer.tell(container, "attach")
        return attachment
