"""COPY: what is selected in a directory goes into the root, by BuildKit's rules.

A directory gives what is in it, and is not copied itself; a file goes to its destination, or below it where that is a
directory. What is there is replaced, but a directory stays one and a file never becomes one. What is copied keeps its
owner, mode, times, xattrs, hard links and holes.
"""

import os
import posixpath
import stat

from errdefs import InvalidArgument
from runtime.copying import files, selection
from runtime.copying.places import Look, Place, clean, led, make_directories, place_of
from runtime.copying.selection import Entry, Found, Part, Rules
from runtime.tree import Cursor, Move


class Copier:
    """Copies from the directory that is open at `source`."""

    def __init__(self, source: int, look: Look) -> None:
        """All files are to be like `look`."""
        self._source = source
        self._look = look

    def copy(self, part: Part, destination: str) -> None:
        """Copy what one path of a selection found. NotFound if what it requires is not there."""
        for found in part.found:
            copied = self.copy_found(found, destination, part.rules)
            if part.required and not copied:
                raise selection.missing(part.required)

    def copy_found(self, found: Found, destination: str, rules: Rules) -> int:
        """Copy one thing; how many files and directories that were."""
        if found.is_directory:
            return self._directory(found, clean(destination), rules)
        place = place_of(destination, found.name, self._look)
        try:
            self._file(found, place)
        finally:
            os.close(place.directory)
        return 1

    def _file(self, found: Found, place: Place) -> None:
        if not stat.S_ISREG(found.stat.st_mode):
            files.put_other(place, None, found.stat, self._look)
            return
        source = selection.open_file(self._source, found.path)
        try:
            files.put_content(place, source, os.fstat(source), self._look)
        finally:
            os.close(source)

    def _directory(self, found: Found, destination: str, rules: Rules) -> int:
        above = destination if destination.endswith("/") else posixpath.dirname(destination)
        make_directories(above, self._look)
        real = led(destination)
        if os.path.lexists(real) and not os.path.isdir(real):
            raise InvalidArgument(f"cannot copy to non-directory: {real}")
        make_directories(real, self._look)
        source = selection.open_directory(self._source, found.path)
        try:
            copied = _Below(real, self._look).copy(source, rules)
        finally:
            os.close(source)
        os.utime(real, ns=(found.stat.st_atime_ns, found.stat.st_mtime_ns))
        if found.path == "/":
            self._look.touched.add(real)  # when a context came is no time of its own
        return copied


class _Below:
    """Follows a walk of the source with a cursor of its own below a directory of the root."""

    def __init__(self, top: str, look: Look) -> None:
        self._top = top
        self._look = look
        self._links: dict[tuple[int, int], str] = {}
        self._passed: list[Entry] = []  # directories that are not there until something in them is wanted
        self._made: list[
            bool
        ] = []  # of those that the cursor went into, whether each was made or is meant itself
        self._names: list[str] = []
        self._cursor: Cursor
        self._source: int

    def copy(self, source: int, rules: Rules) -> int:
        """Copy what is meant of a directory; how many files and directories that were."""
        count = 0
        self._cursor = Cursor(self._top)
        try:
            for entry in selection.walk(source, rules):
                count += entry.wanted and entry.move is not Move.LEAVE
                self._take(entry)
        finally:
            self._cursor.close()
        return count

    def _take(self, entry: Entry) -> None:
        if entry.move is Move.LEAVE:
            self._leave(entry)
        elif not entry.wanted:
            self._passed.append(entry)
        else:
            for passed in self._passed:
                self._enter(passed)
            self._passed.clear()
            if entry.move is Move.ENTER:
                self._enter(entry)
            else:
                self._object(entry)

    def _place(self, name: str) -> Place:
        return Place(self._cursor.fd, posixpath.join(self._top, *self._names), name)

    def _enter(self, entry: Entry) -> None:
        place = self._place(entry.name)
        made = files.put_directory(place)
        if not made and not entry.wanted:
            self._look.touched.add(place.path)
            os.chmod(entry.name, stat.S_IMODE(entry.stat.st_mode), dir_fd=place.directory)
        self._cursor.down(entry.name)
        self._names.append(entry.name)
        self._made.append(made or entry.wanted)

    def _leave(self, entry: Entry) -> None:
        if self._passed:
            self._passed.pop()
            return
        self._cursor.up()
        self._names.pop()
        if self._made.pop():
            source = os.open(
                entry.name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=entry.dir_fd
            )
            try:
                attributes = files.attributes_of(source)
            finally:
                os.close(source)
            files.finish_directory(self._place(entry.name), entry.stat, self._look, attributes)

    def _object(self, entry: Entry) -> None:
        place = self._place(entry.name)
        if entry.stat.st_nlink > 1:
            inode = (entry.stat.st_dev, entry.stat.st_ino)
            first = self._links.setdefault(inode, place.path)
            if first != place.path and files.put_link(place, first):
                return
        if not stat.S_ISREG(entry.stat.st_mode):
            files.put_other(place, Place(entry.dir_fd, "", entry.name), entry.stat, self._look)
            return
        source = os.open(
            entry.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=entry.dir_fd
        )
        try:
            found = os.fstat(source)
            if not stat.S_ISREG(found.st_mode):
                raise InvalidArgument(f"{entry.path} changed while it was copied")
            files.put_content(place, source, found, self._look)
        finally:
            os.close(source)
