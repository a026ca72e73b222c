"""What the records of a store refer to, found out again only when that has changed."""

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Generic, TypeVar

T = TypeVar("T")
Names = Callable[[T], Iterable[str]]


class Needed(Generic[T]):
    """Layers and blobs of all records."""

    def __init__(self, records: Callable[[], Iterable[T]], layers: Names[T], blobs: Names[T]) -> None:
        """`records` gives them as they are now, the others what one of them refers to."""
        self._records = records
        self._layers = layers
        self._blobs = blobs

    @cached_property
    def layers(self) -> set[str]:
        """Chain ids; not to be changed."""
        return {name for record in self._records() for name in self._layers(record)}

    @cached_property
    def blobs(self) -> set[str]:
        """Digests; not to be changed."""
        return {name for record in self._records() for name in self._blobs(record)}

    def changed(self) -> None:
        """A record came, went, or refers to something else."""
        vars(self).pop("layers", None)
        vars(self).pop("blobs", None)
