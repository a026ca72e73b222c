"""An image for oneself, by a name that may mean another one by the time that one has it."""

from collections.abc import Callable

from engine.images.image import Image
from engine.images.store import ImageStore


class Locked:
    """The lock of the image that `find` finds by a name; entered, the image as it is then."""

    def __init__(self, find: Callable[[], Image], store: ImageStore) -> None:
        self._find = find
        self._store = store

    async def __aenter__(self) -> Image:
        """Wait for it; whatever `find` raises is raised."""
        image = self._find()
        while True:
            self._lock = self._store.lock(image.id)
            await self._lock.acquire()
            try:
                found = self._find()
            except BaseException:
                self._lock.release()
                raise
            if found.id == image.id:
                return found
            self._lock.release()  # the name went to another one meanwhile
            image = found

    async def __aexit__(self, *error: object) -> None:
        """Let it go."""
        self._lock.release()
