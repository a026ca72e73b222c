"""The door to containers: finds them, takes their lock, and calls the verb."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from signal import SIGKILL

import msgspec

import errdefs
from engine import faults, names
from engine.containers import donors, linked, networking
from engine.containers import list as listing
from engine.containers import wait as waiting
from engine.containers.announce import Announcer
from engine.containers.attach import Attachment, AttachRequest
from engine.containers.attaching import attach
from engine.containers.config import ContainerConfig, EndpointConfig, HostConfig, NetworkingConfig
from engine.containers.connect import connect
from engine.containers.container import Container
from engine.containers.create import Created, choose_name, create, prepare
from engine.containers.disconnect import disconnect
from engine.containers.failure import failed
from engine.containers.files import tell_parents
from engine.containers.group import on_group
from engine.containers.kill import kill, means_end
from engine.containers.live import Live, Lives
from engine.containers.machinery import Machinery
from engine.containers.remove import remove
from engine.containers.signals import parse_signal
from engine.containers.start import start
from engine.containers.starting import PATIENCE
from engine.containers.state import Action, Status, refusal
from engine.containers.stop import await_end, kill_for_good, patience, stop
from engine.containers.store import ContainerStore
from engine.containers.top import Top, top
from engine.containers.unlink import split, unlink
from engine.containers.watch import Watcher
from engine.images import platforms
from engine.images.images import Images
from engine.logs.reader import LogQuery, read
from runtime import cgroups

_replace = msgspec.structs.replace


def _allocating(name: str, store: ContainerStore) -> AbstractContextManager[object]:
    """Hold another name for a container; what is wrong with it is told as Docker tells it."""
    try:
        names.require_valid(f"/{name}")
        with ExitStack() as stack:
            stack.enter_context(store.reserving(name))
            return stack.pop_all()
    except (errdefs.InvalidArgument, errdefs.Conflict) as error:
        raise type(error)(f"Error when allocating new name: {error.message}") from error


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes: of the container's own changes, and of its whole root."""

    rw: int
    rootfs: int


class Containers:
    """All containers. Records that it hands out are values: they show one moment and are not to be changed."""

    def __init__(
        self,
        machinery: Machinery,
        store: ContainerStore,
        lives: Lives,
        announcer: Announcer,
        watcher: Watcher,
        images: Images,
    ) -> None:
        self._machinery = machinery
        self._store = store
        self._lives = lives
        self._announcer = announcer
        self._watcher = watcher
        self._images = images

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
            usage = await self._machinery.snapshots.usage(container.snapshot)
        except errdefs.WherryError:
            now = self._store.find(container.id)
            if now is not None and now.state.status not in (Status.REMOVING, Status.DEAD):
                raise
            return Sizes(0, 0)
        try:
            image = self._images.get(container.image_id).size if container.image_id else 0
        except errdefs.NotFound:
            image = 0
        return Sizes(usage.size, usage.size + image)

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
        with self._store.reserving(name):
            async with self._images.taken(image, container.id):
                container = _replace(container, name=name)
                container = await create(container, image, self._machinery, self._store)
        await self._announcer.tell(container, "create")
        if image is not None and not platform:
            warnings = [*warnings, *platforms.warning(image.platform)]
        return Created(container.id, warnings)

    async def start(self, reference: str) -> None:
        """Start a container; NotModified if it runs."""
        async with self._locked(reference) as (container, live):
            container.require(Action.START)
            if live.removing:  # else a removal by force would have to win against every start
                raise refusal(Action.START, Status.REMOVING, container.id, container.name)
            live.cancel_timer()
            live.last_delay = 0.0
            container = _replace(container, stopped_by_user=False, restart_wanted=False, restart_count=0)
            await self._start(container, live)

    async def _start(self, container: Container, live: Live) -> None:
        try:
            running = await start(container, live, self._machinery, self._store)
        except errdefs.WherryError as error:
            await self._start_failed(failed(container, error, live.got), live)
            raise
        await self._watcher.started(running, live)

    async def _start_failed(self, container: Container, live: Live) -> None:
        """The record tells why; the clients that were parked are let go; `--rm` still means it."""
        live.let_go()
        await self._store.save_run(container)
        await self._watcher.given_back(live)
        live.waits.ended(container.state.exit_code)
        if container.host_config.auto_remove and not live.restarting_by_user:
            await remove(container, self._machinery, self._store, volumes=True)
            await self._watcher.removed(container, live)

    async def stop(self, reference: str, *, signal: str = "", timeout: int | None = None) -> None:
        """Stop a container, with patience in seconds before SIGKILL; NotModified if it does not run."""
        container = self._store.get(reference)
        if self._lives.of(container.id).starting is None:
            container.require(Action.STOP)
        if signal:
            parse_signal(signal)
        seconds = patience(container, timeout)  # of which a start gets some, even if a run gets none
        await self._end_start(container.id, None if seconds is None else max(seconds, PATIENCE))
        container = self._store.get(container.id)
        container.require(Action.STOP)
        container, live = await self._meant_to_end(container.id, Action.STOP)
        if container.running:
            await stop(container, live, self._announcer, signal_name=signal, timeout=timeout)
        await self._announcer.tell(container, "stop")

    async def _meant_to_end(self, reference: str, action: Action) -> tuple[Container, Live]:
        """The container, from now on marked as stopped by a user; a pending restart is called off."""
        async with self._locked(reference) as (container, live):
            container.require(action)
            container = _replace(container, stopped_by_user=True)
            container = _replace(container, restart_wanted=live.restarting_by_user > 0)
            container = await self._call_off(container, live)
        return container, live

    async def _end_start(self, container_id: str, seconds: float | None) -> bool:
        """Let a start that is under way come to its end for so long; whether it had to be called off."""
        starting = self._lives.of(container_id).starting
        return starting is not None and await starting.settle(seconds)

    async def _call_off(self, container: Container, live: Live) -> Container:
        """Save that the container is meant to end; a pending restart will not be. The lock is held."""
        live.cancel_timer()
        if container.state.status is Status.RESTARTING:
            container = _replace(container, state=_replace(container.state, status=Status.EXITED))
        await self._store.save_run(container, durable=True)
        faults.hit("stop.marked")
        if not container.running:
            live.waits.ended(container.state.exit_code)
        return container

    async def restart(self, reference: str, *, signal: str = "", timeout: int | None = None) -> None:
        """Stop a container if it runs, and start it."""
        container = self._store.get(reference)
        live = self._lives.of(container.id)
        live.restarting_by_user += 1
        try:
            if container.running or container.state.status is Status.RESTARTING:
                await self.stop(container.id, signal=signal, timeout=timeout)
                faults.hit("restart.stopped")
            await self.start(container.id)
        finally:
            live.restarting_by_user -= 1
        await self._announcer.tell(self._store.get(container.id), "restart")

    async def kill(self, reference: str, signal: str = "") -> None:
        """Send a signal; Conflict if the container does not run. SIGKILL, the default, waits for the end."""
        number = parse_signal(signal or "SIGKILL")
        if number == SIGKILL and await self._end_start(self._store.get(reference).id, PATIENCE):
            return
        async with self._locked(reference) as (container, live):
            if not container.running and container.state.status is not Status.RESTARTING:
                raise errdefs.Conflict(
                    f"cannot kill container: {reference}: container {container.id} is not running"
                )
            if means_end(container, number):
                container = await self._call_off(_replace(container, stopped_by_user=True), live)
            task = live.task
            await kill(container, live, self._announcer, number)
        if number == SIGKILL:
            await await_end(container, live, task)

    async def pause(self, reference: str) -> None:
        """Freeze every process of a running container."""
        await self._freeze(reference, Action.PAUSE, Status.PAUSED)

    async def unpause(self, reference: str) -> None:
        """Let a frozen container go on."""
        await self._freeze(reference, Action.UNPAUSE, Status.RUNNING)

    async def _freeze(self, reference: str, action: Action, status: Status) -> None:
        async with self._locked(reference) as (container, _):
            container.require(action)
            act = cgroups.freeze if action is Action.PAUSE else cgroups.thaw
            await on_group(act, container)
            faults.hit("pause.frozen")
            state = _replace(container.state, status=status)
            await self._store.save_run(_replace(container, state=state, to_go_on=False))
        await self._announcer.tell(container, action.value)

    async def rename(self, reference: str, name: str) -> None:
        """Give a container another name."""
        if not name:
            raise errdefs.InvalidArgument("Neither old nor new names may be empty")
        async with self._locked(reference) as (container, _):
            name = name.removeprefix("/")
            if name == container.name:
                raise errdefs.InvalidArgument("Renaming a container with the same name as its current name")
            with _allocating(name, self._store):
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

    async def remove(
        self,
        reference: str,
        *,
        force: bool = False,
        volumes: bool = False,
        link: bool = False,
    ) -> None:
        """Remove a container; with `force` also one that runs. Anonymous volumes go with `volumes`.

        With `link` the reference is "parent/alias", and that link alone goes.
        """
        container = self._store.get(reference)
        if link:
            await self._unlink(*split(reference))
            return
        live = self._lives.of(container.id)
        if live.removing:
            raise refusal(Action.REMOVE, Status.REMOVING, container.id, container.name)
        live.removing = True
        try:
            if force:
                await self._end_by_force(container)
            async with self._locked(container.id) as (container, live):
                container.require(Action.REMOVE)
                await remove(container, self._machinery, self._store, volumes=volumes)
        finally:
            live.removing = False
        await self._watcher.removed(container, live)

    async def _unlink(self, parent: str, alias: str) -> None:
        async with self._locked(parent) as (container, _):
            await unlink(container, alias, self._machinery, self._store)

    async def _end_by_force(self, container: Container) -> None:
        if container.state.status is Status.DEAD:  # a removal failed half way: there is nothing to end
            return
        await self._end_start(container.id, PATIENCE)
        try:
            container, live = await self._meant_to_end(container.id, Action.STOP)
        except errdefs.NotModified:
            return
        if container.running:
            await kill_for_good(container, live, self._announcer)

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
        if not container.log_path:
            raise errdefs.Unsupported("configured logging driver does not support reading")
        live = self._lives.of(container.id)
        return read(container.log_path, query, live.ended)

    async def attach(self, reference: str, request: AttachRequest) -> Attachment:
        """A client's hold of a container's stdio, running or about to start."""
        container = self._store.get(reference)
        replay = None
        if request.logs and container.log_path:
            replay = await self.logs(
                container.id,
                LogQuery(stdout=request.stdout, stderr=request.stderr, multiplexed=not container.config.tty),
            )
        attachment = await attach(container, self._lives.of(container.id), request, replay)
        await self._announcer.tell(container, "attach")
        return attachment

    def _locked(self, reference: str) -> "_Locked":
        return _Locked(self._store, self._lives, reference)


class _Locked:
    """A container under its lock, as it is once the lock is held."""

    def __init__(self, store: ContainerStore, lives: Lives, reference: str) -> None:
        self._store = store
        self._id = store.get(reference).id
        self._reference = reference
        self._live = lives.of(self._id)

    async def __aenter__(self) -> tuple[Container, Live]:
        await self._live.lock.acquire()
        container = self._store.find(self._id)
        if container is None:
            self._live.lock.release()
            raise errdefs.NotFound(f"No such container: {self._reference}")
        return container, self._live

    async def __aexit__(self, *_: object) -> None:
        self._live.lock.release()
