"""The process that forks shims: small, single-threaded, everything loaded. It holds nothing that a shim
needs later.

An order is one SOCK_SEQPACKET message with the daemon's end of the new shim's control channel. There is no
reply: the shim speaks on that channel itself, and its closing says that no shim came of it. The zygote ends
when the daemon's socket closes. It reaps shims, and what a dead shim leaves to it as their subreaper.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys

from runtime.shim import descriptors, faults, libc
from runtime.shim.epoll import READ, Loop, heed_children
from runtime.shim.holes import fill_holes
from runtime.shim.jsonlog import JsonLog
from runtime.shim.memfd import Binary, SealedBinaries
from runtime.shim.order import Order
from runtime.shim.protocol import MAX_MESSAGE, STDOUT
from runtime.shim.rehearsal import rehearse
from runtime.shim.shim import NAME as SHIM_NAME
from runtime.shim.shim import Shim, write_proc

CONTROL_FD = 3
NAME = "wherry-zygote"
_IGNORED = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGPIPE)  # shims inherit it
_OOM_SCORE = b"-998"
_taken: list[object] = []  # see holes


def main(runtime: str, directory: str, fault: str = "") -> None:
    """Serve the socket on fd 3 until it closes.

    `runtime`: a binary to copy at once, "" never to copy any. `directory`: one that can be made, for the rehearsal.
    """
    os.chdir("/")
    os.umask(0o022)
    os.closerange(CONTROL_FD + 1, 1 << 20)
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    heed_children()
    write_proc("comm", NAME.encode())
    _protect()
    libc.become_subreaper()
    daemon = socket.socket(fileno=CONTROL_FD)
    daemon.set_inheritable(False)
    binaries = SealedBinaries() if runtime else None
    native = binaries is not None and binaries.get(runtime).native
    _warm_up(directory, native=native)
    if fault:
        faults.arm(fault)
    Zygote(daemon, binaries).run()


def _protect() -> None:
    """Have the kernel spare this process and the shims when memory is short: containers set their own score."""
    try:
        write_proc("oom_score_adj", _OOM_SCORE)
    except OSError:  # not root enough: the default protects less, and that is all
        pass


def _warm_up(directory: str, *, native: bool) -> None:
    """Run all that shims run, so that the pages are shared by all of them; then leave memory alone."""
    log = JsonLog("/dev/null")
    log.write(STDOUT, b'a"b\n' * 4000)
    log.write(STDOUT, "é\n".encode() * 10 + b"\xff\n")
    log.write(STDOUT, b"x" * 20000 + b"\n")
    log.close()
    try:
        rehearse(directory, native=native)
    except Exception:  # noqa: BLE001  then shims take more memory, and are born all the same
        sys.__excepthook__(*sys.exc_info())
    gc.collect()
    libc.trim()
    _taken.extend(fill_holes())
    gc.freeze()
    gc.disable()


class Zygote:
    """Serves the daemon's socket."""

    def __init__(self, daemon: socket.socket, binaries: SealedBinaries | None) -> None:
        self._daemon = daemon
        self._binaries = binaries
        self._loop = Loop()
        self._loop.catch_children()
        self._loop.reap()
        self._loop.watch(daemon.fileno(), READ, self._serve)

    def run(self) -> None:
        """Fork shims until the daemon is gone."""
        self._loop.run()

    def _serve(self, _fd: int, _events: int) -> None:
        """Take one order."""
        message, fds = descriptors.receive(self._daemon, MAX_MESSAGE + 4, 1)
        if not message:
            self._loop.stop()
            return
        faults.point("zygote.received")
        try:
            order = Order.decode(message)
        except ValueError:  # of another version; the closed channel tells the daemon
            for fd in fds:
                os.close(fd)
            return
        binary = self._binaries.get(order.runtime) if self._binaries is not None else Binary()
        if os.fork() == 0:
            self._loop.close()
            self._daemon.close()
            _become_shim(order, fds[0], binary)
        os.close(fds[0])
        faults.point("zygote.forked")


def _become_shim(order: Order, control: int, binary: Binary) -> None:
    faults.point("shim.born")
    try:
        os.setsid()
        libc.become_subreaper()
        write_proc("comm", SHIM_NAME.encode())
        _write_traces_to(order.state_dir)
        Shim(order, socket.socket(fileno=control), binary).run()
    except BaseException:  # noqa: BLE001  the top frame of the process
        sys.__excepthook__(*sys.exc_info())
        os._exit(1)
    os._exit(0)


def _write_traces_to(state_dir: str) -> None:
    trace = os.open(f"{state_dir}/shim.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    os.dup2(trace, 2)
    os.close(trace)
