"""What containers use: one sampler for everybody who watches.

Once a second it reads each watched container once, all in one go in a thread, and hands the sample to each watch of
that container. It works only while there are watches.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Mapping

import msgspec

import errdefs
from engine.containers.container import Container
from engine.containers.store import ContainerStore
from network import counters
from network.counters import Counters
from runtime.cgroups.stats import Meter, memory_of_machine, read_system_cpu
from runtime.cgroups.usage import Usage

_log = logging.getLogger(__name__)

INTERVAL = 1.0  # seconds
BACKLOG = 8
"""Samples kept for a client that does not read; older ones are dropped."""


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One moment of a container. `usage` is None, and all else empty, while it does not run.

    Times are nanoseconds; `machine_memory` is bytes: what a limit above it means. `interfaces` is by name.
    """

    id: str
    name: str
    read_at: int = 0
    usage: Usage | None = None
    interfaces: Mapping[str, Counters] = msgspec.field(default_factory=dict)
    system_cpu: int = 0
    online_cpus: int = 0
    machine_memory: int = 0


class Watch:
    """The samples of one container, for one client: `async for`. It ends when the container is gone."""

    def __init__(self) -> None:
        self._samples: deque[Sample] = deque(maxlen=BACKLOG)
        self._arrived = asyncio.Event()
        self._over = False

    def put(self, sample: Sample) -> None:
        """Hand a sample on."""
        self._samples.append(sample)
        self._arrived.set()

    def end(self) -> None:
        """No sample follows."""
        self._over = True
        self._arrived.set()

    def __aiter__(self) -> "Watch":
        return self

    async def __anext__(self) -> Sample:
        while not self._samples:
            if self._over:
                raise StopAsyncIteration
            self._arrived.clear()
            await self._arrived.wait()
        return self._samples.popleft()


class Stats:
    """The door to containers' statistics, and the owner of the sampler."""

    def __init__(self, store: ContainerStore, interval: float = INTERVAL) -> None:
        self._store = store
        self._interval = interval
        self._watches: dict[str, set[Watch]] = {}
        self._meters = _Meters()
        self._sampler: asyncio.Task[None] | None = None
        self._closed = False

    def watch(self, reference: str) -> Watch:
        """Samples from now on, each tick one; to be given to `unwatch`. NotFound when there is no such container."""
        container = self._store.get(reference)
        watch = Watch()
        if self._closed:
            watch.end()
            return watch
        self._watches.setdefault(container.id, set()).add(watch)
        if self._sampler is None:
            self._sampler = asyncio.get_running_loop().create_task(self._run(), name="stats")
        return watch

    def unwatch(self, reference: str, watch: Watch) -> None:
        """The client has gone. `reference` is the container's ID."""
        watches = self._watches.get(reference, set())
        watches.discard(watch)
        if not watches:
            self._watches.pop(reference, None)

    async def once(self, reference: str) -> Sample:
        """One sample, now."""
        container = self._store.get(reference)
        meters = _Meters()
        try:
            (sample,) = await asyncio.to_thread(meters.read, [container])
        finally:
            meters.close()
        return sample

    async def close(self) -> None:
        """End every watch."""
        self._closed = True
        for container_id in tuple(self._watches):
            self._end(container_id)
        if self._sampler is not None:
            self._sampler.cancel()
            await asyncio.gather(self._sampler, return_exceptions=True)

    async def _run(self) -> None:
        due = time.monotonic()
        try:
            while self._watches:
                await self._tick()
                due = max(due + self._interval, time.monotonic())
                await asyncio.sleep(due - time.monotonic())
        except Exception:  # noqa: BLE001 - the top frame of the sampler
            _log.exception("statistics end: nobody who watches is told more")
            for container_id in tuple(self._watches):
                self._end(container_id)
        finally:
            self._sampler = None
            self._meters.close()

    async def _tick(self) -> None:
        containers = []
        for container_id in tuple(self._watches):
            container = self._store.find(container_id)
            if container is None:
                self._end(container_id)
            else:
                containers.append(container)
        reading = asyncio.get_running_loop().run_in_executor(None, self._meters.read, containers)
        try:
            samples = await asyncio.shield(reading)
        except OSError as error:  # out of files, say: the next tick may do better
            _log.warning("statistics cannot be read: %s", error)
            return
        except asyncio.CancelledError:
            await asyncio.wait([reading])  # the meters are in use until it is done
            raise
        for sample in samples:
            for watch in self._watches.get(sample.id, ()):
                watch.put(sample)

    def _end(self, container_id: str) -> None:
        for watch in self._watches.pop(container_id, ()):
            watch.end()


class _Meters:
    """The open meters, by container; used by one thread at a time."""

    def __init__(self) -> None:
        self._open: dict[str, tuple[int, Meter]] = {}
        self._machine_memory = 0

    def read(self, containers: list[Container]) -> list[Sample]:
        """A sample of each container. Meters of others, and of runs that are over, are closed."""
        pids = {container.id: container.state.pid for container in containers if container.running}
        for container_id in [each for each, (pid, _) in self._open.items() if pids.get(each) != pid]:
            self._close(container_id)
        self._machine_memory = self._machine_memory or memory_of_machine()
        system = read_system_cpu() if pids else (0, 0)
        return [self._read(container, system) for container in containers]

    def close(self) -> None:
        """Close all."""
        for container_id in tuple(self._open):
            self._close(container_id)

    def _read(self, container: Container, system: tuple[int, int]) -> Sample:
        empty = Sample(id=container.id, name=container.name)
        if not container.running:
            return empty
        pid = container.state.pid
        try:
            if container.id not in self._open:
                self._open[container.id] = (pid, Meter.open(pid))
            usage = self._open[container.id][1].read()
        except errdefs.NotFound:  # it has ended, and its record does not know yet
            return empty
        return Sample(
            id=container.id,
            name=container.name,
            read_at=time.time_ns(),
            usage=usage,
            interfaces={} if container.host_config.network_mode == "host" else counters.read(pid),
            system_cpu=system[0],
            online_cpus=system[1],
            machine_memory=self._machine_memory,
        )

    def _close(self, container_id: str) -> None:
        self._open.pop(container_id)[1].close()
