"""Layers written and digested at the same time, so that nobody has to read them for that."""

import hashlib
import os
from queue import SimpleQueue
from threading import Thread
from typing import Any, NamedTuple

from errdefs import SystemFailure
from runtime.layers import confine
from runtime.layers.growing import grown
from runtime.layers.packer import Packer
from runtime.writeback import Ahead

_BUFFER = 1 << 18


class Packed(NamedTuple):
    """What was written. `ambiguous`: whoever unpacks it gets other files than it was made of."""

    digest: str
    size: int
    ambiguous: bool


def pack_layer(upper: int, out: int) -> Packed:
    """Write the layer of an overlay's upper directory, open at `upper`, which nobody changes, to a file.

    The directory becomes the process's root for good, see runtime.layers.confine. SystemFailure for the host's faults.
    """
    try:
        confine.enter(upper)
        packer = DigestingPacker(out, whiteouts=True)
        packer.tree("/")
        packer.end()
    except OSError as error:
        raise SystemFailure(f"cannot archive: {error.strerror}") from error
    return packer.packed()


class _Digest:
    """A thread makes it while the caller reads and writes: the sha256 of bytes, taken in order."""

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


class DigestingPacker(Packer):
    """One that writes to a file and digests what it writes.

    While a thread digests what is large, it is written and the next of it is read.
    """

    def __init__(self, out: int, *, tell: int = -1, **options: Any) -> None:
        """Options as Packer's. Whoever follows the file is told by the pipe `tell` that there is more."""
        super().__init__(out, **options)
        self._tell = tell
        self._digest = _Digest()
        self._size = 0
        self._ahead = Ahead(out)
        self._buffer, self._other = bytearray(_BUFFER), bytearray(_BUFFER)

    def packed(self) -> Packed:
        """What was written up to now."""
        return Packed(f"sha256:{self._digest.hexdigest()}", self._size, self.ambiguous)

    def flush(self) -> None:
        """See Packer."""
        for piece in self._pending:
            self._digest.update(piece)
            self._size += len(piece)
        super().flush()
        self._written()

    def _send(self, fd: int, count: int) -> int:
        self._buffer, self._other = self._other, self._buffer  # of which the thread may still have this one
        view = memoryview(self._buffer)[:count]
        view = view[: os.readv(fd, [view])]
        self._digest.follow(view)
        self._size += len(view)
        left = view
        while left:
            left = left[os.write(self._out, left) :]
        self._written()
        return len(view)

    def _written(self) -> None:
        """Tell the disk and the other one."""
        self._ahead.reached(self._size)
        if self._tell >= 0:
            grown(self._tell)
