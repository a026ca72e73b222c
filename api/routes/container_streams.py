"""Containers' streams: attach, logs, wait."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any, Protocol

import errdefs
from api import errors, hijack, web
from api.call import Call
from api.connection import Connection, Taken
from api.lasting import while_connected
from api.relay import relay
from api.routing import Route
from api.schema import events
from engine.containers.attach import AttachRequest, parse_detach_keys
from engine.containers.container import Container
from engine.containers.wait import CONDITIONS, NOT_RUNNING, REMOVED
from engine.logs.reader import LogQuery


class WaitResult(Protocol):
    """How a wait ended."""

    @property
    def code(self) -> int:
        """The exit code."""

    @property
    def error(self) -> str:
        """What went wrong, or ""."""


class Waiting(Protocol):
    """One who waits."""

    async def result(self) -> WaitResult:
        """As soon as the condition holds."""

    def cancel(self) -> None:
        """Nobody waits any more."""


class Containers(Protocol):
    """What these routes need of the engine's containers."""

    def get(self, reference: str, /) -> Container:
        """By name, ID or prefix."""

    async def attach(self, reference: str, request: AttachRequest, /) -> hijack.Attachment:
        """A hold of its stdio."""

    async def logs(self, reference: str, query: LogQuery, /) -> AsyncIterator[bytes]:
        """What it wrote."""

    async def wait(self, reference: str, condition: str, /) -> Waiting:
        """Register for a condition."""


class ContainerStreamRoutes:
    """Routes whose answer lasts."""

    def __init__(self, containers: Containers) -> None:
        self._containers = containers

    def routes(self) -> list[Route]:
        """The table."""
        return [
            Route("POST", "/containers/{name}/attach", self.attach),
            Route("GET", "/containers/{name}/logs", self.logs),
            Route("POST", "/containers/{name}/wait", self.wait),
        ]

    async def attach(self, call: Call) -> web.StreamResponse:
        """Attach to a container's stdio on this connection."""
        connection = hijack.hold(call.request)
        request = _attach_request(call)
        try:
            parse_detach_keys(request.detach_keys)  # told before anything of the container is
            container = self._containers.get(call.name)
            attachment = await self._containers.attach(container.id, request)
        except errdefs.WherryError as error:
            refused = hijack.hijack(connection, hijack.refusal(*errors.describe(error, "attach")))
            await refused.finish()
            return Taken()
        head = hijack.upgrade_head(
            upgrade="Upgrade" in call.request.headers,
            content_type=stream_type(call, terminal=container.config.tty),
        )
        output = request.stdout or request.stderr or request.logs or not request.stream
        await carry(connection, head, attachment, output=output)
        return Taken()

    async def logs(self, call: Call) -> web.StreamResponse:
        """What a container wrote, and writes."""
        json_type = _json_type(call)
        query, container = _log_query(call, json_type), self._containers.get(call.name)
        terminal = container.config.tty
        chunks = await self._containers.logs(container.id, query(multiplexed=not terminal))
        response = await call.stream(json_type or stream_type(call, terminal=terminal))
        async with contextlib.aclosing(chunks) as lines:  # type: ignore[type-var]
            with while_connected(call.request):
                async for chunk in lines:
                    await response.write(chunk)
        return response

    async def wait(self, call: Call) -> web.StreamResponse:
        """The exit code of a container, once the condition holds. The head is sent at once, since 1.30."""
        early = not call.version.before("1.30")
        condition = _condition(call) if early else NOT_RUNNING
        waiting = await self._containers.wait(call.name, condition)
        response: web.StreamResponse | None = None
        try:
            with while_connected(call.request):
                if early:
                    response = await call.stream("application/json")
                result = await waiting.result()
                body = _wait_body(result)
                if condition == REMOVED and call.version.before("1.34") and result.error:
                    body = b""
                if response is None:
                    return web.Response(body=body, headers={"Content-Type": "application/json"})
                await response.write(body)
        finally:
            waiting.cancel()
        return response or Taken()


def stream_type(call: Call, *, terminal: bool) -> str:
    """The content type of a container's stream."""
    return hijack.RAW if terminal or call.version.before("1.42") else hijack.MULTIPLEXED


async def carry(
    connection: Connection, head: bytes, attachment: hijack.Attachment, *, output: bool = True
) -> None:
    """Take the connection over and relay until it ends; the attachment is let go in any case."""
    try:
        taken = hijack.hijack(connection, head)
    except BaseException:
        attachment.close()
        raise
    try:
        await relay(taken, attachment, output=output)
    finally:
        taken.end()


def _attach_request(call: Call) -> AttachRequest:
    flag = call.query.flag
    return AttachRequest(
        stdin=flag("stdin"),
        stdout=flag("stdout"),
        stderr=flag("stderr"),
        stream=flag("stream"),
        logs=flag("logs"),
        detach_keys=call.query.text("detachKeys"),
    )


def _condition(call: Call) -> str:
    condition = call.query.text("condition") or NOT_RUNNING
    if condition not in CONDITIONS:
        raise errdefs.InvalidArgument(f'invalid condition: "{condition}"')
    return condition


def _wait_body(result: WaitResult) -> bytes:
    shown: dict[str, Any] = {"StatusCode": result.code}
    if result.error:
        shown["Error"] = {"Message": result.error}
    return errors.encode(shown)


class _LogQueryMaker(Protocol):
    def __call__(self, *, multiplexed: bool) -> LogQuery: ...


def _json_type(call: Call) -> str:
    """The content type of a log told as JSON, "" for one told as bytes. Since 1.54, and experimental there."""
    if call.version.before("1.54"):
        return ""
    asked = call.query.text("format")
    if asked not in ("", "json"):
        raise errdefs.InvalidArgument("unsupported log format")
    accepted = events.accepted(call.request.headers.get("Accept", ""))
    return accepted or (events.NDJSON if asked else "")


def _log_query(call: Call, json_type: str) -> _LogQueryMaker:
    """The query but for what the container decides. All that can fail, fails here."""
    flag = call.query.flag
    stdout, stderr = flag("stdout"), flag("stderr")
    if not stdout and not stderr:
        raise errdefs.InvalidArgument("Bad parameters: you must choose at least one stream")
    since, until = call.query.timestamp("since"), call.query.timestamp("until")

    def make(*, multiplexed: bool) -> LogQuery:
        return LogQuery(
            stdout=stdout,
            stderr=stderr,
            since_ns=since or None,
            until_ns=until or None,
            tail=_tail(call.query.text("tail")),
            follow=flag("follow"),
            timestamps=flag("timestamps"),
            details=flag("details"),
            multiplexed=multiplexed,
            as_json=_before_records(json_type),
        )

    return make


def _before_records(json_type: str) -> bytes | None:
    if not json_type:
        return None
    return events.RECORD_SEPARATOR if json_type == events.JSON_SEQUENCE else b""


def _tail(text: str) -> int | None:
    """How many lines from the end; None is all, also for what is no number, as in Docker."""
    try:
        tail = int(text)
    except ValueError:
        return None
    return tail if 0 <= tail < 2**63 else None
