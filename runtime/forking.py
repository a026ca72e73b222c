"""A process that forks workers. All is loaded in it, so that one is there at once.

Descriptor 3 is the daemon's socket (SOCK_SEQPACKET): each message brings the descriptors of one worker, its control
socket first. There is no reply; a control socket that closes says that no worker came of it. The server ends with the
daemon, and workers end with the server.
"""

import gc
import os
import select
import signal
import socket
import sys
from collections.abc import Callable, Sequence

from runtime.layers import confine
from runtime.shim import descriptors

_DAEMON = 3
_MESSAGE = 16
Work = Callable[[socket.socket, Sequence[int]], None]
"""What a worker does, with its control socket and the other descriptors; the process ends with it."""


def serve(work: Work, most: int, fork: Callable[[], int] = os.fork) -> None:
    """Serve until the daemon is gone; a worker has at most so many descriptors."""
    confine.end_with_parent()
    daemon = socket.socket(fileno=_DAEMON)
    daemon.set_inheritable(False)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for workers: they are reaped by the kernel
    gc.collect()
    gc.freeze()
    gc.disable()
    while True:
        message, fds = descriptors.receive(daemon, _MESSAGE, most)
        if not message:
            return
        server = os.pidfd_open(os.getpid())
        if fork() == 0:
            _become_worker(work, daemon, server, fds)
        for fd in (server, *fds):
            os.close(fd)


def _become_worker(work: Work, daemon: socket.socket, server: int, fds: Sequence[int]) -> None:
    try:
        confine.end_with_parent()
        if select.select([server], [], [], 0)[0]:  # it has ended before
            os._exit(1)
        os.close(server)
        daemon.close()
        gc.enable()
        work(socket.socket(fileno=fds[0]), fds[1:])
    except BaseException:  # noqa: BLE001  the top frame of the process
        sys.__excepthook__(*sys.exc_info())
        os._exit(1)
    os._exit(0)
