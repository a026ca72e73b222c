"""A shim's life, lived in the zygote before the first shim is born.

What a process does for the first time writes to memory: bytecode that adapts itself, caches of attributes, blocks that
are taken and given back. What was written before the fork is shared by all shims. The container is `cat` and its
runtime a few lines of shell; all else is as in any life.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import time

from runtime.shim import libc, protocol
from runtime.shim.epoll import READ
from runtime.shim.memfd import Binary
from runtime.shim.order import Order
from runtime.shim.shim import Shim

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

LIVES = 10  # Python 3.11 adapts code that has run eight times
_PATIENCE = 2.0  # seconds for all lives: the first container waits for them
_CHUNK = 4096
_ID = "0" * 64
# Called as `runtime --root R … create … --pid-file P ID`; $0 is --root. As runc's init does, `cat` says "0" in the fifo
# and closes it at its execution. It opens the fifo for both, which waits for nobody, and is let go by a line of its
# stdin: where this process is killed meanwhile, there is no reader to come, and stdin ends.
_RUNTIME = """exec 3<&0
for last; do :; done
fifo=$1/$last/exec.fifo
while [ $# -gt 1 ]; do
    if [ "$1" = --pid-file ]; then
        {
            if [ -p "$fifo" ]; then
                exec 4<>"$fifo"
                printf 0 >&4
                read -r go <&3
            fi
            exec cat <&3 3<&- 4<&-
        } &
        echo $! >"$2"
    fi
    shift
done"""
_LINE = b"a line\n"


def rehearse(directory: str, *, native: bool) -> None:
    """Live in `directory`, which is made and removed. Raises OSError when that is not possible.

    To be called after `heed_children`, in a process that has no children. `native`: whether containers will be started
    without the runtime, see runtime.shim.native.
    """
    descriptors = set(_descriptors())
    try:
        end = time.monotonic() + _PATIENCE
        for number in range(LIVES):
            if (left := end - time.monotonic()) <= 0:
                break
            _clear(directory)
            os.mkdir(directory, 0o700)
            if native:
                os.mkdir(f"{directory}/{_ID}")
                os.mkfifo(f"{directory}/{_ID}/exec.fifo")
            _live(directory, Binary(native=native), execs=number == 0, patience=left)
            _bury(descriptors)
    finally:
        _bury(descriptors)
        _clear(directory)


def _live(directory: str, binary: Binary, *, execs: bool, patience: float) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    order = Order(
        id=_ID,
        bundle=directory,
        state_dir=directory,
        root=directory,
        runtime="/bin/sh",
        runtime_args=("-c", _RUNTIME),
        open_stdin=True,
        stdin_once=True,
        log_path=f"{directory}/log",
        log_max_size=1 << 20,
        plain=True,
    )
    shim = Shim(Order.decode(order.encode()), theirs, binary)
    _Daemon(shim, ours, execs=execs)
    shim.loop.later(patience, shim.loop.stop)
    shim.run()
    shim.loop.close()
    libc.become_subreaper()  # as at a birth


def _bury(descriptors: set[int]) -> None:
    """End what a life left, and close all but these: a shim's end would take it along."""
    gc.unfreeze()  # as a shim did that is no more
    gc.collect()
    for fd in set(_descriptors()) - descriptors:
        os.close(fd)
    try:
        while True:
            pid, _ = os.waitpid(-1, os.WNOHANG)
            if not pid:
                _kill_children()
                os.waitpid(-1, 0)
    except ChildProcessError:
        return


def _kill_children() -> None:
    pid = os.getpid()
    with open(f"/proc/{pid}/task/{pid}/children", "rb") as children:
        for child in children.read().split():
            os.kill(int(child), signal.SIGKILL)


def _descriptors() -> Iterator[int]:
    """Yield the open ones, without that of the listing."""
    for name in os.listdir("/proc/self/fd"):
        if os.path.exists(f"/proc/self/fd/{name}"):
            yield int(name)


def _clear(directory: str) -> None:
    """Remove it, if it is there."""
    for path, folders, files in os.walk(directory, topdown=False):
        for name in files:
            os.unlink(f"{path}/{name}")
        for name in folders:
            os.rmdir(f"{path}/{name}")
    try:
        os.rmdir(directory)
    except FileNotFoundError:
        pass


class _Daemon:
    """The other end: it asks for what daemons ask for, each in its turn."""

    def __init__(self, shim: Shim, control: socket.socket, *, execs: bool) -> None:
        """`execs`: whether one is asked for, too; most containers have none."""
        self._shim = shim
        self._control = control
        self._execs = execs
        self._decoder = protocol.Decoder()
        self._clients: list[socket.socket] = []
        shim.loop.watch(control.fileno(), READ, self._readable)

    def _readable(self, fd: int, _events: int) -> None:
        data = self._control.recv(_CHUNK)
        if not data:
            self._shim.loop.forget(fd)
        self._decoder.feed(data)
        while (message := self._decoder.next()) is not None:
            self._answer(message[:2])

    def _answer(self, message: list[bytes]) -> None:
        if message == [b"0", b"created"]:
            # Its line is taken after the start, which is there when the shim first looks: this has to be accepted.
            self._connect(
                protocol.encode(1, "hello", 1),
                protocol.encode(2, "attach", "ioe"),
                protocol.input_header(len(_LINE)) + _LINE,
            )
            self._control.send(protocol.encode(1, "resize", "", 24, 80) + protocol.encode(2, "start"))
        elif message == [b"2", b"ok"] and self._execs:
            self._connect(protocol.encode(1, "exec", 1, 0, 1, "ioe"), protocol.input_header(0))
        elif message in ([b"2", b"ok"], [b"0", b"exec-exit"]):
            self._clients[0].send(protocol.input_header(len(_LINE)) + _LINE + protocol.input_header(0))

    def _connect(self, *requests: bytes) -> None:
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        client.connect(f"/proc/self/fd/{self._shim.directory}/sock")
        client.send(b"".join(requests))
        self._clients.append(client)
        self._shim.loop.watch(client.fileno(), READ, self._drain)

    def _drain(self, fd: int, _events: int) -> None:
        if not os.read(fd, _CHUNK):
            self._shim.loop.forget(fd)
