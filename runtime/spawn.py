"""Children of the daemon: born clean, awaited without a thread, bounded in what they may say.

The daemon never forks (its memory is large, and its threads hold locks): `posix_spawn` starts a child, a
pidfd on the loop tells its end. A child gets PATH alone, /dev/null or pipes for stdio, a session of its own,
default signals, an empty signal mask, and only the descriptors that are named.
"""

import asyncio
import fcntl
import os
import resource
import shutil
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

import msgspec

from runtime.settled import whole

ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
_ALL_SIGNALS = tuple(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP})
_CHUNK = 1 << 16
_POLL = 0.01  # seconds


class Completed(msgspec.Struct, frozen=True, kw_only=True):
    """How a child ended: 0..255, or the negative number of the signal that ended it; and what it said."""

    returncode: int
    stdout: bytes
    stderr: bytes


def keep_descriptors_private() -> None:
    """Mark every open descriptor above stderr close-on-exec: those a service manager passed are not by
    birth.
    """
    for name in os.listdir("/proc/self/fd"):
        fd = int(name)
        try:
            if fd > 2:
                os.set_inheritable(fd, False)  # noqa: FBT003  positional only
        except OSError:  # the directory's own
            continue


def open_many_files() -> tuple[int, int]:
    """Let this process have as many descriptors as it is allowed to; each running container takes four.

    Returns the limits that it had, soft and hard. They are to be those of containers: programs that look at all
    descriptors that they may have do so for long under a high limit, and `select` knows 1024.
    """
    given = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):  # the host's own limit was lowered below it
        resource.setrlimit(resource.RLIMIT_NOFILE, (given[1], given[1]))
    return given


def birth(
    argv: Sequence[str],
    *,
    executable: str | None = None,
    stdio: tuple[int, int, int] = (-1, -1, -1),
    pass_fds: Sequence[tuple[int, int]] = (),
    environment: Mapping[str, str] = ENVIRONMENT,
) -> int:
    """Start a child and return its pid; the caller awaits it (`Child`) or reaps it.

    `stdio`: descriptors, -1 for /dev/null. `pass_fds`: pairs of a descriptor here and its number there.
    Raises OSError when it cannot be executed. The working directory and umask are the daemon's.
    """
    program = executable or shutil.which(argv[0], path=ENVIRONMENT["PATH"]) or argv[0]
    actions: list[tuple[int, int, int] | tuple[int, int, str, int, int]] = []
    for number, fd in enumerate(stdio):
        if fd < 0:
            actions.append((os.POSIX_SPAWN_OPEN, number, "/dev/null", os.O_RDWR, 0))
        else:
            actions.append((os.POSIX_SPAWN_DUP2, fd, number))
    actions += [(os.POSIX_SPAWN_DUP2, fd, number) for fd, number in pass_fds]
    return os.posix_spawn(
        program,
        list(argv),
        environment,
        file_actions=actions,
        setsid=True,
        setsigmask=(),
        setsigdef=_ALL_SIGNALS,
    )


class Child:
    """A child of this process. `pidfd` signals it without the danger of a reused pid."""

    def __init__(self, pid: int) -> None:
        """Take over the unreaped child `pid`; to be called on the loop."""
        self.pid = pid
        self.pidfd = os.pidfd_open(pid)
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[int] = self._loop.create_future()
        self._loop.add_reader(self.pidfd, self._reap)

    def _reap(self) -> None:
        self._loop.remove_reader(self.pidfd)
        _, status = os.waitpid(self.pid, 0)
        os.close(self.pidfd)
        self.pidfd = -1
        self._ended.set_result(os.waitstatus_to_exitcode(status))

    def when_ended(self, callback: Callable[[int], None]) -> None:
        """Call back with the return code."""
        self._ended.add_done_callback(lambda future: callback(future.result()))

    async def wait(self) -> int:
        """Return the return code, as in Completed."""
        return await asyncio.shield(self._ended)

    def kill(self) -> None:
        """End it by SIGKILL, if it has not ended."""
        if self.pidfd >= 0:
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)


async def run(
    argv: Sequence[str],
    *,
    executable: str | None = None,
    stdin: bytes | None = None,
    cwd: str = "/",
    pass_fds: Sequence[int] = (),
    timeout: float | None = None,
    limit: int = 1 << 20,
    environment: Mapping[str, str] = ENVIRONMENT,
    with_helpers: bool = False,
) -> Completed:
    """Run a program to its end and return what it said, each of stdout and stderr cut after `limit` bytes.

    `pass_fds` keep their numbers. Raises OSError when it cannot be executed and TimeoutError after `timeout`
    seconds; then, or when the caller is cancelled, the child is killed and reaped, and `with_helpers` all that it has
    started is gone before that shows. Output counts until the child's own end: what it leaves in the background is not
    waited for.
    """
    loop = asyncio.get_running_loop()
    if await asyncio.to_thread(os.getcwd) != cwd:
        argv = ["env", f"--chdir={cwd}", executable or argv[0], *argv[1:]]
        executable = None
    pipes = [os.pipe2(os.O_CLOEXEC), os.pipe2(os.O_CLOEXEC), os.pipe2(os.O_CLOEXEC)]
    (stdin_read, stdin_write), (out_read, out_write), (err_read, err_write) = pipes
    try:
        stdio = (-1 if stdin is None else stdin_read, out_write, err_write)
        passed = [(fd, fd) for fd in pass_fds]
        child = Child(
            birth(argv, executable=executable, stdio=stdio, pass_fds=passed, environment=environment)
        )
    except BaseException:  # ValueError, too: a NUL in an argument
        for fd in (out_read, err_read, stdin_write):
            os.close(fd)
        raise
    finally:
        for fd in (stdin_read, out_write, err_write):
            os.close(fd)
    feeder = _Feeder(loop, stdin_write, stdin or b"")
    outputs = [_Collector(loop, out_read, limit), _Collector(loop, err_read, limit)]
    try:
        async with asyncio.timeout(timeout):
            returncode = await child.wait()
    except (TimeoutError, asyncio.CancelledError):
        if with_helpers:
            await whole(_end_group(child))
        child.kill()
        raise
    finally:
        feeder.close()
        stdout, stderr = [output.close() for output in outputs]
    return Completed(returncode=returncode, stdout=stdout, stderr=stderr)


async def _end_group(child: Child) -> None:
    """End a child with its process group, which bears its number as long as one of them is there."""
    try:
        while True:
            os.killpg(child.pid, signal.SIGKILL)
            await asyncio.sleep(_POLL)
    except ProcessLookupError:
        await child.wait()


class _Feeder:
    """Writes a child's stdin from the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, fd: int, data: bytes) -> None:
        self._loop = loop
        self._fd = fd
        self._data = memoryview(data)
        os.set_blocking(fd, False)
        loop.add_writer(fd, self._write)

    def _write(self) -> None:
        try:
            while self._data:
                self._data = self._data[os.write(self._fd, self._data[:_CHUNK]) :]
        except BlockingIOError:
            return
        except OSError:  # the child does not want it
            pass
        self.close()

    def close(self) -> None:
        if self._fd >= 0:
            self._loop.remove_writer(self._fd)
            os.close(self._fd)
            self._fd = -1


class _Collector:
    """Reads a child's output from the loop; beyond the limit it is read and dropped."""

    def __init__(self, loop: asyncio.AbstractEventLoop, fd: int, limit: int) -> None:
        self._loop = loop
        self._fd = fd
        self._limit = limit
        self._data = bytearray()
        os.set_blocking(fd, False)
        loop.add_reader(fd, self._read)

    def _read(self) -> bool:
        """Take a chunk. False when there is none now, or never more."""
        try:
            chunk = os.read(self._fd, _CHUNK)
        except BlockingIOError:
            return False
        if not chunk:
            self._loop.remove_reader(self._fd)
            return False
        self._data += chunk[: max(0, self._limit - len(self._data))]
        return True

    def close(self) -> bytes:
        """Take what is still in the pipe (as much as a pipe can hold), close, and return all."""
        rounds = fcntl.fcntl(self._fd, fcntl.F_GETPIPE_SZ) // 4096 + 1
        while rounds and self._read():
            rounds -= 1
        self._loop.remove_reader(self._fd)
        os.close(self._fd)
        return bytes(self._data)
