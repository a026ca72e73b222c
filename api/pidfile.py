"""The file with the daemon's PID. A lock on it, not the number, tells whether the daemon lives."""

import contextlib
import fcntl
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import errdefs

STOP_CONTAINERS = signal.SIGUSR2
"""What tells the owner to end and to stop its containers too: `wherryd --stop-containers` sends it."""


@contextlib.contextmanager
def holding(path: Path) -> Iterator[None]:
    """Hold the file for as long as the daemon lives; Conflict when another daemon does."""
    descriptor = _open(path)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise errdefs.Conflict(
                f"the pidfile {path} belongs to a daemon that runs (process {_read(descriptor) or '?'}): "
                "stop it, or use --pidfile"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        try:
            yield
        finally:
            with contextlib.suppress(FileNotFoundError):  # /run was cleared meanwhile
                os.unlink(path)
    finally:
        os.close(descriptor)


def owner(path: Path) -> int | None:
    """The PID of the daemon that lives, None if there is none."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(descriptor)
    else:
        return None
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    try:
        os.makedirs(path.parent, mode=0o755, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    except OSError as error:
        raise errdefs.SystemFailure(f"cannot write the pidfile {path}: {error.strerror}") from error


def _read(descriptor: int) -> int | None:
    text = os.pread(descriptor, 32, 0).strip()
    return int(text) if text.isdigit() else None
