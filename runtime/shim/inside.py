"""A way into a container of our own, for processes that are run there often: what `runc exec` does, without runc.

It is for containers that runc made and that have a PID namespace of their own, without a user namespace and without a
label of AppArmor or SELinux; whoever else is meant is refused by `runtime.probing`. A step that fails is told, and runc
is asked instead: its word stands. The order of the steps is runc's, as each depends on what the former left.
"""

from __future__ import annotations

import errno
import os
import resource
import signal
import stat
from fcntl import F_DUPFD_CLOEXEC, fcntl

from runtime.shim import libc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from runtime.shim.entry import Order
    from runtime.shim.seccomp import Filter

REPORT = 3
"""The descriptor by which a process that is being put inside tells how far it came."""
GO = b"go"
"""What it says last: all is done but the execution."""
_JOINED = (
    0x00020000  # mount
    | 0x08000000  # IPC
    | 0x04000000  # UTS
    | 0x40000000  # network
    | 0x02000000  # cgroup
)
_NEWPID = 0x20000000
_PIDFD = REPORT + 1
_IGNORED = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGXFSZ)
_PASSWD = 1 << 20


class Inside:
    """A running container that processes are put into."""

    def __init__(self, container_id: str, pidfd: int, folders: frozenset[str], seccomp: Filter) -> None:
        """`pidfd` is init's; `folders` are the directories of its control groups. Raises OSError."""
        self._keyring = f"_ses.{container_id}".encode()
        self._pidfd = pidfd
        self._folders = folders
        self._filter = seccomp
        self._own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        self._interpreter = os.stat("/proc/self/exe")

    def takes(self, order: Order) -> bool:
        """Whether such a process can be made to be just as runc's would be."""
        return libc.KEYCTL is not None and (not order.seccomp or bool(self._filter.program))

    def fork(self, order: Order, stdin: int, output: int, report: int) -> int:
        """Put a process inside; returns its pid. Raises OSError.

        It says GO by `report` just before it executes the program, and what is wrong if it does not come to that.
        """
        # What this process has in memory and open is nobody's business in there.
        libc.prctl(libc.PR_SET_DUMPABLE, 0)
        libc.setns(self._pidfd, _NEWPID)
        pid = -1
        try:
            pid = os.fork()
        finally:
            if pid != 0:
                self._return()
        if pid == 0:
            self._enter(order, stdin, output, report)
        return pid

    def _return(self) -> None:
        """Have further children be born out here. A shim that could not would put the runtime inside: it ends."""
        try:
            libc.setns(self._own, _NEWPID)
        except OSError as error:
            raise RuntimeError("a shim's own PID namespace is lost to it") from error

    def _enter(self, order: Order, stdin: int, output: int, report: int) -> NoReturn:
        try:
            _take_descriptors((stdin, output, output, report, self._pidfd))
            _forget_signals()
            os.setsid()
            for folder in self._folders:
                _write(f"{folder}/cgroup.procs", b"0")
            _write("/proc/self/oom_score_adj", b"%d" % order.oom_score_adj)
            for kind, soft, hard in order.rlimits:
                resource.setrlimit(kind, (soft, hard))
            libc.setns(_PIDFD, _JOINED)
            os.close(_PIDFD)
            self._become(order)
        except BaseException as error:  # noqa: BLE001  the top frame of the process
            os.write(REPORT, repr(error).encode("utf-8", "replace")[:1024])
        finally:
            os._exit(255)

    def _become(self, order: Order) -> None:
        libc.join_keyring(self._keyring)
        if order.no_new_privileges:
            libc.prctl(libc.PR_SET_NO_NEW_PRIVS, 1)
        if order.seccomp and not order.no_new_privileges:
            libc.install(self._filter.program)
        reached = _change_directory(order.cwd)
        environment = _with_home(order)
        _take_identity(order, reached=reached)
        program = _find(order.args[0], environment.get(b"PATH"))
        if os.path.samestat(os.stat(program), self._interpreter):
            raise PermissionError(errno.EACCES, "the program is this process's own", program)
        if order.seccomp and order.no_new_privileges:
            libc.install(self._filter.program)
        os.write(REPORT, GO)
        os.execve(program, order.args, environment)


def _take_descriptors(wanted: tuple[int, ...]) -> None:
    """Have these as 0, 1, 2 …, and no others. The first three are inherited by the program."""
    held = [fcntl(fd, F_DUPFD_CLOEXEC, len(wanted)) for fd in wanted]  # out of each other's way
    for number, fd in enumerate(held):
        os.dup2(fd, number, inheritable=number < REPORT)
    os.closerange(len(wanted), 1 << 20)


def _forget_signals() -> None:
    signal.set_wakeup_fd(-1)
    for number in (*_IGNORED, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _write(path: str, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)


def _change_directory(path: str) -> bool:
    """Go there; False where root may not: perhaps the user may."""
    try:
        os.chdir(path)
    except PermissionError:
        return False
    return True


def _with_home(order: Order) -> dict[bytes, bytes]:
    """The environment; HOME is as the container's /etc/passwd says, unless it is given."""
    environment: dict[bytes, bytes] = {}
    for entry in order.env:
        name, _, value = os.fsencode(entry).partition(b"=")
        environment[name] = value
    if not environment.get(b"HOME"):
        environment[b"HOME"] = _home(order.uid)
    return environment


def _home(uid: int) -> bytes:
    try:
        fd = os.open("/etc/passwd", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                return b"/"
            data = os.read(fd, _PASSWD)
        finally:
            os.close(fd)
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):  # which runc would not meet
            raise
        return b"/"
    for line in data.splitlines():
        fields = line.split(b":")
        if len(fields) > 5 and fields[2] == b"%d" % uid:
            return fields[5]
    return b"/"


def _take_identity(order: Order, *, reached: bool) -> None:
    bounding, effective, permitted, inheritable, ambient = order.capabilities
    libc.drop_bounding(bounding)
    libc.prctl(libc.PR_SET_KEEPCAPS, 1)
    for fd in (1, 2):
        if os.fstat(fd).st_uid != order.uid:
            os.fchown(fd, order.uid, -1)
    os.setgroups(order.groups)
    os.setgid(order.gid)
    os.setuid(order.uid)
    if not reached:
        os.chdir(order.cwd)
    if not os.getcwd().startswith("/"):
        raise OSError("the working directory is outside of the container")
    libc.prctl(libc.PR_SET_KEEPCAPS, 0)
    libc.set_capabilities(effective, permitted, inheritable)
    libc.set_ambient(ambient)


def _find(name: str, path: bytes | None) -> str:
    """The program by its name, as a shell finds it. Raises FileNotFoundError."""
    if "/" in name:
        return name
    for folder in os.fsdecode(path or b"").split(":"):
        program = f"{folder}/{name}"
        found = folder.startswith("/") and os.path.isfile(program)
        if found and os.access(program, os.X_OK, effective_ids=True):
            return program
    raise FileNotFoundError(2, "executable file not found in $PATH", name)
