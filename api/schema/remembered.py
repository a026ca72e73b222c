"""What was made of values that never change, held for as long as the values are there."""

import weakref
from collections import OrderedDict
from functools import partial
from typing import Generic, TypeVar

T = TypeVar("T")


class Remembered(Generic[T]):
    """One thing for each value, for `most` values at a time: the first that came goes first.

    What a client made as large as he liked is not held beyond its container.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: OrderedDict[int, tuple[weakref.ref[object], T]] = OrderedDict()

    def __len__(self) -> int:
        """How many are remembered."""
        return len(self._known)

    def of(self, value: object) -> T | None:
        """What was made of this very value, not of one like it."""
        known = self._known.get(id(value))
        return known[1] if known is not None and known[0]() is value else None

    def keep(self, value: object, made: T) -> None:
        """Remember what was made. The value's kind is one that can be held weakly."""
        key = id(value)
        self._known[key] = weakref.ref(value, partial(self._forget, key)), made
        if len(self._known) > self._most:
            self._known.popitem(last=False)

    def _forget(self, key: int, gone: "weakref.ref[object]") -> None:
        """The value has gone; another one may be at its address by now."""
        if (known := self._known.get(key)) is not None and known[0] is gone:
            del self._known[key]
