"""The process that forks workers: `python -I -m runtime.archive.server`. All is loaded, so that one is there at once.

Descriptor 3 is the daemon's socket (SOCK_SEQPACKET): each message brings a worker's control socket, the descriptor
for its archive and, for a running container, one of its mount namespace. There is no reply; a control socket that
closes says that no worker came of it. The server ends with the daemon, and workers end with the server.
"""

import gc
import os
import select
import signal
import socket
import sys

from runtime.archive import pids, worker
from runtime.layers import confine
from runtime.shim import descriptors

_DAEMON = 3
_MESSAGE, _MOST = 16, 3


def main() -> None:
    """Serve until the daemon is gone."""
    confine.end_with_parent()
    daemon = socket.socket(fileno=_DAEMON)
    daemon.set_inheritable(False)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for workers: they are reaped by the kernel
    gc.collect()
    gc.freeze()
    gc.disable()
    while True:
        message, fds = descriptors.receive(daemon, _MESSAGE, _MOST)
        if not message:
            return
        server = os.pidfd_open(os.getpid())
        if pids.fork() == 0:
            _become_worker(daemon, server, fds)
        for fd in (server, *fds):
            os.close(fd)


def _become_worker(daemon: socket.socket, server: int, fds: list[int]) -> None:
    try:
        confine.end_with_parent()
        if select.select([server], [], [], 0)[0]:  # it has ended before
            os._exit(1)
        os.close(server)
        daemon.close()
        gc.enable()
        control, data, *namespace = fds
        worker.run(socket.socket(fileno=control), data, namespace[0] if namespace else None)
    except BaseException:  # noqa: BLE001  the top frame of the process
        sys.__excepthook__(*sys.exc_info())
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    main()
