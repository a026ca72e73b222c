"""What the daemon does for the logs that shims write: rotated files are compressed, and remote drivers get theirs."""

import asyncio
import functools
import logging
import os
from collections.abc import Coroutine
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec

import errdefs
from engine.containers import log_attributes
from engine.containers.announce import Announcer
from engine.containers.container import Container
from engine.containers.log_options import JSON_FILE, NONE, LogOptions
from engine.logs import rotated
from engine.logs.drivers.remote import REMOTE
from engine.logs.drivers.target import Subject
from engine.logs.forwarder import Forwarder
from engine.logs.inotify import News, watching
from engine.logs.threads import in_thread, wake_when
from runtime.task_values import LogFile

PATIENCE = 2.0
"""Seconds that the removal of a container waits for the rest of its log to be sent, if it can be sent at all."""
MAX_ATTRIBUTES = 1 << 16
"""Bytes of labels, variables and tag as JSON: every record has them."""

_COPY = "container.log"
_FAILED = "failed to create task for container: failed to initialize logging driver: "
_log = logging.getLogger(__name__)


class _Kept(msgspec.Struct):
    """What is at work for one container's log."""

    forwarder: Forwarder | None = None
    sending: asyncio.Task[None] | None = None
    compressing: asyncio.Task[None] | None = None


class LogKeeping:
    """The owner of all that is done for logs. A container's work ends once it has ended and all of it is done."""

    def __init__(self, containers: Path, announcer: Announcer) -> None:
        """`containers`: the directory with a directory for each container."""
        self._containers = containers
        self._announcer = announcer
        self._kept: dict[str, _Kept] = {}
        self._one_at_a_time = asyncio.Semaphore(1)

    def file(self, container: Container) -> LogFile | None:
        """What its shim is to write; None for the driver "none". Raises what Docker says of a driver that cannot be."""
        config = container.host_config.log_config
        if config.type == NONE:
            return None
        options = LogOptions.parse(config)
        remote = REMOTE.get(config.type)
        if remote is not None:
            try:
                remote.require(config.config or {})
            except errdefs.WherryError as error:
                raise type(error)(f"{_FAILED}{error.message}") from error
        attrs = b""
        if config.type == JSON_FILE:
            attrs = log_attributes.encode(log_attributes.attributes(container, config.config or {}))
        if len(attrs) > MAX_ATTRIBUTES:
            raise errdefs.InvalidArgument(
                f"labels, variables and tag of a log record are at most {MAX_ATTRIBUTES} bytes: these are {len(attrs)}"
            )
        return LogFile(
            path=Path(self._path(container)),
            max_size=options.max_size,
            max_files=options.max_files,
            attrs=attrs,
            numbered=remote is not None,
        )

    def path(self, container: Container) -> str:
        """The log as clients read it. Unsupported if they cannot."""
        if not LogOptions.parse(container.host_config.log_config).readable:
            raise errdefs.Unsupported("configured logging driver does not support reading")
        return self._path(container)

    def begin(self, container: Container, ended: asyncio.Event) -> None:
        """Work on its log until `ended` is set and all is done; what is at work already goes on."""
        config = container.host_config.log_config
        if config.type == JSON_FILE and not config.config:
            return  # as most have it: at a boot with hundreds of them milliseconds would go by
        try:
            options = LogOptions.parse(config)
        except errdefs.InvalidArgument as error:
            _log.error("container %s: its log: %s", container.id[:12], error)
            return
        kept = self._kept.setdefault(container.id, _Kept())
        path = self._path(container)
        if config.type in REMOTE and (kept.sending is None or kept.sending.done()):
            kept.forwarder = self._forwarder(container, path, options.limit)
            kept.sending = self._spawn(container, kept.forwarder.run(ended))
        compresses = options.compress and options.max_files > 1
        if compresses and (kept.compressing is None or kept.compressing.done()):
            kept.compressing = self._spawn(container, self._compress(path, ended))

    async def finish(self, container_id: str) -> None:
        """Its log is about to be removed: send the rest while that is quick, else tell how much is lost."""
        kept = self._kept.pop(container_id, None)
        if kept is None:
            return
        if kept.compressing is not None:
            await _cancelled(kept.compressing)
        if kept.forwarder is None or kept.sending is None:
            return
        if not kept.sending.done():
            await asyncio.wait((kept.sending,), timeout=PATIENCE if kept.forwarder.reachable else 0)
        if not kept.sending.done():
            await _cancelled(kept.sending)
            await kept.forwarder.give_up()

    async def close(self) -> None:
        """Let go of all; another daemon goes on where this one was."""
        for kept in self._kept.values():
            for task in (kept.sending, kept.compressing):
                if task is not None:
                    await _cancelled(task)

    def _path(self, container: Container) -> str:
        return container.log_path or str(self._containers / container.id / _COPY)

    def _spawn(self, container: Container, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return asyncio.get_running_loop().create_task(
            _logged(container, work), name=f"log {container.id[:12]}"
        )

    def _forwarder(self, container: Container, path: str, limit: int | None) -> Forwarder:
        config = container.host_config.log_config
        target = REMOTE[config.type].make(config.config or {}, _subject(container))

        async def dropped(count: int) -> None:
            await self._announcer.tell(container, "log_dropped", driver=config.type, records=str(count))

        return Forwarder(container.id[:12], path, target, limit=limit, dropped=dropped)

    async def _compress(self, path: str, ended: asyncio.Event) -> None:
        news = News(names_only=True)
        with ExitStack() as stack:
            stack.enter_context(watching(os.path.dirname(path), news))
            wake_when(ended, news, stack)
            while True:
                news.take()
                over = ended.is_set()
                async with self._one_at_a_time:
                    await in_thread(functools.partial(rotated.compress, path))
                if over:
                    return
                await news.wait()


async def _logged(container: Container, work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except (errdefs.WherryError, OSError) as error:
        _log.error("container %s: its log: %s", container.id[:12], error)


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait((task,))


def _subject(container: Container) -> Subject:
    options = container.host_config.log_config.config or {}
    return Subject(
        id=container.id,
        name=container.name,
        image_id=container.image_id,
        image_name=container.image_name,
        command=" ".join((container.path, *container.args)),
        created=container.created,
        tag=log_attributes.tag(container, options, "{{.ID}}"),
        extra=log_attributes.chosen(container, options),
        host=os.uname().nodename,
    )
