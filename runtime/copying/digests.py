"""What files are, as one number: equal for the same names, kinds, modes, owners, xattrs, contents and links.

Times are no part of it, nor is the directory itself whose content is copied. A large file is digested in pieces, and
these side by side.
"""

import hashlib
import os
import stat
from threading import Thread

from runtime.copying import files, selection
from runtime.copying.files import Attributes
from runtime.copying.listing import Little, whole
from runtime.copying.order import Selection
from runtime.copying.selection import Entry, Found, Part, Rules
from runtime.tree import Move

_READ = 1 << 18
_PIECE = 4 << 20
_AT_ONCE = min(4, os.cpu_count() or 1)
_OF_HOST = ("security.", "system.")  # what else the host gives files by itself
_COUNTED = ("security.capability", "system.posix_acl_access", "system.posix_acl_default")
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def of_selection(root: int, wanted: Selection, little: Little | None = None) -> str:
    """The digest of what a selection finds in the directory `root`: "sha256:…". NotFound as `selection.select`.

    Without `little` the process must be one's own: its working directory changes. With it TooMuch may be raised.
    """
    digest = _Digest(little)
    for part in selection.select(root, wanted, little or whole):
        digest.begin(len(part.found))
        for found in part.found:
            digest.add(root, found, part)
    return digest.told()


def of_path(root: int, path: str, little: Little | None = None) -> str:
    """The same of what is at a path, and of all in it."""
    digest = _Digest(little)
    found = Found(path, selection.look(root, path))
    digest.add(root, found, Part([found], Rules()))
    return digest.told()


class _Digest:
    """Every field goes in with its length, so that no two trees give the same bytes."""

    def __init__(self, little: Little | None) -> None:
        self._hash = hashlib.sha256()
        self._little = little

    def told(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"

    def begin(self, count: int) -> None:
        self._field(b"part %d" % count)

    def _field(self, value: bytes) -> None:
        self._hash.update(b"%d:" % len(value))
        self._hash.update(value)

    def add(self, root: int, found: Found, part: Part) -> None:
        """Take what was found, and what is meant of it if it is a directory."""
        self._field(os.fsencode(found.name))
        if found.is_directory:
            directory = selection.open_directory(root, found.path)
            try:
                some = self._tree(directory, part.rules)
            finally:
                os.close(directory)
            if part.required and not some:
                raise selection.missing(part.required)
        elif stat.S_ISREG(found.stat.st_mode):
            fd = selection.open_file(root, found.path)
            try:
                self._file(fd)
            finally:
                os.close(fd)
        else:
            self._facts(found.stat, [])

    def _tree(self, directory: int, rules: Rules) -> bool:
        passed: list[tuple[Entry, Attributes]] = []
        links: dict[tuple[int, int], str] = {}
        some = False
        for entry in selection.walk(directory, rules, self._little or whole):
            if entry.move is Move.LEAVE:
                if passed:
                    passed.pop()
                else:
                    self._field(b"leave")
            elif not entry.wanted:
                passed.append((entry, self._attributes(entry)))
            else:
                for above, attributes in passed:
                    self._field(os.fsencode(above.name))
                    self._facts(above.stat, attributes)
                passed.clear()
                self._entry(entry, links)
                some = True
        self._field(b"end")
        return some

    def _entry(self, entry: Entry, links: dict[tuple[int, int], str]) -> None:
        self._field(os.fsencode(entry.name))
        mode = entry.stat.st_mode
        if entry.stat.st_nlink > 1 and not stat.S_ISDIR(mode):
            first = links.setdefault((entry.stat.st_dev, entry.stat.st_ino), entry.path)
            if first != entry.path:
                self._field(b"link")
                self._field(os.fsencode(first))
                return
        if stat.S_ISREG(mode):
            fd = os.open(entry.name, _FILE, dir_fd=entry.dir_fd)
            try:
                self._file(fd)
            finally:
                os.close(fd)
            return
        self._facts(entry.stat, self._attributes(entry))
        if stat.S_ISLNK(mode):
            self._field(os.fsencode(os.readlink(entry.name, dir_fd=entry.dir_fd)))

    def _file(self, fd: int) -> None:
        found = os.fstat(fd)
        if self._little is not None:
            self._little.read(found.st_size)
        self._facts(found, files.attributes_of(fd))
        if found.st_size > _PIECE:
            pieces = _Pieces(fd, found.st_size)
            self._hash.update(b"".join(pieces.digests))
            count = pieces.count
        else:
            count = _read(fd, 0, _PIECE, self._hash)
        self._field(b"%d" % count)

    def _facts(self, found: os.stat_result, attributes: Attributes) -> None:
        device = found.st_rdev if stat.S_ISCHR(found.st_mode) or stat.S_ISBLK(found.st_mode) else 0
        size = found.st_size if stat.S_ISREG(found.st_mode) else 0
        self._field(b"%o %d %d %d %d" % (found.st_mode, found.st_uid, found.st_gid, device, size))
        for name, value in sorted(attributes):
            if name in _COUNTED or not name.startswith(_OF_HOST):
                self._field(os.fsencode(name))
                self._field(value)

    def _attributes(self, entry: Entry) -> Attributes:
        """Those of what is no regular file: to be had by path only, and without procfs where we are confined."""
        if self._little is not None:
            return files.attributes_at(f"/proc/self/fd/{entry.dir_fd}/{entry.name}")
        os.fchdir(entry.dir_fd)
        return files.attributes_at(entry.name)


class _Pieces:
    """The digests of a file's pieces, in order, and how many bytes they have. The size, told before, parts them."""

    def __init__(self, fd: int, size: int) -> None:
        starts = range(0, size, _PIECE)
        self.digests = [b""] * len(starts)
        self.count = 0
        self._fd = fd
        self._left = iter(enumerate(starts))
        self._counts: list[int] = []
        self._failures: list[OSError] = []
        readers = [Thread(target=self._read) for _ in range(min(_AT_ONCE, len(starts)))]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
        for failure in self._failures:
            raise failure
        self.count = sum(self._counts)

    def _read(self) -> None:
        """Digest one of those that are left after the other."""
        try:
            for number, start in self._left:
                digest = hashlib.sha256()
                self._counts.append(_read(self._fd, start, start + _PIECE, digest))
                self.digests[number] = digest.digest()
        except OSError as error:
            self._failures.append(error)


def _read(fd: int, at: int, end: int, digest: "hashlib._Hash") -> int:
    """Digest what an open file has from one place to another; how many bytes that were."""
    start = at
    while at < end and (data := os.pread(fd, min(_READ, end - at), at)):
        digest.update(data)
        at += len(data)
    return at - start
