"""Which files of a directory are copied: found by patterns, and walked without leaving it.

Whatever is in the directory may have been made to lead out of it: every path is resolved by the kernel with the
directory as the root, and below what was found no link is followed.
"""

import os
import posixpath
import stat
from collections.abc import Iterator
from typing import NamedTuple

from errdefs import InvalidArgument, NotFound
from runtime import globs
from runtime.copying.listing import Listing, whole
from runtime.copying.order import Selection
from runtime.copying.patterns import Patterns, State
from runtime.paths import open_in_root
from runtime.tree import Cursor, Move

_SPECIAL = "*?["
_MAX_LINKS = 40  # as the kernel has it
_LISTED = os.O_RDONLY | os.O_DIRECTORY
_CONTENT = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY


class Found(NamedTuple):
    """A file or directory that is selected by itself: its path, through no pattern any more, and what it is."""

    path: str
    stat: os.stat_result

    @property
    def name(self) -> str:
        """What it is called where it is put, "" for the root."""
        return posixpath.basename(self.path)

    @property
    def is_directory(self) -> bool:
        """Whether it is one, or a link to one."""
        return stat.S_ISDIR(self.stat.st_mode)


class Rules(NamedTuple):
    """Which of the files below a directory are meant; None for all, and for no exception."""

    include: Patterns | None = None
    exclude: Patterns | None = None


class Entry(NamedTuple):
    """A step of a walk: the object `name` in the directory `dir_fd`, which is valid until the next step.

    `wanted` is False for a directory that is passed, since something below it may be wanted. `path` is from where the
    walk began.
    """

    move: Move
    dir_fd: int
    name: str
    path: str
    stat: os.stat_result
    wanted: bool


class Part(NamedTuple):
    """One path of a selection: what it found, and the rules below that. `required` must be below it, "" for nothing."""

    found: list[Found]
    rules: Rules
    required: str = ""


def select(root: int, selection: Selection, listing: Listing = whole) -> Iterator[Part]:
    """Find what each path of a selection means in the directory `root`.

    NotFound for a path without wildcards that is not there; one with wildcards may find nothing. InvalidArgument for
    more or less than Docker's first builder takes.
    """
    if selection.keyword:
        yield from _counted(root, selection, listing)
        return
    exclude = Patterns(selection.exclude) if selection.exclude else None
    for path in selection.paths:
        if not selection.parents:
            yield Part(list(find(root, path, exclude, listing)), Rules(None, exclude))
            continue
        above, pivot, below = path.partition("/./")
        if not pivot:
            above, below = "/", path
        below = posixpath.normpath("/" + below).strip("/") or "."
        plain = not is_pattern(path)
        include = None if below == "." else Patterns([below])
        required = posixpath.normpath(f"/{above}/{below}") if plain else ""
        yield Part(list(find(root, above or "/", None, listing)), Rules(include, exclude), required)


def _counted(root: int, selection: Selection, listing: Listing) -> Iterator[Part]:
    parts = list(select(root, selection._replace(keyword=""), listing))
    count = sum(len(part.found) for part in parts)
    if not count:
        raise InvalidArgument(f"{selection.keyword} failed: no source files were specified")
    if count > 1 and not selection.several:
        raise InvalidArgument(several(selection.keyword))
    yield from parts


def several(keyword: str) -> str:
    """How Docker's first builder refuses to copy several files onto one."""
    return f"When using {keyword} with more than one source file, the destination must be a directory and end with a /"


def is_pattern(path: str) -> bool:
    """Whether a path has a wildcard, and none of them is taken for itself by a backslash."""
    plain = path.replace("\\\\", "")
    return any(character in _SPECIAL and plain[at - 1 : at] != "\\" for at, character in enumerate(plain))


def find(root: int, pattern: str, exclude: Patterns | None, listing: Listing) -> Iterator[Found]:
    """What a pattern finds, sorted. A directory that it names is never excluded, only what is in it."""
    names = [name for name in posixpath.normpath("/" + pattern).split("/") if name]
    plain = next((index for index, name in enumerate(names) if is_pattern(name)), len(names))
    start = "/" + "/".join(names[:plain])
    paths = [start]
    for name in names[plain:]:
        paths = [
            posixpath.join(above, each)
            for above in paths
            for each in _names(root, above, listing, follow=above == start)
            if _matches(name, each)
        ]
    for path in paths:
        excluded = exclude is not None and exclude.match(posixpath.basename(path), exclude.nothing)[0]
        try:
            found = Found(path, look(root, path))
        except NotFound:
            if not excluded:
                raise
            continue
        if found.is_directory or not excluded:
            yield found


def _matches(pattern: str, name: str) -> bool:
    try:
        return globs.matches(pattern, name)
    except InvalidArgument:
        return False  # as BuildKit has it: nothing is found by what is malformed


def _names(root: int, directory: str, listing: Listing, *, follow: bool) -> list[str]:
    try:
        listed = open_in_root(root, directory, _LISTED | (0 if follow else os.O_NOFOLLOW))
    except FileNotFoundError:
        raise missing(directory) from None
    except OSError:  # not a directory, or a link to one, which a pattern does not pass
        return []
    try:
        return listing(listed)
    finally:
        os.close(listed)


def look(root: int, path: str) -> os.stat_result:
    """What is at a path, links followed within the root."""
    fd = _open(root, path, os.O_PATH)
    try:
        return os.fstat(fd)
    finally:
        os.close(fd)


def open_directory(root: int, path: str) -> int:
    """A directory, to be listed."""
    return _open(root, path, _LISTED)


def open_file(root: int, path: str) -> int:
    """A regular file, to be read. InvalidArgument if it is another thing by now."""
    fd = _open(root, path, _CONTENT)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise InvalidArgument(f"{path} changed while it was copied")
    return fd


def _open(root: int, path: str, flags: int) -> int:
    try:
        return open_in_root(root, path, flags)
    except (FileNotFoundError, NotADirectoryError):
        raise missing(_led(root, path)) from None


def _led(root: int, path: str) -> str:
    """Where the links at a path lead in the end."""
    for _ in range(_MAX_LINKS):
        try:
            link = open_in_root(root, path, os.O_PATH | os.O_NOFOLLOW)
        except OSError:
            break
        try:
            path = posixpath.normpath(posixpath.join(posixpath.dirname(path), os.readlink("", dir_fd=link)))
        except OSError:  # no link
            break
        finally:
            os.close(link)
    return path


def missing(path: str) -> NotFound:
    """How BuildKit tells that there is no such file."""
    return NotFound(f'"{path}": not found')


class _Level(NamedTuple):
    names: Iterator[str]
    entry: Entry | None  # of the directory, None where the walk began
    include: State
    exclude: State


def walk(top: int, rules: Rules, listing: Listing = whole) -> Iterator[Entry]:
    """Walk what is meant of a directory, sorted: a directory's ENTER, what is in it, its LEAVE."""
    include, exclude = rules
    cursor = Cursor(top)
    try:
        states = (include.nothing if include else (), exclude.nothing if exclude else ())
        levels = [_Level(iter(listing(cursor.fd)), None, *states)]
        while True:
            name = next(levels[-1].names, None)
            if name is None:
                entry = levels.pop().entry
                if entry is None:
                    return
                cursor.up()
                yield entry._replace(move=Move.LEAVE, dir_fd=cursor.fd)
                continue
            below = _step(cursor, name, levels[-1], rules)
            if below is None or below.entry is None:
                continue
            yield below.entry
            if below.entry.move is Move.ENTER:
                cursor.down(name)
                levels.append(below._replace(names=iter(listing(cursor.fd))))
    finally:
        cursor.close()


def _step(cursor: Cursor, name: str, level: _Level, rules: Rules) -> _Level | None:
    """What comes of a name, None for nothing."""
    path = f"{level.entry.path}/{name}" if level.entry else name
    wanted = True
    include, exclude = level.include, level.exclude
    if rules.include is not None:
        wanted, include = rules.include.match(path, include)
    passed = wanted or (rules.include is not None and rules.include.reaches(path))
    if rules.exclude is not None:
        hit, exclude = rules.exclude.match(path, exclude)
        wanted = wanted and not hit
        passed = passed and (not hit or rules.exclude.negates)
    if not passed:
        return None
    found = os.stat(name, dir_fd=cursor.fd, follow_symlinks=False)
    directory = stat.S_ISDIR(found.st_mode)
    if not wanted and not directory:
        return None
    move = Move.ENTER if directory else Move.OBJECT
    return _Level(iter(()), Entry(move, cursor.fd, name, path, found, wanted), include, exclude)
