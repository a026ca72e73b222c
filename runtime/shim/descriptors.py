"""Descriptors that come over a socket."""

from __future__ import annotations

import socket
from array import array

_CLOEXEC = int(socket.MSG_CMSG_CLOEXEC)


def receive(connection: socket.socket, size: int, most: int) -> tuple[bytes, list[int]]:
    """Up to `size` bytes, and up to `most` descriptors, which no child inherits. Raises OSError.

    Not by `socket.recv_fds`: that of Python 3.11 has flags, and does not heed them.
    """
    found = array("i")
    data, ancillary, _, _ = connection.recvmsg(size, socket.CMSG_LEN(most * found.itemsize), _CLOEXEC)
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            found.frombytes(content[: len(content) - len(content) % found.itemsize])
    return data, found.tolist()
