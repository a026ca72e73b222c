"""The exec processes of one container."""

from __future__ import annotations

import os

from runtime.shim import faults
from runtime.shim.launch import Launch, describe
from runtime.shim.process import Process
from runtime.shim.stream import StreamClient

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.shim.client import Connection
    from runtime.shim.shim import Shim

_GRACE = 2.0  # seconds, as dockerd: what an exec leaves behind may hold its output that long


class Execs:
    """Starts exec processes, each asked for by a connection that then becomes its stream."""

    def __init__(self, shim: Shim, ended: Callable[[Process], None]) -> None:
        """`ended` is called for each with its exit code, once its output is complete."""
        self._shim = shim
        self._ended = ended
        self._running: dict[str, Process] = {}
        self._lingering: list[Process] = []

    @property
    def running(self) -> bool:
        """Whether any has not ended."""
        return bool(self._running)

    @property
    def owing(self) -> bool:
        """Whether a client of one that ended still has output to take."""
        self._lingering = [process for process in self._lingering if process.output.clients]
        return bool(self._lingering)

    def get(self, name: str) -> Process | None:
        """Return the exec of that id, if it runs."""
        return self._running.get(name)

    def start(
        self,
        connection: Connection,
        request: bytes,
        name: bytes,
        terminal: bytes,
        open_stdin: bytes,
        wants: bytes,
    ) -> None:
        """Run `runc exec` with the process in the file exec-ID.json. Raises ValueError for a bad or known
        id.
        """
        exec_id = name.decode("ascii")
        if not exec_id.isalnum() or exec_id in self._running:
            raise ValueError("an exec's id is new, and of letters and digits")
        process = Process(
            self._shim.loop,
            exec_id,
            terminal=terminal == b"1",
            open_stdin=open_stdin == b"1",
            stdin_once=True,
            grace=_GRACE,
            log=None,
            finished=self._finished,
            owner=self._shim.order.owner,
        )

        def launched(code: int) -> None:
            self._launched(connection, request, process, wants, code)

        def reaped(code: int) -> None:
            process.reaped(code)
            process.settle()

        connection.hold()
        self._running[exec_id] = process
        launch = Launch(
            self._shim.loop,
            self._shim.directory,
            process,
            pid_file=f"exec-{exec_id}.pid",
            room=self._shim.room,
            launched=launched,
            reaped=reaped,
        )
        self._launch(launch, connection, request, exec_id)

    def _launch(self, launch: Launch, connection: Connection, request: bytes, exec_id: str) -> None:
        order = self._shim.order
        arguments = ["exec", "--detach", "--process", f"{order.state_dir}/exec-{exec_id}.json"]
        try:
            launch.run(self._shim.command, f"exec-{exec_id}.log", arguments, [order.id])
        except OSError as error:
            self._refuse(connection, request, exec_id, 127, describe(error))
            return
        faults.point("shim.exec-launching")

    def _launched(
        self, connection: Connection, request: bytes, process: Process, wants: bytes, code: int
    ) -> None:
        if code != 0:
            self._refuse(connection, request, process.name, code, "")
            return
        faults.point("shim.exec-launched")
        pidfd = -1
        try:
            pidfd = os.pidfd_open(process.pid)
        except OSError:  # it has ended and was reaped: told next
            pass
        connection.send(request, "ok", process.pid, fd=pidfd)
        if pidfd >= 0:
            os.close(pidfd)
        released = connection.release()
        if released is not None:
            StreamClient(self._shim.loop, released[0], process, wants).begin(released[1])
        process.output.begin()
        # Only now: the daemon goes on meanwhile, and on a busy disk a removal takes its time.
        self._remove_files(process.name)
        self._shim.remove_file(f"exec-{process.name}.log")

    def _refuse(self, connection: Connection, request: bytes, exec_id: str, code: int, text: str) -> None:
        del self._running[exec_id]
        self._remove_files(exec_id)
        connection.send(request, "error", code, text)
        connection.resume()

    def _remove_files(self, exec_id: str) -> None:
        self._shim.remove_file(f"exec-{exec_id}.json")
        self._shim.remove_file(f"exec-{exec_id}.pid")

    def _finished(self, process: Process) -> None:
        self._running.pop(process.name, None)
        if process.output.clients:
            self._lingering.append(process)
        self._ended(process)
