"""What clients may ask of a shim, and what it tells them unasked."""

from __future__ import annotations

import os

from runtime.shim import faults, protocol
from runtime.shim.client import Connection
from runtime.shim.execs import Execs
from runtime.shim.launch import describe
from runtime.shim.probes import Probe, Probes
from runtime.shim.process import Process
from runtime.shim.stream import StreamClient

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.shim.native import Start
    from runtime.shim.shim import Shim

_EVENT = b"0"


class Requests:
    """Replies are `id ok …` or `id error CODE TEXT`; events have id 0 and go to all that said hello."""

    def __init__(self, shim: Shim) -> None:
        self._shim = shim
        self._listeners: list[Connection] = []
        self._greeting: list[tuple[Connection, bytes]] = []
        self._starting = False
        self._start_here: Start | None = None
        self._after_start: Callable[[], None] | None = None
        self._execs = Execs(shim, self._exec_ended)
        self._probes = Probes(shim, self._probe_ended)

    @property
    def owing(self) -> bool:
        """Whether any client still has output to take."""
        init = self._shim.init
        return self._execs.owing or (init is not None and bool(init.output.clients))

    @property
    def execs_running(self) -> bool:
        """Whether an exec or a probe has not been seen to end."""
        return self._execs.running or self._probes.running

    def handle(self, connection: Connection, request: bytes, verb: bytes, arguments: list[bytes]) -> None:
        """Answer one request. ValueError and IndexError mean nonsense: the connection is closed."""
        if verb == b"hello":
            self._hello(connection, request)
        elif verb == b"start":
            self._start(connection, request)
        elif verb == b"resize":
            self._resize(connection, request, *arguments)
        elif verb == b"attach":
            self._attach(connection, request, arguments[0])
        elif verb == b"exec":
            self._exec(connection, request, *arguments)
        elif verb == b"expect-probes":
            self._shim.expect_probes()
            connection.send(request, "ok")
        elif verb == b"probe":
            self._probe(connection, request, *arguments)
        elif verb == b"unprobe":
            self._probes.cancel()
            connection.send(request, "ok")
        elif verb == b"updated":
            self._shim.updated(arguments[0].decode("ascii"))
            connection.send(request, "ok")
        else:
            connection.send(request, "error", 0, f"unknown request {verb.decode('ascii', 'replace')}")

    def forget(self, connection: Connection) -> None:
        """A connection was closed, or became a stream."""
        if connection in self._listeners:
            self._listeners.remove(connection)
            if not self._listeners:  # the daemon is gone, and another will probe anew
                self._probes.cancel()

    def greet(self, connection: Connection) -> None:
        """Tell the daemon that ordered this shim that it lives."""
        self._listeners.append(connection)
        connection.send(_EVENT, "hello", protocol.VERSION, os.getpid())

    def after_start(self, callback: Callable[[], None]) -> None:
        """Call back at once, or when a start that is under way is answered.

        A container may end before `runtime start` does: deleted under it, the start would fail.
        """
        if self._starting:
            self._after_start = callback
        else:
            callback()

    def init_ended(self) -> None:
        """Init was reaped: a start that waits for its word will get none."""
        if self._start_here is not None:
            self._start_here.settle()

    def created(self) -> None:
        """Tell that `create` is done; pending hellos are answered."""
        assert self._shim.init is not None
        self._tell("created", self._shim.init.pid, fd=self._shim.pidfd)
        for connection, request in self._greeting:
            self._hello(connection, request)
        self._greeting.clear()

    def failed(self, code: int, text: str) -> None:
        """Tell that there is no container."""
        self._tell("failed", code, text)
        for connection, _ in self._greeting:
            connection.close()

    def exited(self) -> None:
        """Tell how init ended."""
        self._tell("exit", *self._exit_fields())

    def deleted(self) -> None:
        """Tell that nothing of the container is left but this process."""
        self._tell("deleted")

    def _tell(self, *fields: str | bytes | int, fd: int = -1) -> None:
        for connection in list(self._listeners):
            connection.send(_EVENT, *fields, fd=fd)

    def _exit_fields(self) -> tuple[int, int, int]:
        init = self._shim.init
        if init is None or init.code is None:
            return (0, 0, 0)
        return (init.code, init.at, int(self._shim.oom))

    def _hello(self, connection: Connection, request: bytes) -> None:
        shim = self._shim
        if shim.state == "creating":
            self._greeting.append((connection, request))
            return
        pid = shim.init.pid if shim.init is not None else 0
        facts = (
            protocol.VERSION,
            os.getpid(),
            shim.state,
            pid,
            int(shim.order.terminal),
            *self._exit_fields(),
        )
        self._listeners.append(connection)
        connection.send(request, "ok", *facts, fd=shim.pidfd)

    def _start(self, connection: Connection, request: bytes) -> None:
        if self._shim.state != "created" or self._starting:
            connection.send(request, "error", 0, f"cannot start a container that is {self._shim.state}")
            return

        def ended(code: int, text: str) -> None:
            self._starting = False
            self._start_here = None
            self._answer_start(connection, request, code, text)
            if self._after_start is not None:
                self._after_start()

        try:
            assert self._shim.init is not None
            self._start_here = self._shim.command.start(self._shim.init.pid, ended)
        except OSError as error:
            connection.send(request, "error", 0, describe(error))
            return
        self._starting = True
        faults.point("shim.starting")

    def _answer_start(self, connection: Connection, request: bytes, code: int, text: str) -> None:
        if code != 0:
            connection.send(request, "error", code, text)
            return
        faults.point("shim.started")
        if self._shim.state == "created":
            self._shim.state = "running"
        connection.send(request, "ok")

    def _resize(
        self, connection: Connection, request: bytes, name: bytes, height: bytes, width: bytes
    ) -> None:
        process = self._shim.init if not name else self._execs.get(name.decode())
        try:
            if process is None:
                raise OSError("no such process")
            process.resize(int(height), int(width))
        except OSError as error:
            connection.send(request, "error", 0, describe(error))
            return
        connection.send(request, "ok")

    def _attach(self, connection: Connection, request: bytes, wants: bytes) -> None:
        if self._shim.init is None:
            connection.send(request, "error", 0, "there is no process to attach to")
            return
        connection.send(request, "ok")
        self._become_stream(connection, self._shim.init, wants)

    def _become_stream(self, connection: Connection, process: Process, wants: bytes) -> None:
        released = connection.release()
        if released is not None:
            sock, early = released
            StreamClient(self._shim.loop, sock, process, wants).begin(early)

    def _exec(self, connection: Connection, request: bytes, *arguments: bytes) -> None:
        if self._shim.state != "running":
            connection.send(request, "error", 0, f"cannot exec in a container that is {self._shim.state}")
            return
        self._execs.start(connection, request, *arguments)

    def _exec_ended(self, process: Process) -> None:
        assert process.code is not None
        self._tell("exec-exit", process.name, process.code, process.at)

    def _probe(self, connection: Connection, request: bytes, *arguments: bytes) -> None:
        if self._shim.state != "running":
            connection.send(request, "error", 0, f"cannot probe a container that is {self._shim.state}")
            return
        self._probes.start(connection, request, *arguments)

    def _probe_ended(self, probe: Probe) -> None:
        process = probe.process
        assert process is not None
        assert process.code is not None
        output = probe.output.data.hex()
        self._tell("probe-exit", probe.name, process.code, process.at, int(probe.late), output)
