"""The process that forks workers of `docker cp`: `python -I -m runtime.archive.server`.

See runtime.forking. A worker has the descriptor for its archive and, for a running container, one of its mount
namespace beside its control socket.
"""

import socket
from collections.abc import Sequence

from runtime import forking
from runtime.archive import pids, worker


def _work(control: socket.socket, passed: Sequence[int]) -> None:
    data, *namespace = passed
    worker.run(control, data, namespace[0] if namespace else None)


if __name__ == "__main__":
    forking.serve(_work, 3, pids.fork)
