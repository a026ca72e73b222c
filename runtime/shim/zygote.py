"""The process that forks shims: small, single-threaded, everything loaded. It holds nothing that a shim
needs later.

An order is one SOCK_SEQPACKET message with the daemon's end of the new shim's control channel. There is no
reply: the shim speaks on that channel itself, and its closing says that no shim came of it. The zygote ends
when the daemon's socket closes, and ignores SIGCHLD, so that shims, and what a dead shim leaves to it as
their subreaper, need no wait.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys

from runtime.shim import faults, libc
from runtime.shim.jsonlog import JsonLog
from runtime.shim.memfd import Binary, SealedBinaries
from runtime.shim.order import Order
from runtime.shim.protocol import MAX_MESSAGE, STDOUT
from runtime.shim.shim import Shim, write_proc

CONTROL_FD = 3
NAME = "wherry-zygote"
_IGNORED = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGPIPE)  # shims inherit it


def main(runtime: str, fault: str = "") -> None:
    """Serve the socket on fd 3 until it closes. `runtime`: a binary to copy at once, "" never to copy any."""
    os.chdir("/")
    os.umask(0o022)
    os.closerange(CONTROL_FD + 1, 1 << 20)
    for number in (*_IGNORED, signal.SIGCHLD):
        signal.signal(number, signal.SIG_IGN)
    write_proc("comm", NAME.encode())
    libc.become_subreaper()
    if fault:
        faults.arm(fault)
    daemon = socket.socket(fileno=CONTROL_FD)
    daemon.set_inheritable(False)
    binaries = SealedBinaries() if runtime else None
    if binaries is not None:
        binaries.get(runtime)
    _warm_up()
    gc.collect()
    gc.freeze()
    gc.disable()
    while _serve(daemon, binaries):
        pass


def _warm_up() -> None:
    """Run the busiest code once, so that its pages are shared by all shims."""
    log = JsonLog("/dev/null")
    log.write(STDOUT, b'a"b\n' * 4000)
    log.write(STDOUT, "é\n".encode() * 10 + b"\xff\n")
    log.write(STDOUT, b"x" * 20000 + b"\n")
    log.close()
    libc.trim()


def _serve(daemon: socket.socket, binaries: SealedBinaries | None) -> bool:
    """Take one order. False when the daemon is gone."""
    message, fds, _, _ = socket.recv_fds(daemon, MAX_MESSAGE + 4, 1, socket.MSG_CMSG_CLOEXEC)
    if not message:
        return False
    faults.point("zygote.received")
    try:
        order = Order.decode(message)
    except ValueError:  # of another version; the closed channel tells the daemon
        for fd in fds:
            os.close(fd)
        return True
    binary = binaries.get(order.runtime) if binaries is not None else Binary()
    if os.fork() == 0:
        daemon.close()
        _become_shim(order, fds[0], binary)
    os.close(fds[0])
    faults.point("zygote.forked")
    return True


def _become_shim(order: Order, control: int, binary: Binary) -> None:
    faults.point("shim.born")
    try:
        os.setsid()
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
