"""Probes of a container's health: started through its shim, which tells how each ended."""

import asyncio
import time
from typing import TYPE_CHECKING

from errdefs import SystemFailure
from runtime.execs import refusals
from runtime.probing import ProbeFiles, ProbeRequest, ProbeResult
from runtime.task_values import EXIT_KILLED

if TYPE_CHECKING:
    from runtime.task import Task


class Probes:
    """Those of one task that run."""

    def __init__(self, task: "Task") -> None:
        self._task = task
        self._files = ProbeFiles(task.state_dir)
        self._running: dict[str, asyncio.Future[ProbeResult]] = {}

    async def start(self, request: ProbeRequest) -> tuple[int, asyncio.Future[ProbeResult]]:
        """See `Task.probe`."""
        try:
            await asyncio.to_thread(self._files.write, request)
        except OSError as error:
            raise SystemFailure(f"cannot write {error.filename}: {error.strerror}") from error
        ended: asyncio.Future[ProbeResult] = asyncio.get_running_loop().create_future()
        self._running[request.id] = ended
        try:
            async with refusals(self._task, request.id):
                reply = await self._task.request(
                    "probe", request.id, int(request.timeout * 1000), self._files.way
                )
        except BaseException:
            self._running.pop(request.id, None)
            raise
        return (int(reply.fields[0]) if reply.fields else 0), ended

    def ended(self, probe_id: bytes, code: bytes, at: bytes, late: bytes, output: bytes) -> None:
        """Take the event that tells of an end."""
        ended = self._running.pop(probe_id.decode("ascii", "replace"), None)
        if ended is not None and not ended.done():
            told = bytes.fromhex(output.decode("ascii", "replace"))
            ended.set_result(ProbeResult(code=int(code), at=int(at), late=late == b"1", output=told))

    def end_all(self) -> None:
        """The shim is gone, and they with it."""
        for probe in self._running.values():
            if not probe.done():
                probe.set_result(ProbeResult(code=EXIT_KILLED, at=time.time_ns(), late=False, output=b""))
        self._running.clear()
