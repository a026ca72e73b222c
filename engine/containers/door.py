"""What all doors to containers have: the parts of the engine, and containers under their locks."""

import errdefs
from engine.containers.announce import Announcer
from engine.containers.container import Container
from engine.containers.live import Live, Lives
from engine.containers.machinery import Machinery
from engine.containers.store import ContainerStore
from engine.containers.watch import Watcher
from engine.images.images import Images


class Door:
    """The parts that verbs work with; a verb finds its container by `_locked`."""

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
