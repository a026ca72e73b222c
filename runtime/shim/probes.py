"""The probes of a container's health: one at a time, with its output's beginning kept, and killed when it takes long.

They are the shim's, not the daemon's: should that die meanwhile, nothing of a probe is left behind.
"""

from __future__ import annotations

import os

from runtime.shim import entry, faults, inside
from runtime.shim.epoll import READ, Loop
from runtime.shim.launch import Launch, describe
from runtime.shim.process import Process
from runtime.shim.sessions import kill_session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.shim.client import Connection
    from runtime.shim.epoll import Timer
    from runtime.shim.shim import Shim

KEPT = 4097
"""Bytes of output that are told: one more than is shown, so that it is known whether there was more."""
_GRACE = 2.0
_FILE = "probe"
_REPORT = 4096
_LARGEST = 1 << 22


class Capture:
    """Takes a process's output in the place of a client: the beginning stays, the rest is dropped."""

    def __init__(self) -> None:
        self.data = b""
        self.owed = 0

    def push(self, _stream: int, chunk: bytes) -> None:
        """Take what came."""
        if len(self.data) < KEPT:
            self.data = (self.data + chunk)[:KEPT]

    def finish(self) -> None:
        """There will be no more."""


class Probe:
    """One run of a probe, from its request to its end. `process` is another once the runtime has to start it."""

    def __init__(self, connection: Connection, request: bytes, name: str, seconds: float) -> None:
        self.name = name
        self.seconds = seconds
        self.output = Capture()
        self.process: Process | None = None
        self.late = False
        self.cancelled = False
        self.timer: Timer | None = None
        self._connection = connection
        self._request = request

    def answer(self, *fields: str | bytes | int) -> None:
        """Tell who asked for it that it runs, or why it does not."""
        self._connection.send(self._request, *fields)


class Probes:
    """Runs what the files `probe` (a process to be put inside) and `probe.json` (the same for the runtime) say."""

    def __init__(self, shim: Shim, ended: Callable[[Probe], None]) -> None:
        """`ended` is called for each that ran, with its process's end and its output."""
        self._shim = shim
        self._ended = ended
        self._probe: Probe | None = None

    @property
    def running(self) -> bool:
        """Whether one has not ended."""
        return self._probe is not None

    def start(self, connection: Connection, request: bytes, name: bytes, timeout: bytes, way: bytes) -> None:
        """Run one; the answer comes once it runs. ValueError for nonsense.

        `timeout` is milliseconds from then on. `way`: "inside" or "runtime".
        """
        probe_id = name.decode("ascii")
        if not probe_id.isalnum():
            raise ValueError("a probe's id is of letters and digits")
        if self._probe is not None:
            self.cancel()
            connection.send(request, "error", 0, "the former probe has not ended")
            return
        self._probe = probe = Probe(connection, request, probe_id, int(timeout) / 1000)
        if way != b"inside" or not self._put_inside(probe):
            self._launch(probe)

    def cancel(self) -> None:
        """End the one that runs: nobody wants to know."""
        if self._probe is not None:
            self._probe.cancelled = True
            self._kill(self._probe)

    def _new_process(self, probe: Probe) -> Process:
        probe.process = process = Process(
            self._shim.loop,
            probe.name,
            terminal=False,
            open_stdin=False,
            stdin_once=False,
            grace=_GRACE,
            log=None,
            finished=lambda _: self._finished(probe),
        )
        process.output.attach(probe.output)
        return process

    def _put_inside(self, probe: Probe) -> bool:
        """Start it without the runtime; False if that cannot be."""
        room = self._shim.inside()
        if room is None:
            return False
        process = self._new_process(probe)
        try:
            order = entry.Order.decode(self._read())
            if not room.takes(order):
                return False
            arrival = self._enter(room, order, probe, process)
        except (OSError, ValueError, IndexError):
            process.discard()
            return False
        process.close_child_stdio()
        self._shim.loop.own(process.pid, lambda code: self._left(probe, arrival, code))
        return True

    def _enter(self, room: inside.Inside, order: entry.Order, probe: Probe, process: Process) -> Arrival:
        null, output, _ = process.open_stdio()
        reader, writer = os.pipe2(os.O_CLOEXEC)
        try:
            process.pid = room.fork(order, null, output, writer)
        except OSError:
            os.close(reader)
            raise
        finally:
            os.close(writer)
        return Arrival(self._shim.loop, reader, lambda told: self._arrived(probe, told))

    def _read(self) -> bytes:
        fd = os.open(_FILE, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._shim.directory)
        try:
            return os.read(fd, _LARGEST)
        finally:
            os.close(fd)

    def _arrived(self, probe: Probe, told: bytes) -> None:
        if told == inside.GO:
            self._began(probe)

    def _left(self, probe: Probe, arrival: Arrival, code: int) -> None:
        """What was put inside has ended: the probe, or what was to become it."""
        assert probe.process is not None
        if arrival.settle() == inside.GO:
            probe.process.reaped(code)
            probe.process.settle()
            return
        probe.process.discard()
        if probe.cancelled:
            self._refuse(probe, 0, "the probe was called off")
        else:
            self._launch(probe)

    def _launch(self, probe: Probe) -> None:
        """Have the runtime start it."""
        process = self._new_process(probe)

        def reaped(code: int) -> None:
            process.reaped(code)
            process.settle()

        order = self._shim.order
        launch = Launch(
            self._shim.loop,
            self._shim.directory,
            process,
            pid_file=f"exec-{probe.name}.pid",
            room=self._shim.room,
            launched=lambda code: self._launched(probe, code),
            reaped=reaped,
        )
        arguments = ["exec", "--detach", "--process", f"{order.state_dir}/{_FILE}.json"]
        try:
            launch.run(self._shim.command, f"exec-{probe.name}.log", arguments, [order.id])
        except OSError as error:
            self._refuse(probe, 127, describe(error))

    def _launched(self, probe: Probe, code: int) -> None:
        self._shim.remove_file(f"exec-{probe.name}.pid")
        if code != 0:
            self._refuse(probe, code, "")
            return
        self._shim.remove_file(f"exec-{probe.name}.log")
        self._began(probe)

    def _refuse(self, probe: Probe, code: int, text: str) -> None:
        self._probe = None
        probe.process = None
        probe.answer("error", code, text)

    def _began(self, probe: Probe) -> None:
        assert probe.process is not None
        faults.point("shim.probing")
        probe.answer("ok", probe.process.pid)
        probe.process.output.begin()
        if probe.cancelled:
            self._kill(probe)
        probe.timer = self._shim.loop.later(probe.seconds, lambda: self._too_late(probe))

    def _too_late(self, probe: Probe) -> None:
        probe.timer = None
        probe.late = True
        self._kill(probe)

    def _kill(self, probe: Probe) -> None:
        if probe.process is not None and probe.process.pid and probe.process.code is None:
            kill_session(probe.process.pid, self._shim.processes)

    def _finished(self, probe: Probe) -> None:
        if probe.timer is not None:
            self._shim.loop.call_off(probe.timer)
        self._probe = None
        self._ended(probe)
        probe.process = None  # they would be a cycle, and a shim that is never idle collects none


class Arrival:
    """What a process that is put inside tells, until it executes its program or ends."""

    def __init__(self, loop: Loop, fd: int, told: Callable[[bytes], None]) -> None:
        """`fd` is the read end; `told` is called once, with all of it."""
        self._loop = loop
        self._fd = fd
        self._told = told
        self._data = b""
        os.set_blocking(fd, False)
        loop.watch(fd, READ, self._readable)

    def settle(self) -> bytes:
        """It has ended: return what it told."""
        if self._fd >= 0:
            self._readable(self._fd, READ)
        return self._data

    def _readable(self, fd: int, _events: int) -> None:
        try:
            while chunk := os.read(fd, _REPORT):
                self._data += chunk
        except BlockingIOError:
            return
        self._loop.forget(fd)
        os.close(fd)
        self._fd = -1
        self._told(self._data)
