"""The process that forks the workers of builds: `python -I -m runtime.copying.server`.

See runtime.forking. A worker has a descriptor for an archive beside its control socket.
"""

import signal
import socket
from collections.abc import Sequence

from runtime import forking
from runtime.copying import worker


def _work(control: socket.socket, passed: Sequence[int]) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # it waits for its own
    (data,) = passed
    worker.run(control, data)


if __name__ == "__main__":
    forking.serve(_work, 2)
