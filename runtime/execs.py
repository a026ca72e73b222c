"""Further processes in a container: started through its shim, waited for, resized and signalled."""

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from errdefs import Conflict, SystemFailure
from runtime import runc
from runtime.exiting import exiting
from runtime.shim_client import RefusedError, Reply, ShimLostError
from runtime.shim_stream import Stream, open_stream
from runtime.task_values import EXIT_KILLED, ExecRequest, Exit

if TYPE_CHECKING:
    from runtime.task import Task


class ExecProcess:
    """A process started by `Task.exec`. `stream` is None when nothing was attached."""

    def __init__(
        self, task: "Task", exec_id: str, reply: Reply, stream: Stream, ended: asyncio.Future[Exit]
    ) -> None:
        self.id = exec_id
        self.pid = int(reply.fields[0])
        self.stream: Stream | None = stream
        self._task = task
        self._pidfd = reply.fd
        self._ended = ended
        ended.add_done_callback(lambda _: self._release())

    async def wait(self) -> Exit:
        """Return how it ended, once its output was read to the end (or for two seconds after its own)."""
        return await asyncio.shield(self._ended)

    async def resize(self, height: int, width: int) -> None:
        """Set the size of its terminal in characters. Conflict when it has none, or has ended."""
        await self._task.resize(height, width, self.id)

    async def kill(self, signal: int) -> None:
        """Signal it; nothing happens once it has ended."""
        send_signal(self._pidfd, signal)

    def _release(self) -> None:
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1


class Execs:
    """The processes of a task beside init, until each has ended."""

    def __init__(self, task: "Task") -> None:
        self._task = task
        self._running: dict[str, asyncio.Future[Exit]] = {}

    async def start(self, request: ExecRequest) -> ExecProcess:
        """See `Task.exec`."""
        await asyncio.to_thread(self._write_process, request)
        ended: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        self._running[request.id] = ended
        wants = request.attach.wants if request.attach is not None else ""
        try:
            async with refusals(self._task, request.id):
                stream, reply = await open_stream(
                    self._task.state_dir,
                    "exec",
                    request.id,
                    int(request.terminal),
                    int(request.open_stdin),
                    wants,
                )
        except BaseException:
            self._running.pop(request.id, None)
            raise
        process = ExecProcess(self._task, request.id, reply, stream, ended)
        if request.attach is None:
            stream.close()
            process.stream = None
        return process

    def ended(self, exec_id: bytes, code: bytes, at: bytes) -> None:
        """Take the event that tells of an end."""
        ended = self._running.pop(exec_id.decode("ascii", "replace"), None)
        if ended is not None:
            ended.set_result(Exit(code=int(code), at=int(at)))

    def end_all(self, reason: str) -> None:
        """The shim is gone, and they with it."""
        for ended in self._running.values():
            ended.set_result(Exit(code=EXIT_KILLED, at=time.time_ns(), reason=reason))
        self._running.clear()

    def _write_process(self, request: ExecRequest) -> None:
        """Leave the process for `runc exec` to read; the shim removes it. Its environment may hold
        secrets.
        """
        path = self._task.state_dir / f"exec-{request.id}.json"
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(fd, "w", encoding="utf-8") as file:
                json.dump(request.process, file)
        except FileNotFoundError:
            raise Conflict(f"container {self._task.id} is not running") from None
        except OSError as error:
            raise SystemFailure(f"cannot write {path}: {error.strerror}") from error


@asynccontextmanager
async def refusals(task: "Task", exec_id: str) -> AsyncIterator[None]:
    """Why no process was started in the container: the runtime's words, or Conflict when it does not run."""
    try:
        yield
    except RefusedError as error:
        raise await _refusal(task, exec_id, error) from None
    except ShimLostError:
        raise Conflict(f"container {task.id} is not running") from None


async def _refusal(task: "Task", exec_id: str, error: RefusedError) -> Exception:
    path = task.state_dir / f"exec-{exec_id}.log"
    log = await runc.read_log(path)
    await asyncio.to_thread(path.unlink, missing_ok=True)
    await asyncio.to_thread((task.state_dir / f"exec-{exec_id}.json").unlink, missing_ok=True)
    if error.code == 0:
        return Conflict(error.text)
    if exiting(task.pid):  # the kernel takes the container's processes from under the runtime
        return Conflict(f"container {task.id} is not running")
    failed = runc.exec_error(log, error.code, error.text, task.runtime.path)
    if "cannot exec in a paused container" in failed.message:  # since it was asked for
        return Conflict(f"Container {task.id} is paused, unpause the container before exec")
    return failed


def send_signal(pidfd: int, number: int) -> None:
    """Signal a process, if it has not ended; nothing for -1."""
    if pidfd < 0:
        return
    try:
        signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        pass
