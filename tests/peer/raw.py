"""A raw connection to a daemon: an HTTP head, what follows it, and all that comes back."""

import contextlib
import json
import socket
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.peer.masks import mask, mask_header
from tests.peer.peer import Answer

OPEN = "(open)"
_HEAD_END = b"\r\n\r\n"
_PATIENCE = 20.0  # seconds for what has to come


class Exchange:
    """POST, then send bytes, and read what comes back. The body is all that follows the head as it came: text, chunks,
    frames.

    Nothing is sent before the head of the answer is there, and no end before something came for what was sent.
    """

    def __init__(
        self,
        path: Path,
        target: str,
        body: Any = None,
        *,
        upgrade: bool = True,
        send: bytes = b"",
        half_close: bool = True,
    ) -> None:
        data = b"" if body is None else json.dumps(body).encode()
        head = [f"POST {target} HTTP/1.1", "Host: docker", f"Content-Length: {len(data)}"]
        head += ["Content-Type: application/json"] if data else []
        head += ["Connection: Upgrade", "Upgrade: tcp"] if upgrade else []
        self._connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._found = b""
        self._ended = False
        self._connection.connect(str(path))
        self._connection.sendall("\r\n".join([*head, "", ""]).encode() + data)
        self._say(send, half_close=half_close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    @property
    def ended(self) -> bool:
        """Whether the daemon has ended it."""
        return self._ended

    def read(self, patience: float) -> Answer:
        """All that came until it ended; OPEN is at the end of a body when nothing came for that long (seconds)."""
        while self._reads(patience):
            pass
        text = self._found.decode("latin-1") + ("" if self._ended else OPEN)
        head, _, rest = text.partition("\r\n\r\n")
        status, *lines = head.split("\r\n")
        fields = (line.partition(": ") for line in lines)
        headers = {name.lower(): mask_header(name.lower(), value) for name, _, value in fields}
        return Answer(int(status.split()[1]), {"(status line)": status, **headers}, mask(rest))

    def _say(self, send: bytes, *, half_close: bool) -> None:
        while _HEAD_END not in self._found and self._reads(_PATIENCE):
            pass
        if send:
            time.sleep(0.2)
            self._send(send)
        if half_close:
            if send and not self._ended:
                self._reads(_PATIENCE)
            time.sleep(0.2)
            with contextlib.suppress(OSError):
                self._connection.shutdown(socket.SHUT_WR)

    def _send(self, data: bytes) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._connection.sendall(data)

    def _reads(self, seconds: float) -> bool:
        """Whether something came in time."""
        self._connection.settimeout(seconds)
        try:
            data = self._connection.recv(1 << 16)
        except TimeoutError:
            return False
        except ConnectionResetError:
            data = b""
        self._found += data
        self._ended = not data
        return bool(data)
