"""Where files are put in the root, which is ours: links are followed within it, and missing directories are made."""

import os
import posixpath
import stat
from typing import NamedTuple

from errdefs import InvalidArgument
from runtime.archive.resource import follow
from runtime.copying.chmod import Mode

_MADE = 0o755  # directories that are made on the way, whatever the mode of what is copied
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Look(NamedTuple):
    """What the files of an action are to be like: None is as they are.

    `epoch`: the time, in Unix seconds, of what has none of its own, None for now. `touched` are directories that have
    none: they were made on the way, or something was made in them.
    """

    owner: tuple[int, int] | None
    mode: Mode | None
    epoch: int | None
    touched: set[str]

    def settle(self) -> None:
        """Set the times of directories, when all is made."""
        if self.epoch is not None:
            for path in sorted(self.touched, reverse=True):
                os.utime(path, ns=(self.epoch * 10**9, self.epoch * 10**9))


def clean(path: str) -> str:
    """An absolute path, cleaned but for its end: "/d/" and "/d/." are directories."""
    cleaned = posixpath.normpath("/" + path.lstrip("/"))
    if cleaned == "/":
        return cleaned
    return cleaned + ("/" if path.endswith(("/", "/.")) else "")


def is_directory(path: str) -> bool:
    """Whether a directory is there; the path leads through no link."""
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def led(path: str) -> str:
    """Where a path leads, through no link."""
    try:
        return follow(path)
    except InvalidArgument:
        raise InvalidArgument("too many links") from None


def make_directories(path: str, look: Look) -> str:
    """Have a directory at a path, wherever links lead, made with those above it; its path through no link.

    InvalidArgument if something else is there.
    """
    real = led(path)
    made: list[str] = []
    here = real
    while not is_directory(here):
        if os.path.lexists(here):
            what = f"lstat {made[-1]}" if made else f"mkdir {here}"
            raise InvalidArgument(f"{what}: not a directory")
        made.append(here)
        here = posixpath.dirname(here)
    for each in reversed(made):
        os.mkdir(each, 0o700)
        if look.owner is not None:
            os.chown(each, *look.owner)
        os.chmod(each, _MADE)
    look.touched.update(made, (here,) if made else ())
    return real


class Place(NamedTuple):
    """A name in a directory of the root, which is open at `directory` and called `above`."""

    directory: int
    above: str
    name: str

    @property
    def path(self) -> str:
        """Where it is."""
        return posixpath.join(self.above, self.name)

    def clear(self) -> None:
        """Remove the file that is there, which is no directory."""
        try:
            os.unlink(self.name, dir_fd=self.directory)
        except FileNotFoundError:
            pass
        except IsADirectoryError:
            raise InvalidArgument(f"cannot replace to directory {self.path} with file") from None


def place_of(destination: str, name: str, look: Look) -> Place:
    """Where a file goes: to `destination`, or below a directory there by its own name. Its descriptor is to be closed.

    Missing directories are made.
    """
    destination = clean(destination)
    ends = destination.endswith("/")
    make_directories(destination if ends else posixpath.dirname(destination), look)
    real = led(destination)
    if is_directory(real):
        real = posixpath.join(real, name)
    above, base = posixpath.split(real)
    make_directories(above, look)
    look.touched.add(above)
    return Place(os.open(above, _DIRECTORY), above, base)
