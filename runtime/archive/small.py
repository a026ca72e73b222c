"""Small files, of which archives have thousands: made in batches, by this process and a twin of it side by side.

The twin is forked inside, when there is a batch to hand over: it is confined as this process is, and sees what this one
sees. It ends with this one, which is the first of a PID namespace.
"""

import marshal
import os
import socket
from typing import Any, TypeAlias

import errdefs
from errdefs import WherryError
from runtime.archive import resource
from runtime.layers.extract import NEW_FILE
from runtime.layers.whiteouts import delete

File: TypeAlias = tuple[bytes, bytes, int, tuple[int, int] | None, int, bytes]
"""The name in the archive, the path, the mode, the owner if it is not who makes it, the time in ns, and the content."""

LARGEST = 1 << 14
"""Bytes of the largest file that is a small one."""
_BATCH = 1 << 14  # bytes
_ALONE = 4  # batches, until a twin is worth its birth
_EACH = 64  # bytes that a file takes beside its names and its content
_MESSAGE = 1 << 17  # bytes, more than a batch has with one more file of the longest name
_AHEAD = 3  # batches: one at work, and others that wait


class SmallFiles:
    """Files to be made, in any order, where nothing stands: all are there, or failed, after `wait`."""

    def __init__(self, *, may_fork: bool) -> None:
        """Without a twin unless we `may_fork`: it must end with us."""
        self._may_fork = may_fork
        self._batch: list[File] = []
        self._bytes = 0
        self._batches = 0
        self._twin: _Twin | None = None

    def add(self, file: File) -> None:
        """Make a file now or later. Raises what `wait` raises."""
        self._batch.append(file)
        self._bytes += len(file[0]) + len(file[1]) + len(file[-1]) + _EACH
        if self._bytes >= _BATCH:
            batch = self._taken()
            if not self._is_handed_over(batch):
                _make_all(batch)

    def wait(self) -> None:
        """Raises InvalidArgument and SystemFailure for the first file that failed, and once only."""
        try:
            _make_all(self._taken())
        finally:
            if self._twin is not None:
                self._twin.wait()  # what it took came before: so does its failure

    def _is_handed_over(self, batch: list[File]) -> bool:
        self._batches += 1
        if self._may_fork and self._batches > _ALONE and self._twin is None:
            self._twin = _Twin()
        return self._twin is not None and self._twin.takes(batch)

    def _taken(self) -> list[File]:
        batch, self._batch, self._bytes = self._batch, [], 0
        return batch


class _Twin:
    """A process that makes the batches it gets; to each it answers with the failure, None for none, and the first
    failure is its end.
    """

    def __init__(self) -> None:
        self._socket, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._unanswered = 0
        if os.fork() == 0:
            self._socket.close()
            _serve(its)
        its.close()

    def takes(self, batch: list[File]) -> bool:
        """Hand a batch over, unless it has enough to do."""
        while self._unanswered and self._answered(socket.MSG_DONTWAIT):
            pass
        if self._unanswered == _AHEAD:
            return False
        try:
            self._socket.send(marshal.dumps(batch))
        except ConnectionError:
            pass  # it has gone: what it has said is still to be heard
        self._unanswered += 1
        return True

    def wait(self) -> None:
        """Until it has made all that it took."""
        while self._unanswered:
            self._answered()

    def _answered(self, flags: int = 0) -> bool:
        """Whether there is an answer; the failure that it tells is raised."""
        try:
            answer = self._socket.recv(_MESSAGE, flags)
        except BlockingIOError:
            return False
        except ConnectionError:
            answer = b""
        self._unanswered -= 1
        failed = _loaded(answer) if answer else ("SystemFailure", "a process that copies was killed")
        if failed is not None:
            self._unanswered = 0
            kind, message = failed
            raised: WherryError = getattr(errdefs, kind)(message)
            raise raised
        return True


def _loaded(message: bytes) -> Any:
    return marshal.loads(message)  # noqa: S302  what the one may do, the other may


def _serve(batches: socket.socket) -> None:
    try:
        while message := batches.recv(_MESSAGE):
            failed = _failure_of(message)
            batches.send(marshal.dumps(failed))
            if failed is not None:
                break
    finally:
        os._exit(0)


def _failure_of(batch: bytes) -> tuple[str, str] | None:
    try:
        _make_all(_loaded(batch))
    except WherryError as error:
        return type(error).__name__, error.message
    except MemoryError:
        return "InvalidArgument", "the archive takes too much memory to unpack"
    return None


def _make_all(batch: list[File]) -> None:
    for name, path, mode, owner, mtime, content in batch:
        try:
            try:
                fd = os.open(path, NEW_FILE, mode)
            except FileExistsError:  # the container has just made it
                delete(path)
                fd = os.open(path, NEW_FILE, mode)
            try:
                while content:
                    content = content[os.write(fd, content) :]
                if owner is not None:
                    os.fchown(fd, *owner)
                os.utime(fd, ns=(mtime, mtime))
            finally:
                os.close(fd)
        except (OSError, ValueError) as error:
            raise resource.failure(name, error) from error
