"""One run of a container's probe: as an exec would run, with an exec's events, to a result for the log."""

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

import errdefs
from engine import ids
from engine.containers.announce import Announcer
from engine.containers.container import Container
from engine.containers.exec_process import Exec, ExecConfig, process_of
from engine.containers.live import Live, Lives
from engine.containers.machinery import Machinery
from engine.health.health import FAILED, OUTPUT, Check, Result
from engine.health.spans import span
from runtime.probing import ProbeRequest, ProbeResult
from runtime.task import Task

_START_PATIENCE = 30.0
"""Seconds that a probe gets to start, which do not count as the probe's own."""


class Confinement(msgspec.Struct, frozen=True):
    """What the container's spec says of the ways into it; see ProbeRequest."""

    seccomp: bool
    foreign: bool


def confinement(bundle: Path) -> Confinement:
    """What a running container was made with. Blocks; where it cannot be known, only the runtime knows the way."""
    try:
        spec = msgspec.json.decode((bundle / "config.json").read_bytes())
        return _confinement(spec["process"], spec["linux"])
    except (OSError, msgspec.DecodeError, KeyError, TypeError):
        return Confinement(seccomp=False, foreign=True)


def _confinement(process: Mapping[str, Any], linux: Mapping[str, Any]) -> Confinement:
    filtered = linux.get("seccomp") or {}
    labelled = process.get("apparmorProfile") or process.get("selinuxLabel") or linux.get("mountLabel")
    mapped = any(each["type"] == "user" for each in linux["namespaces"])
    unusual = filtered.get("flags") or filtered.get("listenerPath") or linux.get("personality")
    return Confinement(seccomp=bool(filtered), foreign=bool(labelled or mapped or unusual))


class Prober:
    """Runs probes."""

    def __init__(self, machinery: Machinery, lives: Lives, announcer: Announcer) -> None:
        self._machinery = machinery
        self._lives = lives
        self._announcer = announcer

    async def run(
        self, container: Container, live: Live, task: Task, check: Check, confined: Confinement
    ) -> Result:
        """Run a probe of a running container to its end; what goes wrong is in the result."""
        start = time.time_ns()
        try:
            if not check.command:
                raise errdefs.InvalidArgument(f"healthcheck for container {container.id} has no command")
            config = ExecConfig(
                cmd=list(check.command), user=container.config.user, attach_stdout=True, attach_stderr=True
            )
            live.probe = probe = Exec(ids.new_id(), container.id, config, running=True)
            try:
                ending = await self._start(container, probe, task, check, confined)
                return result(await asyncio.shield(ending), check, start)
            finally:
                live.probe = None
        except errdefs.WherryError as error:
            return Result(start, time.time_ns(), FAILED, error.message)

    async def _start(
        self, container: Container, probe: Exec, task: Task, check: Check, confined: Confinement
    ) -> "asyncio.Future[ProbeResult]":
        self._announcer.mention(container, f"exec_create: {probe.command}", execID=probe.id)
        request = ProbeRequest(
            id=probe.id,
            process=await process_of(container, probe.config, self._machinery, None),
            timeout=check.timeout / 1e9,
            seccomp=confined.seccomp,
            foreign=confined.foreign,
        )
        self._announcer.mention(container, f"exec_start: {probe.command}", execID=probe.id)
        try:
            async with asyncio.timeout(_START_PATIENCE):
                probe.pid, ending = await task.probe(request)
        except TimeoutError:
            await task.unprobe()
            raise errdefs.Unavailable(
                f"timed out starting health check for container {container.id}"
            ) from None
        # Told also if nobody waits for the result any more, as the container is paused.
        self._lives.spawn(self._tell_end(container, probe.id, ending), f"probe {probe.id[:12]}")
        probe.begun.set()
        return ending

    async def _tell_end(
        self, container: Container, probe_id: str, ending: "asyncio.Future[ProbeResult]"
    ) -> None:
        ended = await asyncio.shield(ending)
        self._announcer.mention(container, "exec_die", execID=probe_id, exitCode=str(ended.code))


def result(ended: ProbeResult, check: Check, start: int) -> Result:
    """What the log says of a probe that ran: pure."""
    output = _text(ended.output)
    if not ended.late:
        return Result(start, ended.at, ended.code, output)
    told = f"Health check exceeded timeout ({span(check.timeout)})"
    return Result(start, ended.at, FAILED, f"{told}: {output}" if output else told)


def _text(output: bytes) -> str:
    """As Docker has it: each byte that is no UTF-8 is replaced, and dots tell that there was more."""
    more = "..." if len(output) > OUTPUT else ""
    text = output[:OUTPUT].decode("utf-8", "surrogateescape")
    return "".join("�" if "\udc80" <= letter <= "\udcff" else letter for letter in text) + more
