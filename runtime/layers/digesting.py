"""A digest that is made by a thread while the caller reads and writes."""

import hashlib
from queue import SimpleQueue
from threading import Thread


class Digest:
    """The sha256 of bytes, taken in order."""

    def __init__(self) -> None:
        """Of nothing. No thread is there before the first `follow`."""
        self._hash = hashlib.sha256()
        self._wanted: SimpleQueue[memoryview] = SimpleQueue()
        self._done: SimpleQueue[None] = SimpleQueue()
        self._thread: Thread | None = None
        self._behind = False

    def update(self, data: bytes) -> None:
        """Take bytes here and now."""
        self._catch_up()
        self._hash.update(data)

    def follow(self, data: memoryview) -> None:
        """Take bytes meanwhile; they must stay as they are until the next call of anything here returns."""
        self._catch_up()
        if self._thread is None:
            self._thread = Thread(target=self._work, daemon=True)
            self._thread.start()
        self._behind = True
        self._wanted.put(data)

    def hexdigest(self) -> str:
        """That of all that was taken."""
        self._catch_up()
        return self._hash.hexdigest()

    def _catch_up(self) -> None:
        if self._behind:
            self._done.get()
            self._behind = False

    def _work(self) -> None:
        while True:
            self._hash.update(self._wanted.get())
            self._done.put(None)
