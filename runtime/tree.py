"""Trees of files that others made: walked, measured and removed without following a link.

Whoever filled such a tree may have nested it deeper than any path or any recursion reaches, so we go by
directory descriptors, one name at a time, and hold no more than a few of them whatever the depth. All of
it blocks.
"""

import errno
import os
import stat
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from errdefs import Conflict

if TYPE_CHECKING:  # workers that unpack start without it in half the time
    from pathlib import Path

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_HELD = 16  # directories above a cursor whose descriptors it holds
_BATCH = 256  # directories that are handed out at once, so that few are remembered of however many there are


class Move(Enum):
    """What a step of a walk does."""

    OBJECT = "object"  # not a directory
    ENTER = "enter"
    LEAVE = "leave"


class Step(NamedTuple):
    """One step: the object `name` in the directory `dir_fd`, which is valid until the next step."""

    move: Move
    dir_fd: int
    name: str
    stat: os.stat_result


class Cursor:
    """A place in a tree, held by its descriptor and those of the directories next above, wherever these are moved.

    Further above `up` proves that it came back to where `down` started.
    """

    def __init__(self, root: "Path | str | int", *, held: int = _HELD) -> None:
        """Stand at `root`, for which a descriptor may stand, which stays the caller's.

        `held`: how many directories above are held by descriptors.
        """
        self.fd = (
            os.open(".", _DIRECTORY, dir_fd=root) if isinstance(root, int) else os.open(root, _DIRECTORY)
        )
        self._above: list[tuple[int, int]] = []
        self._max_held = held
        self._held: deque[int] = deque()  # the last of those above

    def down(self, name: str) -> None:
        """Go into a directory; OSError when it is none."""
        below = os.open(name, _DIRECTORY, dir_fd=self.fd)
        here = os.fstat(self.fd)
        self._above.append((here.st_dev, here.st_ino))
        self._held.append(self.fd)
        self.fd = below
        if len(self._held) > self._max_held:
            os.close(self._held.popleft())

    def up(self) -> None:
        """Go back; Conflict when a directory deep below was moved away meanwhile."""
        above = self._held.pop() if self._held else os.open("..", _DIRECTORY, dir_fd=self.fd)
        os.close(self.fd)
        self.fd = above
        here = os.fstat(self.fd)
        if self._above.pop() != (here.st_dev, here.st_ino):
            raise Conflict("a directory was moved while its tree was read")

    def close(self) -> None:
        """Let go of the descriptors."""
        for fd in (self.fd, *self._held):
            os.close(fd)
        self._held.clear()


def walk(root: "Path | str", into: Callable[[str], bool] | None = None) -> Iterator[Step]:
    """Yield all below `root`: a directory's ENTER, what is in it, its LEAVE. What vanishes is left out.

    So is what is in directories that `into` does not want by their path ("/etc").
    """
    cursor = Cursor(root)
    try:
        pending = [iter(sorted(os.listdir(cursor.fd)))]
        entered: list[tuple[str, os.stat_result]] = []
        while True:
            name = next(pending[-1], None)
            if name is not None:
                yield from _visit(cursor, name, pending, entered, into)
                continue
            pending.pop()
            if not pending:
                return
            cursor.up()
            yield Step(Move.LEAVE, cursor.fd, *entered.pop())
    finally:
        cursor.close()


def _visit(
    cursor: Cursor,
    name: str,
    pending: list[Iterator[str]],
    entered: list[tuple[str, os.stat_result]],
    into: Callable[[str], bool] | None,
) -> Iterator[Step]:
    try:
        found = os.stat(name, dir_fd=cursor.fd, follow_symlinks=False)
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(found.st_mode):
        yield Step(Move.OBJECT, cursor.fd, name, found)
        return
    yield Step(Move.ENTER, cursor.fd, name, found)
    wanted = into is None or into("/" + "/".join([*(above for above, _ in entered), name]))
    try:
        if wanted:
            cursor.down(name)
    except (FileNotFoundError, NotADirectoryError):
        wanted = False
    if not wanted:
        yield Step(Move.LEAVE, cursor.fd, name, found)
        return
    entered.append((name, found))
    pending.append(iter(sorted(os.listdir(cursor.fd))))


Each = Callable[[Callable[[str], list[str]], list[str]], Iterable[list[str]]]
"""How a function is called with each of some names: `map`, or that of an executor."""


def remove(root: "Path | str", each: Each = map) -> None:
    """Remove a tree, however deep; nothing when it is not there.

    Directories that are not empty are moved up into `root` first, so no more than two levels are open for each
    that is removed at the same time.
    """
    try:
        top = os.open(root, _DIRECTORY)
    except FileNotFoundError:
        return
    try:
        remaining = _clear(top, top)
        while remaining:
            some, remaining = remaining[-_BATCH:], remaining[:-_BATCH]
            remaining += chain.from_iterable(each(partial(_remove_below, top), some))
    finally:
        os.close(top)
    os.rmdir(root)


def _remove_below(top: int, name: str) -> list[str]:
    """Remove a directory of `top`; the names of what is to be removed after it, as in `top`."""
    below = os.open(name, _DIRECTORY, dir_fd=top)
    try:
        left = _clear(below, top)
    finally:
        os.close(below)
    os.rmdir(name, dir_fd=top)
    return left


def _clear(directory: int, top: int) -> list[str]:
    """Empty a directory but for what must be cleared first; return the names of that, as in `top`."""
    left = []
    for name in os.listdir(directory):
        try:
            os.unlink(name, dir_fd=directory)
        except IsADirectoryError:
            try:
                os.rmdir(name, dir_fd=directory)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
                left.append(name if directory == top else _move_up(directory, name, top))
    return left


def _move_up(directory: int, name: str, top: int) -> str:
    free = os.urandom(16).hex()
    os.rename(name, free, src_dir_fd=directory, dst_dir_fd=top)
    return free
