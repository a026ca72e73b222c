"""Waiting for what the world tells nobody."""

import os
import select
import socket
import time
from collections.abc import Callable


def eventually(holds: Callable[[], object], seconds: float = 20) -> None:
    """Wait until something holds. AssertionError when it does not within that time."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"it did not come about within {seconds} s"
        time.sleep(0.02)


def dies(pidfd: int) -> None:
    """Wait until a process is dead, and close what tells of it. AssertionError when it lives on for 20 seconds."""
    try:
        assert select.select([pidfd], [], [], 20)[0], "it lives"
    finally:
        os.close(pidfd)


def served(port: int) -> bytes:
    """What a server at a port of loopback says first; b"" when it says nothing for some seconds."""
    for _ in range(100):
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
                if data := connection.recv(100):
                    return data
        except OSError:
            pass
        time.sleep(0.05)
    return b""
