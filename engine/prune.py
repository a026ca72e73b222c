"""What all prunes have in common: the filter by age, and that each kind has one at a time."""

import time
from types import TracebackType

import errdefs
from engine.filters import Filters
from engine.images import moments


class Turn:
    """Held while a prune works; Conflict, in Docker's words, for the second."""

    def __init__(self) -> None:
        self._held = False

    def __enter__(self) -> None:
        if self._held:
            raise errdefs.Conflict("a prune operation is already running")
        self._held = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held = False


def until(filters: Filters) -> int | None:
    """The `until` filter in Unix nanoseconds, None without one; InvalidArgument for what is no point in time."""
    values = filters.values("until")
    if len(values) > 1:
        raise errdefs.InvalidArgument("more than one until filter specified")
    return moments.parse(values[0], time.time_ns()) if values else None
