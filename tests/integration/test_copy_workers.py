"""The daemon's side of one copy, with a process in the worker's place that reads when it wants to."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import ExitStack

import uvloop

from runtime.archive.copy import Copy

CHUNKS, SIZE = 4, 60_000  # more than a socket holds, and in the end less than makes the sender wait
WORKER = """
import socket, sys, time
data, control = (socket.socket(fileno=int(fd)) for fd in sys.argv[1:])
time.sleep(0.2)
count = 0
while got := data.recv(1 << 16):
    count += len(got)
control.sendall(b'{"done": %d}\\n' % count)
"""


async def archive() -> AsyncIterator[bytes]:
    """What comes faster than it is read."""
    for _ in range(CHUNKS):
        yield bytes(SIZE)


async def feed(copy: Copy) -> None:
    """Feed a worker until it is done."""
    async with asyncio.timeout(10), copy.ordered({}, [], 1 << 16):
        await copy.feed(archive())


def test_the_end_comes_after_what_was_not_yet_written() -> None:
    data, its_data = socket.socketpair()
    control, its_control = socket.socketpair()
    passed = [its_data.fileno(), its_control.fileno()]
    with subprocess.Popen([sys.executable, "-I", "-c", WORKER, *map(str, passed)], pass_fds=passed) as worker:
        for theirs, ours in ((its_data, data), (its_control, control)):
            theirs.close()
            ours.settimeout(0)
        pidfd = os.pidfd_open(worker.pid)
        try:
            uvloop.run(feed(Copy(ExitStack(), pidfd, control, data)))
        finally:
            worker.kill()
            os.close(pidfd)
            control.close()
            data.close()
