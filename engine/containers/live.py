"""What the daemon holds of a container beside its record: the task, its clients and who waits for it."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import msgspec

from engine.containers.attach import Parked
from engine.containers.container import Container
from engine.containers.exec_process import Exec
from engine.containers.starting import Starting
from engine.containers.wait import Waits
from runtime.task import Task


class Live(msgspec.Struct):
    """One container's living half. `lock` is held by whoever changes its record."""

    lock: asyncio.Lock = msgspec.field(default_factory=asyncio.Lock)
    task: Task | None = None
    parked: list[Parked] = msgspec.field(default_factory=list)
    waits: Waits = msgspec.field(default_factory=Waits)
    ended: asyncio.Event = msgspec.field(default_factory=asyncio.Event)
    """Set while no process runs: what follows the log stops then."""
    restarting_by_user: int = 0
    """Restarts that are between their two halves: neither auto-remove nor the restart policy may act."""
    last_delay: float = 0.0
    """Seconds that the restart policy waited the last time."""
    got: Container | None = None
    """What a start that is under way has got so far: its endpoints, and its mounts once they are there."""
    starting: Starting | None = None
    """A start that is under way."""
    removing: bool = False
    """A removal is under way."""
    timer: asyncio.Task[None] | None = None
    """The wait of the restart policy."""
    monitor: asyncio.Task[None] | None = None
    """What probes its health."""
    probe: Exec | None = None
    """What probes it just now."""
    ailing: bool = False
    """It is being ended as it is unhealthy, in order to start again."""
    ailments: int = 0
    """Such ends since it was healthy."""

    def __post_init__(self) -> None:
        self.ended.set()

    def let_go(self) -> None:
        """The clients that wait for a start get none: their output ends."""
        for parked in self.parked:
            parked.close()
        self.parked.clear()

    def forget_gone(self) -> None:
        """Clients that left before the start are not kept."""
        self.parked[:] = [parked for parked in self.parked if not parked.over]

    def cancel_timer(self) -> bool:
        """Call the pending restart off; tells whether there was one."""
        pending = self.timer is not None and not self.timer.done()
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        return pending


class Lives:
    """The living halves by container ID, and the owner of the tasks that watch them."""

    def __init__(self) -> None:
        self._by_id: dict[str, Live] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def of(self, container_id: str) -> Live:
        """The living half of a container, made when first asked for."""
        live = self._by_id.get(container_id)
        if live is None:
            live = self._by_id[container_id] = Live()
        return live

    def forget(self, container_id: str) -> None:
        """The container is gone."""
        self._by_id.pop(container_id, None)

    def probe(self, exec_id: str) -> Exec | None:
        """The probe of that ID, while it runs."""
        running = (live.probe for live in self._by_id.values() if live.probe is not None)
        return next((probe for probe in running if probe.id == exec_id), None)

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run work that belongs to a container until it ends or the daemon closes."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def close(self) -> None:
        """Let go of every container; none of them notices."""
        for live in self._by_id.values():
            live.let_go()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
