"""Descriptors that come over a socket: all that were sent, and none that a child would have."""

import os
import socket
from pathlib import Path

from runtime.shim import descriptors
from runtime.spawn import birth


def child_of_ours() -> list[str]:
    """What a child has open that was given nothing."""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    code = os.waitpid(birth(["sh", "-c", "ls -l /proc/$$/fd"], stdio=(-1, writing, -1)), 0)[1]
    os.close(writing)
    with os.fdopen(reading) as said:
        lines = said.read().splitlines()
    assert code == 0
    return [line.partition(" -> ")[0].split()[-1] for line in lines if " -> " in line]


def test_what_is_received_is_no_childs() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pidfd = os.pidfd_open(os.getpid())
    with ours, theirs, Path("/dev/null").open("rb") as null:
        socket.send_fds(theirs, [b"two"], [null.fileno(), pidfd])
        data, received = descriptors.receive(ours, 16, 4)
        assert data == b"two"
        try:
            assert [os.fstat(fd).st_ino for fd in received] == [
                os.fstat(fd).st_ino for fd in (null.fileno(), pidfd)
            ]
            assert not [fd for fd in received if os.get_inheritable(fd)]
            assert not set(map(str, received)) & set(child_of_ours())
        finally:
            for fd in (pidfd, *received):
                os.close(fd)


def test_bytes_alone() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"word")
        assert descriptors.receive(ours, 16, 1) == (b"word", [])
        theirs.close()
        assert descriptors.receive(ours, 16, 1) == (b"", [])
