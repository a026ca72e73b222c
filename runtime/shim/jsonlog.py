"""Docker's json-file log, record for record as dockerd writes it, but in bulk.

A line is encoded by a few C-level passes over a whole chunk instead of one JSON encoder call: what needs no
escape is found out by one `translate`, the line ends become record ends by one `replace`. One timestamp
serves a chunk.
"""

from __future__ import annotations

import codecs
import fcntl
import functools
import os
import time

from runtime.shim.protocol import STREAM_NAMES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

MAX_LINE = (
    16384  # dockerd's copier buffer: a longer line becomes several records, all but the last without "\n"
)

COMPRESSED = ".gz"  # what a rotated file's name ends with once the daemon has compressed it
INDEX = ".index"  # of a numbered log: a line a file, its inode and how many records were written before it

_HEAD = b'{"log":"'
_BLOCK = 1 << 20
_ESCAPES = (
    (b"\\", b"\\\\"),
    (b'"', b'\\"'),
    (b"<", b"\\u003c"),
    (b">", b"\\u003e"),
    (b"&", b"\\u0026"),
    (b"\r", b"\\r"),
    *((bytes((code,)), b"\\u%04x" % code) for code in range(32) if code not in b"\n\r"),
)
_SPECIAL = b"".join(raw for raw, _ in _ESCAPES)


def _replace_invalid(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "\\ufffd" * (error.end - error.start), error.end


codecs.register_error("wherry-ufffd", _replace_invalid)


class JsonLog:
    """Writer of one container's log. Never raises after it is open: a log that cannot be written loses
    records.
    """

    def __init__(
        self, path: str, *, max_size: int = 0, max_files: int = 1, attrs: bytes = b"", numbered: bool = False
    ) -> None:
        """Open `path` to append. `max_size` in bytes, 0: never rotated. `attrs`: a JSON object put into
        every record. `numbered`: it is noted in `path` + INDEX how many records came before each file.

        Raises OSError.
        """
        self._path = path
        self._numbered = numbered
        self._max_size = max_size
        self._max_files = max_files
        self._tails = dict.fromkeys(STREAM_NAMES, b"")
        extra = b',"attrs":' + attrs if attrs else b""
        self._middles = {
            stream: b'","stream":"' + name + b'"' + extra + b',"time":"'
            for stream, name in STREAM_NAMES.items()
        }
        self._fd = _open(path)
        self._size = os.fstat(self._fd).st_size

    def write(self, stream: int, chunk: bytes) -> None:
        """Log what was read from STDOUT or STDERR; an unfinished line waits for its end."""
        data = self._tails[stream] + chunk
        whole = data.rfind(b"\n") + 1
        if len(data) - whole >= MAX_LINE or _has_long_line(data, whole):
            self._write_long(stream, data)
            return
        self._tails[stream] = data[whole:]
        if whole:
            self._append(self._records(data[:whole], self._ending(stream)))

    def flush(self) -> None:
        """Write unfinished lines as they are, at the end of the streams."""
        for stream, tail in self._tails.items():
            if tail:
                self._append(_HEAD + escape(tail) + self._ending(stream))
                self._tails[stream] = b""

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    def _ending(self, stream: int) -> bytes:
        return self._middles[stream] + timestamp(time.time_ns()) + b'"}\n'

    @staticmethod
    def _records(lines: bytes, ending: bytes) -> bytes:
        ending = b"\\n" + ending
        return _HEAD + escape(lines)[:-1].replace(b"\n", ending + _HEAD) + ending

    def _write_long(self, stream: int, data: bytes) -> None:
        ending = self._ending(stream)
        records: list[bytes] = []
        position = 0
        while position < len(data):
            whole = data.rfind(b"\n", position, position + MAX_LINE) + 1
            if whole:
                records.append(self._records(data[position:whole], ending))
                position = whole
            elif len(data) - position >= MAX_LINE:
                records.append(_HEAD + escape(data[position : position + MAX_LINE]) + ending)
                position += MAX_LINE
            else:
                break
        self._tails[stream] = data[position:]
        self._append(b"".join(records))

    def _append(self, records: bytes) -> None:
        """Write whole records; as in dockerd a file is rotated before a record once it has reached its
        size.
        """
        while records:
            room = self._max_size - self._size
            if not self._max_size or (room <= 0 and not self._rotate()):
                self._put(records)
                return
            if room <= 0:
                continue
            end = records.find(b"\n", room - 1) + 1 or len(records)
            self._put(records[:end])
            records = records[end:]

    def _put(self, records: bytes) -> None:
        written = 0
        try:
            while written < len(records):
                written += os.write(self._fd, records[written:] if written else records)
        except OSError:
            written -= self._drop_torn(records[:written])
        self._size += written

    def _drop_torn(self, written: bytes) -> int:
        """Take back the beginning of a record whose end found no room. Returns the bytes taken back."""
        torn = len(written) - (written.rfind(b"\n") + 1)
        try:
            if torn:
                os.ftruncate(self._fd, max(0, os.fstat(self._fd).st_size - torn))
        except OSError:
            return 0
        return torn

    def _rotate(self) -> bool:
        """Shift the files and begin a new one. False when that failed: the old one is written on."""
        lock = -1
        try:
            status = os.fstat(self._fd)
            if status.st_size < self._max_size:  # truncated by somebody else meanwhile
                self._size = status.st_size
                return True
            # The daemon holds it for the moment in which a compressed file takes the place of a plain one.
            lock = os.open(os.path.dirname(self._path) or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            before = self._records_so_far(status.st_ino) if self._numbered else 0
            self._shift()
            fresh = _open(self._path, os.O_TRUNC)
        except OSError:
            return False
        finally:
            if lock >= 0:
                os.close(lock)
        os.close(self._fd)
        self._fd = fresh
        self._size = 0
        if self._numbered:
            self._note(os.fstat(fresh).st_ino, before)
        return True

    def _shift(self) -> None:
        names = [self._path, *(f"{self._path}.{number}" for number in range(1, self._max_files))]
        if self._max_files > 1:
            for suffix in ("", COMPRESSED):
                _attempt(os.unlink, names[-1] + suffix)
        for older, newer in zip(reversed(names), reversed(names[:-1]), strict=False):
            _attempt(os.rename, newer + COMPRESSED, older + COMPRESSED)
            _attempt(os.rename, newer, older)

    def _records_so_far(self, inode: int) -> int:
        """How many records were written up to the end of the current file."""
        count = dict(self._index()).get(inode, 0)
        fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            while block := os.read(fd, _BLOCK):
                count += block.count(b"\n")
        finally:
            os.close(fd)
        return count

    def _index(self) -> list[tuple[int, int]]:
        try:
            with open(self._path + INDEX, "rb", buffering=0) as file:
                lines = file.read(_BLOCK).splitlines()
            return [(int(line.split()[0]), int(line.split()[1])) for line in lines]
        except (OSError, ValueError, IndexError):
            return []

    def _note(self, inode: int, before: int) -> None:
        """Note what came before the file that begins. Without it nobody can tell how much of the log was missed."""
        kept = [entry for entry in self._index() if entry[0] != inode][-self._max_files :]
        text = b"".join(b"%d %d\n" % entry for entry in [*kept, (inode, before)])
        try:
            fd = os.open(
                f"{self._path}{INDEX}.tmp", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640
            )
            try:
                os.write(fd, text)
            finally:
                os.close(fd)
            os.rename(f"{self._path}{INDEX}.tmp", self._path + INDEX)
        except OSError:
            return


def _attempt(action: Callable[..., None], *names: str) -> None:
    """Do something to a file, if it is there. Raises OSError."""
    try:
        action(*names)
    except FileNotFoundError:
        return


def timestamp(ns: int) -> bytes:
    """Return RFC3339Nano in UTC as Go prints it: without trailing zeros of the fraction."""
    seconds, fraction = divmod(ns, 1_000_000_000)
    return (b"%b.%09d" % (_second(seconds), fraction)).rstrip(b"0").rstrip(b".") + b"Z"


@functools.lru_cache(1)
def _second(seconds: int) -> bytes:
    """Nearly all of what a record costs, and the same for all of a second."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)).encode()


def escape(data: bytes) -> bytes:
    """Return `data` as the inside of a JSON string, newlines left as they are, in dockerd's spelling.

    An invalid byte becomes one \\ufffd.
    """
    if len(data.translate(None, _SPECIAL)) != len(data):
        for raw, escaped in _ESCAPES:
            if raw in data:
                data = data.replace(raw, escaped)
    if data.isascii():
        return data
    try:
        data.decode()
    except UnicodeDecodeError:
        data = data.decode("utf-8", "wherry-ufffd").encode()
    if b"\xe2\x80" in data:
        data = data.replace(b"\xe2\x80\xa8", b"\\u2028").replace(b"\xe2\x80\xa9", b"\\u2029")
    return data


def _has_long_line(data: bytes, whole: int) -> bool:
    position = 0
    while whole - position > MAX_LINE:
        end = data.rfind(b"\n", position, position + MAX_LINE)
        if end < 0:
            return True
        position = end + 1
    return False


def _open(path: str, flags: int = 0) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | flags, 0o640)
