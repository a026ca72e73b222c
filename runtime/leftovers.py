"""What a dead shim, or a removed exec root, leaves in the kernel: found through /proc and ended.

Everything here blocks (up to some seconds): callers on a loop use a thread.
"""

import json
import os
import select
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from errdefs import NotFound, SystemFailure
from runtime import cgroups
from runtime.cgroups.hierarchy import ROOT, controllers, detect
from runtime.shim.shim import NAME as SHIM_NAME

_PATIENCE = 10.0  # seconds that what was killed may take to vanish
_PAUSE = 0.01
_DELETED = " (deleted)"


class FoundShim(msgspec.Struct, frozen=True):
    """A living shim, recognised by its name and by the state directory that it holds open."""

    pid: int
    state_dir: Path
    removed: bool

    @property
    def container_id(self) -> str:
        """The id of its container, as its path has it."""
        return self.state_dir.parent.name


def find_shims(exec_root: Path) -> list[FoundShim]:
    """Return the shims of this exec root, also when the directory itself was removed."""
    return [
        found for pid in _pids() if _comm(pid) == SHIM_NAME and (found := _shim(pid, exec_root)) is not None
    ]


def end_runtime_commands(state_dir: Path) -> None:
    """Kill the runtime's commands that a shim of `state_dir` started and did not live to see end.

    They are known by the state directory in their arguments, which no other shim has.
    """
    needle = f"{state_dir}/".encode()
    kill([pid for pid in _pids() if needle in _read(f"/proc/{pid}/cmdline")])


def end_shim(shim: FoundShim) -> bool:
    """Kill the container of a shim, let the shim see it and leave; it is killed if it does not.

    False when there was no container: the shim was about to leave, or not there any more.
    """
    children = list(_descendants(shim.pid))
    folders: set[Path] = set()
    for child in children:
        try:
            folders |= set(cgroups.paths(child).values())
            cgroups.kill_all(child)
        except (NotFound, SystemFailure):  # it is in no group of its own yet, or has ended
            continue
    kill(children)
    try:
        pidfd = os.pidfd_open(shim.pid)
    except ProcessLookupError:
        return bool(children)
    try:
        if not _ends(pidfd, _PATIENCE):
            kill([shim.pid])
    finally:
        os.close(pidfd)
    _remove(folder for folder in folders if shim.container_id in folder.name)
    return bool(children)


def _descendants(pid: int) -> Iterator[int]:
    """Below a shim: a runtime that is at work has the container's init as its child, or a hook, which has others."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:  # it has ended
        return
    for thread in threads:
        for word in _read(f"/proc/{pid}/task/{thread}/children").split():
            yield int(word)
            yield from _descendants(int(word))


def remove_sockets(state_dir: Path) -> None:
    """Remove the sockets of a dead shim."""
    for path in state_dir.glob("*sock"):
        path.unlink(missing_ok=True)


def remove_cgroups(bundle: Path) -> None:
    """Remove the cgroups that a bundle names, with what runs in them: a runtime killed early leaves them
    behind.
    """
    try:
        spec = json.loads((bundle / "config.json").read_bytes())
        path = spec.get("linux", {}).get("cgroupsPath", "")
    except (OSError, ValueError):
        return
    if not path.startswith("/") or path == "/":
        return  # systemd removes an empty scope by itself
    mounts = set(controllers(detect()).values()) | {ROOT / "unified"}
    _remove(mount / path.lstrip("/") for mount in mounts)


def _remove(folders: Iterator[Path]) -> None:
    deadline = time.monotonic() + _PATIENCE
    for folder in folders:
        while folder.is_dir() and time.monotonic() < deadline:
            for inner, _, _ in os.walk(folder, topdown=False):
                kill([int(word) for word in _read(f"{inner}/cgroup.procs").split()])
                try:
                    os.rmdir(inner)
                except OSError:
                    time.sleep(_PAUSE)


def kill(pids: list[int]) -> None:
    """Kill by pidfd, and see them end."""
    pidfds = []
    for pid in pids:
        try:
            pidfds.append(os.pidfd_open(pid))
        except ProcessLookupError:
            continue
    try:
        for pidfd in pidfds:
            try:
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            except ProcessLookupError:
                continue
        deadline = time.monotonic() + _PATIENCE
        for pidfd in pidfds:
            _ends(pidfd, max(0.0, deadline - time.monotonic()))
    finally:
        for pidfd in pidfds:
            os.close(pidfd)


def _ends(pidfd: int, seconds: float) -> bool:
    """Wait for a process's end. False when it did not come in time."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def _shim(pid: int, exec_root: Path) -> FoundShim | None:
    prefix = f"{exec_root}/containers/"
    try:
        names = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return None
    for name in names:
        try:
            target = os.readlink(f"/proc/{pid}/fd/{name}")
        except OSError:
            continue
        state_dir = Path(target.removesuffix(_DELETED))
        if target.startswith(prefix) and len(state_dir.relative_to(prefix).parts) == 2:
            return FoundShim(pid, state_dir, target.endswith(_DELETED))
    return None


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _comm(pid: int) -> str:
    return _read(f"/proc/{pid}/comm").decode("utf-8", "replace").strip()


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""
