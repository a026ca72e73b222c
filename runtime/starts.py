"""The starts of containers: where the state of each is, what it says, and how all of one is ended.

A start has a state directory of its own, in which a daemon that comes later reads by which runtime it was made,
and how it ended.
"""

import asyncio
import os
import shutil
import time
from pathlib import Path

import msgspec

from runtime import leftovers
from runtime.runc import Runc
from runtime.shim import protocol
from runtime.spawn import ENVIRONMENT
from runtime.task_values import EXIT_KILLED, Exit, Runtime

SHIM_DIED = "its shim died, and the container was killed"
"""The reason for an exit of which no more is known."""

_REMOVED = "its runtime directory was removed, and the container was killed"
_RUNTIME_FILE = "runtime"
_DEFAULT_RUNTIME = Runtime(name="runc", path="runc")


class Start(msgspec.Struct, frozen=True):
    """One start of one container: where its state is, and by which runtime."""

    id: str
    state_dir: Path
    runtime: Runtime

    @property
    def bundle(self) -> Path:
        """The container's, in which each start has its directory."""
        return self.state_dir.parent

    def make_state_dir(self) -> None:
        """Make the directory, which says by which runtime the container is made."""
        self.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        runtime = self.runtime
        (self.state_dir / _RUNTIME_FILE).write_bytes(
            protocol.encode(runtime.name, runtime.path, *runtime.args)[4:]
        )


class Starts:
    """All below one exec root."""

    def __init__(self, exec_root: Path, runc: Runc) -> None:
        self._exec_root = exec_root
        self._runc = runc

    def found(self) -> list[Start]:
        """Return all that have a directory, a living shim, or state of the runtime. Blocks."""
        containers = self._exec_root / "containers"
        directories = {path for path in containers.glob("*/*") if (path / _RUNTIME_FILE).is_file()}
        directories |= {shim.state_dir for shim in leftovers.find_shims(self._exec_root)}
        known = {path.parent.name for path in directories}
        orphans = [path.name for path in self._runc.root.iterdir() if path.name not in known]
        directories |= {containers / name / "0" for name in orphans}
        return [Start(path.parent.name, path, _read_runtime(path)) for path in sorted(directories)]

    async def end(self, start: Start, *, started: bool | None) -> Exit | None:
        """End what a dead shim left. Returns how the container ended, None when its process was never started.

        `started`: whether it was, None when only the files can tell. SystemFailure when something cannot be ended.
        """
        removed = await asyncio.to_thread(self._end_hidden_shims, start)
        exit_ = await asyncio.to_thread(_read_exit, start.state_dir)
        await asyncio.to_thread(leftovers.end_runtime_commands, start.state_dir)
        ran = await asyncio.to_thread(self._ran, start) if started is None else started
        if await asyncio.to_thread(self._runc.knows, start.id):
            await self._runc.delete(start.runtime, start.id)
        await asyncio.to_thread(leftovers.remove_cgroups, start.bundle)
        await asyncio.to_thread(leftovers.remove_sockets, start.state_dir)
        if exit_ is None and (ran or removed):
            reason = _REMOVED if removed else SHIM_DIED
            exit_ = Exit(code=EXIT_KILLED, at=time.time_ns(), reason=reason)
            await asyncio.to_thread(_write_exit, start.state_dir, exit_)
        return exit_

    async def remove(self, start: Start) -> None:
        """Remove every trace of one."""
        await self.end(start, started=False)
        await asyncio.to_thread(shutil.rmtree, start.state_dir, ignore_errors=True)

    def _ran(self, start: Start) -> bool:
        return (start.state_dir / "pid").exists() and not self._runc.waits(start.id)

    def _end_hidden_shims(self, start: Start) -> bool:
        """End a shim that lives although its directory was removed. True when it had a container."""
        found = [
            shim
            for shim in leftovers.find_shims(self._exec_root)
            if shim.state_dir == start.state_dir and not (shim.state_dir / "exit").exists()
        ]
        ended = [shim for shim in found if leftovers.end_shim(shim)]
        return any(shim.removed for shim in ended)


def resolve(runtime: Runtime) -> Runtime:
    """The runtime with its path looked up; unchanged where there is none."""
    path = shutil.which(runtime.path, path=ENVIRONMENT["PATH"]) or runtime.path
    return Runtime(name=runtime.name, path=path, args=runtime.args)


def _read_runtime(state_dir: Path) -> Runtime:
    try:
        fields = (state_dir / _RUNTIME_FILE).read_bytes().decode("utf-8", "surrogateescape").split("\0")
    except OSError:
        fields = []
    if len(fields) < 2:  # not written to its end
        return resolve(_DEFAULT_RUNTIME)
    return Runtime(name=fields[0], path=fields[1], args=tuple(fields[2:]))


def _read_exit(state_dir: Path) -> Exit | None:
    try:
        code, at, oom, reason = protocol.decode_exit((state_dir / "exit").read_bytes())
    except (OSError, ValueError):
        return None
    return Exit(code=code, at=at, oom=oom, reason=reason)


def _write_exit(state_dir: Path, exit_: Exit) -> None:
    """Write down what a dead shim could not, so that another daemon learns the same."""
    temporary = state_dir / ".exit.tmp"
    try:
        temporary.write_bytes(protocol.encode_exit(exit_.code, exit_.at, oom=exit_.oom, reason=exit_.reason))
        os.rename(temporary, state_dir / "exit")
    except OSError:  # the directory was removed
        pass
