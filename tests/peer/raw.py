"""A raw connection to a daemon: an HTTP head, what follows it, and all that comes back."""

import contextlib
import json
import socket
import time
from pathlib import Path
from typing import Any

from tests.peer.masks import mask, mask_header
from tests.peer.peer import Answer

OPEN = "(open)"


def exchange(
    path: Path,
    target: str,
    body: Any = None,
    *,
    upgrade: bool = True,
    send: bytes = b"",
    half_close: bool = True,
    patience: float = 0.6,
) -> Answer:
    """POST, then send bytes, and read to the end; OPEN is at the end of a body that did not end in time (seconds).

    The body is all that follows the head as it came: text, chunks, frames.
    """
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
        return _answer(_read(connection))


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


def _answer(text: str) -> Answer:
    head, _, rest = text.partition("\r\n\r\n")
    status, *lines = head.split("\r\n")
    fields = (line.partition(": ") for line in lines)
    headers = {name.lower(): mask_header(name.lower(), value) for name, _, value in fields}
    return Answer(int(status.split()[1]), {"(status line)": status, **headers}, mask(rest))
