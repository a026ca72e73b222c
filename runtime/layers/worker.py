"""The process that unpacks one layer; its argument is an ORDER.

ORDER is a JSON object {"limits": [...], "whiteouts": "overlay"|"remove", "growing": bool}. Descriptors: 3 the
archive, 4 the directory to unpack into, 5 a pipe for lines of JSON: {"read": compressed bytes so far}, and as
the last one {"applied": {…}} or {"error": {"kind": …, "message": …}}. If the archive is growing, 5 is the pipe
that tells so (runtime.layers.growing), and 6 is for the lines; who wrote it knows its digest, and it is not made again.
All modules and files are open before
the root changes; afterwards nothing is imported, nothing of the host is opened, and nothing inside is
ever executed.
"""

import hashlib
import io
import json
import os
import queue
import sys
import threading
import time
from collections.abc import Iterator

from errdefs import InvalidArgument, WherryError
from runtime.layers import confine
from runtime.layers.decompress import decompress, detect
from runtime.layers.directories import Directories
from runtime.layers.extract import Extractor
from runtime.layers.limits import Limits
from runtime.layers.reader import Source, entries
from runtime.layers.whiteouts import OverlayWhiteouts, RemovingWhiteouts, Whiteouts

ARCHIVE, TARGET, REPORT = 3, 4, 5
_REPORT_EVERY = 0.1  # seconds
_CHUNKS_AHEAD = 4


class Grower(io.FileIO):
    """A file at whose end one waits until the pipe tells that there is more, or that this is the end."""

    def __init__(self, fd: int, more: int) -> None:
        """Neither descriptor is closed."""
        super().__init__(fd, closefd=False)
        self._more = more

    def read(self, size: int | None = -1) -> bytes:
        """Read up to `size` bytes, none at the end."""
        while not (data := super().read(size)) and os.read(self._more, 1 << 12):
            pass
        return data or super().read(size) or b""


class Inflow:
    """The archive's bytes, decompressed, digested and counted by a thread of their own, some chunks ahead."""

    def __init__(
        self, stream: io.FileIO, unpacked: Iterator[bytes], limits: Limits, *, digested: bool
    ) -> None:
        """Start reading `unpacked`, which comes out of `stream`."""
        self._stream = stream
        self._unpacked = unpacked
        self._limits = limits
        self._digest = hashlib.sha256() if digested else None
        self._size = 0
        self._reported = 0.0
        self._chunks: queue.SimpleQueue[bytes | BaseException | None] = queue.SimpleQueue()
        self._room: queue.SimpleQueue[None] = queue.SimpleQueue()  # an item for each chunk that may be put
        for _ in range(_CHUNKS_AHEAD):
            self._room.put(None)
        self._thread = threading.Thread(target=self._pump, daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[bytes]:
        """Yield chunks; what failed in the thread is raised here."""
        while (chunk := self._chunks.get()) is not None:
            if isinstance(chunk, BaseException):
                raise chunk
            self._room.put(None)
            yield chunk

    def diff_id(self) -> str:
        """Return the digest of the uncompressed archive, once all of it was read; "" if none was to be made."""
        self._thread.join()
        return f"sha256:{self._digest.hexdigest()}" if self._digest else ""

    def _pump(self) -> None:
        try:
            for chunk in self._unpacked:
                if self._digest:
                    self._digest.update(chunk)
                self._count(len(chunk))
                self._room.get()
                self._chunks.put(chunk)
        except BaseException as error:  # noqa: BLE001 - handed to the thread that consumes
            self._chunks.put(error)
        else:
            self._chunks.put(None)

    def _count(self, more: int) -> None:
        # Where it is in the stream is asked only when it must be: that lets the other thread run, and waits for it.
        self._size += more
        limits = self._limits
        if self._size > limits.size:
            raise InvalidArgument(f"the archive is larger than {limits.size} bytes")
        if self._size > limits.ratio_free and self._size > limits.ratio * self._stream.tell():
            raise InvalidArgument(f"the archive is compressed more than {limits.ratio} to 1")
        now = time.monotonic()
        if now - self._reported > _REPORT_EVERY:
            self._reported = now
            _report({"read": self._stream.tell()})


def main() -> None:
    """Unpack as ordered and report."""
    try:
        _report({"applied": _apply(json.loads(sys.argv[1]))})
    except WherryError as error:
        _report({"error": {"kind": type(error).__name__, "message": error.message}})
    except MemoryError:
        _report(
            {"error": {"kind": "InvalidArgument", "message": "the archive takes too much memory to unpack"}}
        )
    except BrokenPipeError:
        pass  # nobody waits for us any more
    except OSError as error:
        _report({"error": {"kind": "SystemFailure", "message": f"cannot unpack: {error.strerror}"}})
    # Not by way of the interpreter's end: a thread may still be reading what nobody wants.
    os._exit(0)


def _apply(order: dict[str, object]) -> dict[str, object]:
    limits = Limits(*order["limits"])  # type: ignore[misc]
    whiteouts: Whiteouts = OverlayWhiteouts() if order["whiteouts"] == "overlay" else RemovingWhiteouts()
    confine.end_with_parent()
    confine.limit(limits)
    os.umask(0)
    if order["growing"]:
        stream: io.FileIO = Grower(ARCHIVE, os.dup(REPORT))
        os.dup2(REPORT + 1, REPORT)
        compression = ""
    else:
        stream = io.FileIO(ARCHIVE, closefd=False)
        compression = detect(os.pread(ARCHIVE, 10, 0))
    chunks = decompress(stream, compression)
    confine.enter(TARGET)
    inflow = Inflow(stream, chunks, limits, digested=not order["growing"])
    source = Source(iter(inflow))
    extractor = Extractor(source, whiteouts, Directories(whiteouts), limits.size)
    extractor.extract(entries(source, limits.entries))
    source.drain()
    return {
        "diff_id": inflow.diff_id(),
        "size": extractor.size,
        "compression": compression,
        "describes_root": extractor.describes_root,
    }


def _report(message: dict[str, object]) -> None:
    os.write(REPORT, json.dumps(message).encode() + b"\n")
