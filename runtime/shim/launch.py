"""Running the OCI runtime: as a child that is reaped by the loop, never waited for."""

from __future__ import annotations

import os
import socket

from runtime.shim import descriptors, native
from runtime.shim.cgroup import Cgroups
from runtime.shim.epoll import ENVIRONMENT, Loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.shim.memfd import Binary
    from runtime.shim.order import Order
    from runtime.shim.process import Process
    from runtime.shim.room import Room


_SHORT_LIVED = ENVIRONMENT | {"GOGC": "off"}
"""runc ends before its garbage would matter. Its init and containers have their own environment; hooks have this."""
_LOOK = 0.5  # seconds between two looks at a runtime that takes long


def describe(error: OSError) -> str:
    """Return what failed on what, in the spelling of the runtimes: "/x: no such file or directory"."""
    text = (error.strerror or str(error)).lower()
    return f"{error.filename}: {text}" if error.filename else text


class RuntimeCommand:
    """The runtime of one container, with its global arguments."""

    def __init__(self, loop: Loop, order: Order, binary: Binary) -> None:
        self._loop = loop
        self._order = order
        self._executable = f"/proc/self/fd/{binary.fd}" if binary.fd >= 0 else order.runtime
        self._binary = binary.fd
        self._native = binary.native
        self.native = binary.native and order.plain
        self._environment = _SHORT_LIVED if binary.native and order.plain else ENVIRONMENT
        self._null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)

    def run(
        self,
        log: str,
        arguments: list[str],
        ended: Callable[[int], None],
        stdio: tuple[int, int, int] | None = None,
    ) -> None:
        """Start it with its errors going to the file `log` in the state directory. Raises OSError.

        `ended` gets its exit code, negative for a signal.
        """
        order = self._order
        head = [order.runtime, *order.runtime_args, "--root", order.root]
        head += ["--log", f"{order.state_dir}/{log}", "--log-format", "json"]
        null = (self._null, self._null, self._null)
        self._loop.spawn(self._executable, [*head, *arguments], stdio or null, ended, self._environment)

    def start(self, pid: int, ended: Callable[[int, str], None]) -> native.Start | None:
        """Start the created container, whose init is `pid`. Raises OSError.

        `ended` gets the runtime's exit code and the reason, "" where start.log has it. Returns what is to be told if
        init ends before; None when the runtime itself is at it.
        """
        if self._native and self._order.plain:
            try:
                return native.Start(self._loop, self._state, pid, self._binary, ended)
            except OSError:  # the runtime says why
                pass
        self.run("start.log", ["start", self._order.id], lambda code: ended(code, ""))
        return None

    def delete(self, cgroups: Cgroups | None, ended: Callable[[int], None]) -> None:
        """Delete the container, dead or alive. Raises OSError. `cgroups`: those of an init that has been reaped."""
        plain = self._native and self._order.plain and not self._order.runtime_args
        if plain and cgroups is not None and cgroups.remove() and native.forget(self._state):
            ended(0)
            return
        self.run("delete.log", ["delete", "--force", self._order.id], ended)

    @property
    def _state(self) -> str:
        return f"{self._order.root}/{self._order.id}"


class Launch:
    """One `create` or `exec`: pipes or console, the runtime's run, and the pid that comes of it."""

    def __init__(
        self,
        loop: Loop,
        directory: int,
        process: Process,
        *,
        pid_file: str,
        room: Room | None = None,
        launched: Callable[[int], None],
        reaped: Callable[[int], None],
    ) -> None:
        """`directory` is an fd of the state directory; `room`: that in the container, if there is one already.

        `launched` gets the runtime's exit code; at 0 `process.pid` is set and its output not yet read.
        `reaped` gets the process's own exit code, later.
        """
        self._loop = loop
        self._directory = directory
        self._process = process
        self._pid_file = pid_file
        self._room = room
        self._launched = launched
        self._reaped = reaped
        self._console: socket.socket | None = None
        self._console_name = f"console-{process.name[:12]}.sock"
        self._running = True
        self._clogged = False

    def run(self, command: RuntimeCommand, log: str, before: list[str], after: list[str]) -> None:
        """Start the runtime with `before`, the options made here, `after`. Raises OSError, leaving
        nothing.
        """
        self._loop.expect()
        if self._room is not None:
            self._room.take()
        try:
            stdio = self._process.open_stdio()
            options = ["--pid-file", f"/proc/{os.getpid()}/fd/{self._directory}/{self._pid_file}"]
            if self._process.terminal:
                options += ["--console-socket", self._listen()]
            command.run(log, [*before, *options, *after], self._ended, stdio)
            self._loop.later(_LOOK, self._look)
        except OSError:
            self._loop.claim(None, self._reaped)
            self._close_console()
            self._process.discard()
            self._leave_room()
            raise

    def _listen(self) -> str:
        """Listen for the terminal. The path goes through /proc: a socket's may have no more than 107
        bytes.
        """
        self._console = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        path = f"/proc/{os.getpid()}/fd/{self._directory}/{self._console_name}"
        self._console.bind(path)
        self._console.listen(1)
        self._console.settimeout(0)
        return path

    def _look(self) -> None:
        """Let a runtime go on that waits for somebody to read an error longer than a pipe; its log has it, too.

        Without a pid file the process is not there yet, and what fills the pipe is not its output.
        """
        if not self._running:
            return
        clogged = self._process.output.clogged and not self._has_pid()
        if clogged and self._clogged:
            self._process.output.skip()
        self._clogged = clogged
        self._loop.later(_LOOK, self._look)

    def _has_pid(self) -> bool:
        try:
            os.stat(self._pid_file, dir_fd=self._directory)
        except OSError:
            return False
        return True

    def _ended(self, code: int) -> None:
        self._running = False
        self._process.close_child_stdio()
        self._leave_room()  # for which a descriptor is free now, however many others are at it
        if code == 0:
            try:
                self._take_console()
                self._process.pid = self._read_pid()
            except (OSError, ValueError):  # the runtime succeeded, and yet left no pid or terminal
                code = 255
        self._close_console()
        if code != 0:
            self._loop.claim(None, self._reaped)
            self._process.discard()
        self._launched(code)
        if code == 0:
            self._loop.claim(self._process.pid, self._reaped)

    def _leave_room(self) -> None:
        if self._room is not None:
            self._room.leave()

    def _take_console(self) -> None:
        if self._console is None:
            return
        connection, _ = self._console.accept()
        with connection:
            _, fds = descriptors.receive(connection, 4096, 1)
        if not fds:  # no descriptor was free: the kernel has closed it, which hangs up whose terminal it is
            raise OSError("no terminal came")
        self._process.take_console(fds[0])

    def _read_pid(self) -> int:
        fd = os.open(self._pid_file, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._directory)
        try:
            return int(os.read(fd, 32))
        finally:
            os.close(fd)

    def _close_console(self) -> None:
        if self._console is not None:
            self._console.close()
            self._console = None
            try:
                os.unlink(self._console_name, dir_fd=self._directory)
            except OSError:
                pass
