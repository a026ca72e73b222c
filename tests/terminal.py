"""A person at a terminal: runs a command on a pty, types, and reads what appears."""

import codecs
import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self


class Terminal:
    """`with Terminal([...]) as person:` type, wait for text, resize; the command is killed at the end."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str], size: tuple[int, int] = (24, 80)) -> None:
        self._argv, self._env, self._size = list(argv), dict(env), size
        self.seen = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")  # a read may end within a character

    def __enter__(self) -> Self:
        self._pid, self._fd = pty.fork()
        if self._pid == 0:
            os.execvpe(self._argv[0], self._argv, {**self._env, "TERM": "xterm"})
        self.resize(*self._size)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.code is None:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
        os.close(self._fd)

    code: int | None = None

    def type(self, text: str) -> None:
        """Type."""
        os.write(self._fd, text.encode())

    def wait_for(self, text: str, seconds: float = 20) -> str:
        """Read until the text has appeared; what was seen is in the failure."""
        deadline = time.monotonic() + seconds
        while text not in self.seen:
            if not self._read(deadline - time.monotonic()):
                raise AssertionError(f"{text!r} did not appear in {self.seen!r}")
        return self.seen

    def wait(self, seconds: float = 20) -> int:
        """Read to the end and return the exit code."""
        deadline = time.monotonic() + seconds
        while self._read(deadline - time.monotonic()):
            pass
        while time.monotonic() < deadline:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
                return self.code
            time.sleep(0.01)
        raise AssertionError(f"the command goes on; it showed {self.seen!r}")

    def resize(self, rows: int, columns: int) -> None:
        """Change the window's size, and say so as a terminal does."""
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def _read(self, seconds: float) -> bool:
        if seconds <= 0 or not select.select([self._fd], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self._fd, 65536)
        except OSError:
            return False
        self.seen += self._decoder.decode(data)
        return bool(data)
