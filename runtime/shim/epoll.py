"""The shim's event loop: file descriptors, timers and children, on one thread."""

from __future__ import annotations

import os
import select
import signal
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Watcher = Callable[[int, int], None]
    Timer = tuple[float, Callable[[], None]]

READ, WRITE = select.EPOLLIN, select.EPOLLOUT
_ALL_SIGNALS = tuple(map(int, signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}))
_EVENTS = 64  # at most in one round; the most that there can be would be a large buffer
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}


def heed_children() -> None:
    """Have this process, and those forked from it, be told of their children's ends, and wait for them.

    Else, SIGCHLD being ignored, nothing could be reaped.
    """
    signal.signal(signal.SIGCHLD, lambda *_: None)


class Loop:
    """Calls watchers with (fd, events), timers when due, and children's owners with their wait status."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._watchers: dict[int, Watcher] = {}
        self._timers: list[Timer] = []
        self._children: dict[int, Callable[[int], None]] = {}
        self._unclaimed: dict[int, int] = {}
        self._expecting = 0
        self._stopped = False
        self._wakeup: tuple[int, ...] = ()
        self._idle: tuple[float, Callable[[], None]] | None = None

    def when_idle(self, seconds: float, callback: Callable[[], None]) -> None:
        """Call back whenever nothing has happened for that long after something did."""
        self._idle = (seconds, callback)

    def catch_children(self) -> None:
        """Reap from now on, after `heed_children`. To be called once, in the process that is to be the parent."""
        self._wakeup = reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        self.watch(reader, READ, self._woken)

    def watch(self, fd: int, events: int, watcher: Watcher) -> None:
        """Watch `fd`, or change what is watched. No events: not watched (a hang-up would be told all the
        same).
        """
        if not events:
            self.forget(fd)
            return
        if fd in self._watchers:
            self._epoll.modify(fd, events)
        else:
            self._epoll.register(fd, events)
        self._watchers[fd] = watcher

    def forget(self, fd: int) -> None:
        """Watch `fd` no longer; to be called before it is closed."""
        if self._watchers.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Call back once, that much later, unless it is called off."""
        timer = (time.monotonic() + seconds, callback)
        self._timers.append(timer)
        return timer

    def call_off(self, timer: Timer) -> None:
        """Do not call back, if that has not happened."""
        if timer in self._timers:
            self._timers.remove(timer)

    def own(self, pid: int, ended: Callable[[int], None]) -> None:
        """Reap a child that was forked here; `ended` gets its exit code."""
        self._children[pid] = ended

    def spawn(
        self,
        executable: str,
        argv: list[str],
        stdio: tuple[int, int, int],
        ended: Callable[[int], None],
        environment: dict[str, str] = ENVIRONMENT,
    ) -> int:
        """Start a child with a clean birth and these three descriptors alone; `ended` gets its exit code.

        A session of its own, default signals. Raises OSError when it cannot be executed.
        """
        pid = os.posix_spawn(
            executable,
            argv,
            environment,
            file_actions=[(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate(stdio)],
            setsid=True,
            setsigmask=(),
            setsigdef=_ALL_SIGNALS,
        )
        self._children[pid] = ended
        return pid

    def expect(self) -> None:
        """Keep the wait statuses of unknown children until `claim`: a grandchild is about to become ours."""
        self._expecting += 1

    def claim(self, pid: int | None, ended: Callable[[int], None]) -> None:
        """End an `expect`: `ended` gets the exit code of `pid`, also if it has ended already. None: there is
        none.
        """
        self._expecting -= 1
        status = self._unclaimed.pop(pid, None) if pid is not None else None
        if not self._expecting:
            self._unclaimed.clear()
        if status is not None:
            self.later(0, lambda: ended(status))
        elif pid is not None:
            self._children[pid] = ended

    def close(self) -> None:
        """Let go of everything; children are not reaped any more."""
        self._epoll.close()
        if self._wakeup:
            signal.set_wakeup_fd(-1)
        for fd in self._wakeup:
            os.close(fd)

    def stop(self) -> None:
        """Have `run` return after the current round."""
        self._stopped = True

    def run(self) -> None:
        """Serve until `stop`."""
        active = True
        while not self._stopped:
            events = self._epoll.poll(self._timeout(active=active), _EVENTS)
            if not events and active and not self._timers and self._idle is not None:
                self._idle[1]()
            active = bool(events) or bool(self._timers)
            for fd, what in events:
                watcher = self._watchers.get(fd)
                if watcher is not None:
                    watcher(fd, what)
            if self._timers:
                self._fire()

    def _timeout(self, *, active: bool) -> float:
        if self._timers:
            return max(0.0, min(due for due, _ in self._timers) - time.monotonic())
        return self._idle[0] if active and self._idle is not None else -1

    def _fire(self) -> None:
        now = time.monotonic()
        due = [timer for timer in self._timers if timer[0] <= now]
        for timer in due:
            self._timers.remove(timer)
            timer[1]()

    def _woken(self, fd: int, _events: int) -> None:
        try:
            os.read(fd, 4096)
        except BlockingIOError:
            pass
        self.reap()

    def reap(self) -> None:
        """Reap the children that have ended."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            code = os.waitstatus_to_exitcode(status)
            ended = self._children.pop(pid, None)
            if ended is not None:
                ended(code)
            elif self._expecting:
                self._unclaimed[pid] = code
