"""Attaching to a container that exists, running or not."""

from collections.abc import AsyncIterator

import errdefs
from engine.containers.attach import (
    Attachment,
    AttachRequest,
    ByteStream,
    Parked,
    Silence,
    parse_detach_keys,
)
from engine.containers.container import Container
from engine.containers.live import Live
from engine.containers.state import Action
from runtime.task_values import Attach

PARKED_LIMIT = 1000
"""Clients that may wait for one container's start."""


async def attach(
    container: Container, live: Live, request: AttachRequest, replay: AsyncIterator[bytes] | None
) -> Attachment:
    """A client's hold of the stdio. Before the start it is parked: the start lets it in before the first instruction.

    `replay` is what was logged before, where it was asked for.
    """
    container.require(Action.ATTACH)
    keys = parse_detach_keys(request.detach_keys)
    config = container.config
    scans = config.tty and request.stdin
    stream: ByteStream = Silence()
    if request.stream:
        stream = await _stream(container, live, request)
    return Attachment(
        stream,
        terminal=config.tty,
        detach_keys=keys if scans else None,
        leaves_with_input=request.stdin and config.open_stdin and not config.stdin_once,
        replay=replay,
    )


async def _stream(container: Container, live: Live, request: AttachRequest) -> ByteStream:
    if live.task is not None:
        stdin = request.stdin and container.config.open_stdin
        attach = Attach(stdin=stdin, stdout=request.stdout, stderr=request.stderr)
        try:
            return await live.task.attach(attach)
        except errdefs.SystemFailure:  # it has ended this moment: there is no more output
            return Silence()
    live.forget_gone()
    if len(live.parked) >= PARKED_LIMIT:
        raise errdefs.Conflict(f"{PARKED_LIMIT} clients wait for container {container.name} already")
    parked = Parked(request)
    live.parked.append(parked)
    return parked
