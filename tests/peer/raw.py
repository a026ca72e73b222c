"""A raw connection to a daemon: an HTTP head, what follows it, and all that comes back."""

import contextlib
import json
import re
import socket
import time
from pathlib import Path
from typing import Any

from tests.peer.peer import mask

OPEN = "(open)"
_OWN = re.compile(r"^(Date|Server|Api-Version|Content-Length): .*\r\n", re.MULTILINE)


def exchange(
    path: Path,
    target: str,
    body: Any = None,
    *,
    upgrade: bool = True,
    send: bytes = b"",
    half_close: bool = True,
    patience: float = 0.6,
) -> str:
    """POST, then send bytes, and read to the end; OPEN is at the end of what did not end in time (seconds)."""
    data = b"" if body is None else json.dumps(body).encode()
    head = [f"POST {target} HTTP/1.1", "Host: docker", f"Content-Length: {len(data)}"]
    head += ["Content-Type: application/json"] if data else []
    head += ["Connection: Upgrade", "Upgrade: tcp"] if upgrade else []
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(patience)
        connection.connect(str(path))
        connection.sendall("\r\n".join([*head, "", ""]).encode() + data)
        if send:
            time.sleep(0.2)
            connection.sendall(send)
        if half_close:
            time.sleep(0.2)
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_WR)
        return _readable(_read(connection))


def _read(connection: socket.socket) -> str:
    found = b""
    try:
        while data := connection.recv(1 << 16):
            found += data
    except TimeoutError:
        return found.decode("latin-1") + OPEN
    except ConnectionResetError:
        pass
    return found.decode("latin-1")


def _readable(text: str) -> str:
    """Without what is each daemon's own; the order of a head's lines means nothing."""
    head, blank, rest = mask(text).partition("\r\n\r\n")
    status, _, lines = _OWN.sub("", head + "\r\n").partition("\r\n")
    return "\r\n".join([status, *sorted(lines.split("\r\n"))]) + blank + rest
