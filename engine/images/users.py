"""The containers of images: those that there are, and those that are being made."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol

import msgspec


class User(Protocol):
    """A container, as far as an image cares."""

    @property
    def id(self) -> str:
        """Its id."""

    @property
    def running(self) -> bool:
        """Whether a process of it exists."""


Users = Callable[[str], Iterable[User]]
"""The containers of an image, by its id."""


class _Coming(msgspec.Struct, frozen=True):
    """A container that is being made."""

    id: str
    running: bool = False


class AllUsers:
    """`Users` that tell of those that are being made, too."""

    def __init__(self, users: Users) -> None:
        self._users = users
        self._coming: list[tuple[str, _Coming]] = []

    def __call__(self, image_id: str) -> list[User]:
        """All of them."""
        coming = [container for image, container in self._coming if image == image_id]
        return [*self._users(image_id), *coming]

    @contextmanager
    def coming(self, image_id: str, container_id: str) -> Iterator[None]:
        """A container of the image is being made within the block."""
        one = (image_id, _Coming(container_id))
        self._coming.append(one)
        try:
            yield
        finally:
            self._coming.remove(one)
