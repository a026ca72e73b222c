"""Memory that answers took goes back to the kernel a few seconds later.

The allocator keeps what is freed: 2 to 3 MB after an image was loaded, imported or saved. To give it back takes 0.1 to
0.3 ms, and next to nothing where there is nothing. Garbage is looked for before, some milliseconds as long as what was
there at the start is frozen: a failure holds on to what it was about, which of hostile images is 10 MB and more.
"""

import asyncio
import gc

from runtime.shim import libc

_DELAY = 5.0  # seconds, for all that is answered meanwhile


class Trimming:
    """The one timer."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None

    def soon(self) -> None:
        """Something was answered."""
        if self._timer is None:
            self._timer = self._loop.call_later(_DELAY, self._trim)

    def close(self) -> None:
        """Not any more. Idempotent."""
        if self._timer is not None:
            self._timer.cancel()

    def _trim(self) -> None:
        self._timer = None
        gc.collect()
        libc.trim()
