"""An init or exec process as its shim knows it: stdio, pid, end."""

from __future__ import annotations

import os
import struct
import termios
import time
from fcntl import ioctl

from runtime.shim.epoll import Loop
from runtime.shim.protocol import STDERR, STDOUT
from runtime.shim.stdio import Input, Output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.shim.jsonlog import JsonLog


class Process:
    """One process of the container. `name` is "" for init, else the exec's id.

    `grace` is how many seconds after its end its output may still be held open by processes that it left
    behind. `owner` is the (uid, gid) of its pipes: the container's root.
    """

    def __init__(
        self,
        loop: Loop,
        name: str,
        *,
        terminal: bool,
        open_stdin: bool,
        stdin_once: bool,
        grace: float,
        log: JsonLog | None,
        finished: Callable[[Process], None],
        owner: tuple[int, int] = (0, 0),
    ) -> None:
        self.name = name
        self.terminal = terminal
        self.pid = 0
        self.code: int | None = None
        self.at = 0
        self.output = Output(loop, log, self._output_ended)
        self.input = Input(loop)
        self._loop = loop
        self._open_stdin = open_stdin
        self._stdin_once = stdin_once
        self._grace = grace
        self._finished = finished
        self._owner = owner
        self._done = False
        self._console = -1
        self._child_stdio: set[int] = set()

    def open_stdio(self) -> tuple[int, int, int]:
        """Make the pipes and return the child's ends: stdin, stdout, stderr. A terminal's come by its
        console. Raises OSError: what was made is to be discarded.
        """
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        self._child_stdio.add(null)
        if self.terminal:
            return null, null, null
        stdin = null
        if self._open_stdin:
            stdin, write_end = os.pipe2(os.O_CLOEXEC)
            self._child_stdio.add(stdin)
            self.input.add(write_end)
        stdout, stderr = self._output_pipe(STDOUT), self._output_pipe(STDERR)
        if self._owner != (0, 0):  # the container's root gives them to the process's user
            for fd in self._child_stdio - {null}:
                os.fchown(fd, *self._owner)
        return stdin, stdout, stderr

    def close_child_stdio(self) -> None:
        """Close the child's ends, which it has by now."""
        for fd in self._child_stdio:
            os.close(fd)
        self._child_stdio.clear()

    def take_console(self, master: int) -> None:
        """Take over the terminal that runc made."""
        self._console = master
        self.output.add(os.dup(master), STDOUT)
        if self._open_stdin:
            self.input.add(os.dup(master))

    def resize(self, height: int, width: int) -> None:
        """Set the terminal's size in characters. Raises OSError when there is no terminal (any more)."""
        if self._console < 0:
            raise OSError("it has no terminal")
        ioctl(self._console, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def end_input(self) -> None:
        """A client has sent the end of its stdin."""
        if self._stdin_once and not self.terminal:
            self.input.end()

    def discard(self) -> None:
        """Forget a process that never came to be."""
        self.close_child_stdio()
        self.output.discard()
        self._close_input()

    def reaped(self, code: int) -> None:
        """Take the end: a code as of `waitstatus_to_exitcode`. `settle` is to follow."""
        self.code = code if code >= 0 else 128 - code
        self.at = time.time_ns()

    def settle(self) -> None:
        """After `reaped`: drain the output, waiting `grace` for writers left behind, then finish."""
        self.output.drain()
        if self.output.drained:
            self._finish()
        else:
            self._loop.later(self._grace, self._finish)

    def _output_pipe(self, stream: int) -> int:
        read_end, write_end = os.pipe2(os.O_CLOEXEC)
        self._child_stdio.add(write_end)
        self.output.add(read_end, stream)
        return write_end

    def _output_ended(self) -> None:
        if self.code is not None:
            self._finish()

    def _finish(self) -> None:
        if self._done:
            return
        self._done = True
        self.output.drain()
        self.output.finish()
        self._close_input()
        self._finished(self)

    def _close_input(self) -> None:
        self.input.close()
        if self._console >= 0:
            os.close(self._console)
            self._console = -1
