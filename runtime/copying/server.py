"""The process that forks the workers of builds: `python -I -m runtime.copying.server`. All is loaded, so that one is
there at once.

Descriptor 3 is the daemon's socket (SOCK_SEQPACKET): each message brings a worker's control socket and a descriptor for
an archive. As with runtime.archive.server there is no reply, and all end with the daemon.
"""

import gc
import os
import signal
import socket
import sys

from runtime.copying import worker
from runtime.layers import confine
from runtime.shim import descriptors

_DAEMON = 3
_MESSAGE, _MOST = 16, 2


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
        if os.fork() == 0:
            _become_worker(daemon, fds)
        for fd in fds:
            os.close(fd)


def _become_worker(daemon: socket.socket, fds: list[int]) -> None:
    server = os.getppid()
    try:
        confine.end_with_parent()
        if os.getppid() != server:
            os._exit(1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # it waits for its own
        daemon.close()
        gc.enable()
        control, data = fds
        worker.run(socket.socket(fileno=control), data)
    except BaseException:  # noqa: BLE001  the top frame of the process
        sys.__excepthook__(*sys.exc_info())
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    main()
