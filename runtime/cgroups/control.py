"""Acting on all processes of a control group at once: stop them, let them go on, count them, end them.

Everything here blocks (files of the kernel, up to some seconds): callers on a loop use a thread.
"""

import errno
import itertools
import os
import re
import select
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from errdefs import NotFound, SystemFailure
from runtime.cgroups.hierarchy import UNIFIED, paths
from runtime.exiting import exiting

_DEADLINE = 10.0  # seconds until a group that does not do as told is reported
_ATTEMPTS = 50
_BREATH = 0.01  # seconds in which what could not be frozen gets on
_BRIEFLY = 0.5  # seconds for a freeze that only keeps others from forking
_PAUSE = 0.005
_OF_A_CONTAINER = re.compile(r"[0-9a-f]{64}|docker-[0-9a-f]{64}\.scope")


class Cgroup(msgspec.Struct, frozen=True):
    """One container's group: keep it from `of` as long as init lives, act on it also afterwards.

    `path` is the directory whose freezer counts; `version` is 1 or 2.
    """

    path: Path
    version: int

    def freeze(self) -> None:
        """Stop every process of the group and below; returns when they stand. SystemFailure when they do not.

        A group that cannot be frozen in time is thawed again: it never stays half-way.
        """
        self._freeze(_DEADLINE)

    def thaw(self) -> None:
        """Let the processes go on; nothing happens when they do already."""
        if self.version == 2:
            self._write("cgroup.freeze", "0")
            self._await_event(_DEADLINE, wanted=False)
            return
        self._write("freezer.state", "THAWED")
        _wait_until(lambda: self._state() in ("THAWED", ""), f"{self.path} does not thaw")

    def frozen(self) -> bool:
        """Return whether all of the group stands; False when the group is gone."""
        return self._event() if self.version == 2 else self._state() == "FROZEN"

    def pids(self) -> list[int]:
        """Return the processes of the group and of all groups below, by number; [] when it is gone."""
        found: set[int] = set()
        for folder in self._folders():
            found.update(_processes(folder))
        return sorted(found)

    def kill_all(self) -> None:
        """End every process of the group and below, also frozen ones; returns when none is left.

        Raises SystemFailure when some remain (stuck in the kernel).
        """
        if self.version == 2 and self._kill_at_once():
            _wait_until(lambda: not self.pids(), f"processes of {self.path} do not end")
            return
        _wait_until(self._kill_round, f"processes of {self.path} do not end")

    def _kill_at_once(self) -> bool:
        """Use cgroup.kill, which no fork can outrun; False on a kernel before 5.14 and for a group gone."""
        try:
            (self.path / "cgroup.kill").write_text("1")
        except FileNotFoundError:
            return False
        except OSError as error:
            raise SystemFailure(f"cannot kill the processes of {self.path}: {error.strerror}") from error
        return True

    def _kill_round(self) -> bool:
        """Freeze so that nobody forks meanwhile, signal, let go; True when the group was empty.

        A frozen process of v1 takes its signal only when thawed, so its pid cannot become another's.
        """
        if not self.pids():
            return True
        try:
            self._freeze(_BRIEFLY)
        except SystemFailure:
            pass  # a process stuck in the kernel: signal what can be signalled
        for pid in self.pids():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.thaw()
        return not self.pids()

    def _freeze(self, deadline: float) -> None:
        try:
            if self.version == 2:
                self._write("cgroup.freeze", "1")
                self._await_event(deadline, wanted=True)
            else:
                self._freeze_v1(deadline)
        except SystemFailure:
            self.thaw()
            raise

    def _freeze_v1(self, deadline: float) -> None:
        """Write again until it holds: a fork in the middle of freezing leaves FREEZING behind.

        A process that waits for one that is frozen already (vfork) lets neither go on: now and then all are let go.
        """
        attempts = itertools.count(1)

        def attempt() -> bool:
            if next(attempts) % _ATTEMPTS == 0:
                self._write("freezer.state", "THAWED")
                time.sleep(_BREATH)
            self._write("freezer.state", "FROZEN")
            return self._state() in ("FROZEN", "")

        _wait_until(attempt, f"{self.path} does not freeze", deadline)

    def _state(self) -> str:
        return self._read("freezer.state").strip()

    def _event(self) -> bool:
        return "frozen 1" in self._read("cgroup.events").splitlines()

    def _await_event(self, deadline: float, *, wanted: bool) -> None:
        """Sleep on cgroup.events, which the kernel marks with POLLPRI at each change."""
        try:
            events = os.open(self.path / "cgroup.events", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        try:
            poll = select.poll()
            poll.register(events, select.POLLPRI)
            end = time.monotonic() + deadline
            while self.path.exists() and self._event() is not wanted:
                if time.monotonic() > end:
                    raise SystemFailure(f"{self.path} does not {'freeze' if wanted else 'thaw'}")
                poll.poll(100)
        finally:
            os.close(events)

    def _folders(self) -> Iterator[Path]:
        for folder, _, _ in os.walk(self.path):
            yield Path(folder)

    def _read(self, name: str) -> str:
        try:
            return (self.path / name).read_text()
        except FileNotFoundError:
            return ""
        except OSError as error:
            if error.errno == errno.ENODEV:  # removed while we held it open
                return ""
            raise SystemFailure(f"cannot read {self.path / name}: {error.strerror}") from error

    def _write(self, name: str, value: str) -> None:
        try:
            fd = os.open(self.path / name, os.O_WRONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        try:
            os.write(fd, value.encode())
        except OSError as error:
            if error.errno != errno.ENODEV:
                raise SystemFailure(f"cannot write {self.path / name}: {error.strerror}") from error
        finally:
            os.close(fd)


def of(pid: int) -> Cgroup:
    """Return the group of a container by its init. NotFound when there is no such process, or it is ending.

    An init that made groups of its own and sits in one of them (systemd does) still gives the whole container.
    SystemFailure for a process that sits in the root group or in one that holds this daemon as well: a
    privileged container can move itself there, and acting on it would stop or kill the host.
    """
    found = paths(pid)
    version = 1 if "freezer" in found else 2
    path = found.get("freezer") or found.get(UNIFIED)
    if path is None:
        raise SystemFailure(f"process {pid} is in no control group that is mounted here")
    name = "freezer" if version == 1 else UNIFIED
    own = paths(os.getpid()).get(name)
    is_root = not (path / ("freezer.state" if version == 1 else "cgroup.freeze")).exists()
    if is_root or (own is not None and own.is_relative_to(path)):
        if exiting(pid):
            raise NotFound(f"process {pid} is ending")
        raise SystemFailure(f"process {pid} shares the control group {path} with the host")
    return Cgroup(_container_folder(path, own), version)


def freeze(pid: int) -> None:
    """Stop the container of `pid`; see Cgroup.freeze."""
    of(pid).freeze()


def thaw(pid: int) -> None:
    """Let the container of `pid` go on; see Cgroup.thaw."""
    of(pid).thaw()


def frozen(pid: int) -> bool:
    """Return whether the container of `pid` stands."""
    return of(pid).frozen()


def pids(pid: int) -> list[int]:
    """Return all processes of the container of `pid`, by number."""
    return of(pid).pids()


def kill_all(pid: int) -> None:
    """End all processes of the container of `pid`; see Cgroup.kill_all."""
    of(pid).kill_all()


def folder_of(path: Path, controller: str) -> Path:
    """Return the whole container's group of a hierarchy, for the group `path` that its init is in."""
    return _container_folder(path, paths(os.getpid()).get(controller))


def _container_folder(path: Path, own: Path | None) -> Path:
    """Return the first folder on the way to `path` that is named as a container, else `path`.

    Where this daemon is in a container itself, that one's folder is above both and does not count.
    """
    for folder in reversed([path, *path.parents]):
        is_above_us = own is not None and own.is_relative_to(folder)
        if not is_above_us and _OF_A_CONTAINER.fullmatch(folder.name):
            return folder
    return path


def _processes(folder: Path) -> list[int]:
    try:
        return [int(line) for line in (folder / "cgroup.procs").read_text().split()]
    except OSError as error:
        # Gone meanwhile, or a threaded group: its processes are listed by the domain above.
        if error.errno in (errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP):
            return []
        raise SystemFailure(f"cannot read {folder / 'cgroup.procs'}: {error.strerror}") from error


def _wait_until(condition: Callable[[], bool], failure: str, deadline: float = _DEADLINE) -> None:
    end = time.monotonic() + deadline
    while not condition():
        if time.monotonic() > end:
            raise SystemFailure(failure)
        time.sleep(_PAUSE)
