"""A shim's life: born with an order, it creates the container, serves clients, and sees its end through.

subreaper → socket → `runc create` → created → `start` → reap → OOM → drain → flush log → `exit` → notify →
`runc delete` → unlink the socket → deleted → leave. After the fork nothing is imported and no code opened.
"""

from __future__ import annotations

import gc
import os
import socket

from runtime.shim import faults, libc, protocol
from runtime.shim.cgroup import Cgroups
from runtime.shim.client import Connection
from runtime.shim.epoll import READ, Loop
from runtime.shim.inside import Inside
from runtime.shim.jsonlog import JsonLog
from runtime.shim.launch import Launch, RuntimeCommand, describe
from runtime.shim.process import Process
from runtime.shim.requests import Requests
from runtime.shim.room import Room
from runtime.shim.seccomp import Filter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.shim.memfd import Binary
    from runtime.shim.order import Order

NAME = "wherry-shim"
_UNIX = int(socket.AF_UNIX)
_STREAM = int(socket.SOCK_STREAM) | int(socket.SOCK_CLOEXEC)
_INIT_GRACE = 0.2
_DEAF = 0.1  # seconds
_LOOK = int(socket.MSG_PEEK) | int(socket.MSG_DONTWAIT)
_TIDIES = 16  # idle moments, until all garbage is looked for and not the youngest alone
_DELETE_TRIES = 5
_GROUP_TRIES = 100  # of 0.05 seconds
_EXEC_ROUNDS = 200  # of 50 ms: with --pid=host an exec killed by `runc delete` is reaped after it


def write_proc(name: str, value: bytes) -> None:
    """Write a file of /proc/self. Raises OSError."""
    fd = os.open(f"/proc/self/{name}", os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, value)
    finally:
        os.close(fd)


class Shim:
    """The one object of the process. `control` is the daemon's channel, open since before the birth."""

    def __init__(self, order: Order, control: socket.socket, binary: Binary) -> None:
        self.order = order
        self.loop = Loop()
        self.state = "creating"
        self.oom = False
        self.pidfd = -1
        self.directory = os.open(order.state_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self.command = RuntimeCommand(self.loop, order, binary)
        self.requests = Requests(self)
        self._channel = control
        self._control = Connection(self.loop, control, self.requests.handle, self.requests.forget)
        self._cgroups: Cgroups | None = None
        self.room: Room | None = None
        self._filter: Filter | None = None
        self._inside: Inside | None = None
        self._exec_rounds = _EXEC_ROUNDS
        self._delete_tries = _DELETE_TRIES
        self._group_tries = _GROUP_TRIES
        self._tidied = 0
        self.init: Process | None = None

    def run(self) -> None:
        """Live. Raises OSError when the state directory cannot be used."""
        self.loop.catch_children()
        if self._orphaned():
            return
        self._listen()
        self.write_file("shim.pid", b"%d\n" % os.getpid())
        faults.point("shim.bound")
        self.requests.greet(self._control)
        try:
            self._create()
        except OSError as error:
            self._create_failed(127, describe(error))
        gc.freeze()
        self.loop.when_idle(1.0, self._tidy)
        self.loop.run()

    def _orphaned(self) -> bool:
        """Whether the daemon is dead that ordered this container: another may have looked for shims already.

        One that looks later finds this process by its name.
        """
        try:
            return not self._channel.recv(1, _LOOK)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def write_file(self, name: str, data: bytes) -> None:
        """Write a whole file into the state directory, or none. Raises OSError."""
        temporary = f".{name}.tmp"
        fd = os.open(
            temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600, dir_fd=self.directory
        )
        try:
            os.write(fd, data)
        finally:
            os.close(fd)
        os.rename(temporary, name, src_dir_fd=self.directory, dst_dir_fd=self.directory)

    def remove_file(self, name: str) -> None:
        """Remove a file of the state directory, if it is there."""
        try:
            os.unlink(name, dir_fd=self.directory)
        except OSError:
            pass

    def _listen(self) -> None:
        self._listener = socket.socket(_UNIX, _STREAM)
        self._listener.bind(f"/proc/self/fd/{self.directory}/sock")
        self._listener.listen(64)
        self._listener.settimeout(0)
        self._hear()

    def _hear(self) -> None:
        if self._listener.fileno() >= 0:
            self.loop.watch(self._listener.fileno(), READ, self._accept)

    def _accept(self, _fd: int, _events: int) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:  # no descriptor is free, perhaps: to ask again at once would keep a processor busy
            self.loop.forget(self._listener.fileno())
            self.loop.later(_DEAF, self._hear)
            return
        Connection(self.loop, connection, self.requests.handle, self.requests.forget)

    def _create(self) -> None:
        order = self.order
        log = None
        if order.log_path:
            log = JsonLog(
                order.log_path,
                max_size=order.log_max_size,
                max_files=order.log_max_files,
                attrs=order.log_attrs,
                numbered=order.log_numbered,
            )
        self.init = Process(
            self.loop,
            "",
            terminal=order.terminal,
            open_stdin=order.open_stdin,
            stdin_once=order.stdin_once,
            grace=_INIT_GRACE,
            log=log,
            finished=self._finished,
            owner=order.owner,
        )
        launch = Launch(
            self.loop,
            self.directory,
            self.init,
            pid_file="pid",
            launched=self._launched,
            reaped=self._reaped,
        )
        launch.run(self.command, "runc.log", ["create", "--bundle", order.bundle], [order.id])
        faults.point("shim.creating")

    def _launched(self, code: int) -> None:
        if code != 0 or self.init is None:
            self._create_failed(code, "")
            return
        faults.point("shim.created")
        try:
            self.pidfd = os.pidfd_open(self.init.pid)
            self._cgroups = Cgroups(self.loop, self.init.pid, self.order.id)
            self.room = Room(self._cgroups)
        except OSError:  # it has ended: reaped next, told as an exit, and the runtime removes its groups
            pass
        if self.order.height and self.order.terminal:
            self.init.resize(self.order.height, self.order.width)
        self.init.output.begin()
        self.state = "created"
        self.requests.created()

    def expect_probes(self) -> None:
        """Health checks are about to come: see to a way in that is cheap, before the container is started."""
        if self.command.native and self.init is not None and self.state == "created":
            try:
                self._filter = Filter(self.loop, self.init.pid)
            except OSError:  # the runtime will do
                pass

    def inside(self) -> Inside | None:
        """The container as processes are put into it without the runtime; None where that takes the runtime."""
        if self._inside is None and self._filter is not None and self._cgroups is not None:
            folders = self._cgroups.own
            if folders:
                self._inside = Inside(self.order.id, self.pidfd, folders, self._filter)
        return self._inside

    def updated(self, limit: str) -> None:
        """The runtime has changed limits of the container; see `Room.updated`."""
        if self.room is not None:
            self.room.updated(limit)

    def processes(self) -> list[int]:
        """The processes in the container's control groups."""
        return self._cgroups.processes() if self._cgroups is not None else []

    def _create_failed(self, code: int, text: str) -> None:
        self.state = "failed"
        self.requests.failed(code, text)
        self._delete()

    def _reaped(self, code: int) -> None:
        assert self.init is not None
        faults.point("shim.reaped")
        self.requests.init_ended()
        self.init.reaped(code)
        self.oom = self._cgroups is not None and self._cgroups.oom_killed()
        self.init.settle()

    def _finished(self, init: Process) -> None:
        faults.point("shim.drained")
        self.state = "exited"
        assert init.code is not None
        try:
            self.write_file("exit", protocol.encode_exit(init.code, init.at, oom=self.oom))
        except OSError:  # the directory was removed, or /run is full: whoever listens is told all the same
            pass
        faults.point("shim.exit-written")
        self.requests.exited()
        faults.point("shim.notified")
        self.requests.after_start(self._delete)

    def _delete(self) -> None:
        self._delete_tries -= 1
        try:
            self.command.delete(self._cgroups if self.state == "exited" else None, self._delete_ended)
        except OSError:
            self._deleted()

    def _delete_ended(self, code: int) -> None:
        if code != 0 and self._delete_tries > 0:
            self.loop.later(0.2, self._delete)
            return
        self._deleted()

    def _deleted(self) -> None:
        if self._has_groups() and self._group_tries > 0:
            self._group_tries -= 1
            self.loop.later(0.05, self._deleted)
            return
        faults.point("shim.deleted")
        self.loop.forget(self._listener.fileno())
        self._listener.close()
        self.remove_file("sock")
        faults.point("shim.unlinked")
        self.requests.deleted()
        self._leave()

    def _has_groups(self) -> bool:
        """Remove the groups: the runtime finds none if its state was lost, and gives up on who takes long to die."""
        return self._cgroups is not None and bool(self._cgroups.own) and not self._cgroups.remove()

    def _leave(self) -> None:
        """Go, once attached clients have taken what is theirs: they may be slow, the container is gone
        already.
        """
        self._exec_rounds -= 1 if self.requests.execs_running else 0
        if self.requests.owing or (self.requests.execs_running and self._exec_rounds > 0):
            self.loop.later(0.05, self._leave)
        else:
            self.loop.stop()

    def _tidy(self) -> None:
        """Give memory back. A collection of all empties Python's free lists, too, which are on shared pages."""
        self._tidied += 1
        gc.collect(1 if self._tidied % _TIDIES else 2)
        libc.trim()
