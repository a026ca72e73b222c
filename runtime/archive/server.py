"""The process that forks workers of `docker cp`: `python -I -m runtime.archive.server`.

See runtime.forking. A worker has a descriptor for its archive beside its control socket.
"""

import socket
from collections.abc import Sequence

from runtime import forking
from runtime.archive import pids, worker


def _work(control: socket.socket, passed: Sequence[int]) -> None:
    (data,) = passed
    worker.run(control, data)


if __name__ == "__main__":
    forking.serve(_work, 2, pids.fork)
