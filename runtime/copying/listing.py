"""How directories are listed: whole, or as long as there is little in them."""

import itertools
import os
from collections.abc import Callable

Listing = Callable[[int], list[str]]
"""The names in an open directory, sorted."""


def whole(directory: int) -> list[str]:
    """All of them."""
    return sorted(os.listdir(directory))


class TooMuch(Exception):  # noqa: N818  it is no error
    """There is more than was to be looked at."""


class Little:
    """So many names of directories and so many bytes of files in all; raises TooMuch where there are more."""

    def __init__(self, names: int, size: int) -> None:
        """Nothing was looked at yet."""
        self._names = names
        self._bytes = size

    def __call__(self, directory: int) -> list[str]:
        """See Listing."""
        with os.scandir(directory) as entries:
            names = [entry.name for entry in itertools.islice(entries, self._names + 1)]
        self._names -= len(names)
        if self._names < 0:
            raise TooMuch
        return sorted(names)

    def read(self, size: int) -> None:
        """Count a file."""
        self._bytes -= size
        if self._bytes < 0:
            raise TooMuch
