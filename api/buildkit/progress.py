"""What a build tells, kept for those who look at it: they may come late, and read slowly."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from api.buildkit.protos import common_pb2, control_pb2
from api.buildkit.protos.control_pb2 import StatusResponse
from api.gojson import readable
from engine.build.progress import Event, Finding, Log, Status, VertexState
from engine.build.source import SourceFile

_KEPT: Final = 4 << 20  # bytes, for those who come late and before those who read slowly hold the build up
_KEPT_LATER: Final = 256 << 10  # bytes, once it has ended
_AT_ONCE: Final = 1 << 20  # bytes in one message


class Progress:
    """A `Watch` that any number of clients follow."""

    def __init__(self) -> None:
        self._source: SourceFile | None = None
        self._findings: list[Finding] = []  # that wait for it
        self.steps: dict[str, VertexState] = {}
        self.warnings = 0
        self._told: deque[tuple[StatusResponse, int]] = deque()
        self._before = 0  # events that are kept no more
        self._size = 0
        self._followers: dict[object, int] = {}
        self._ended = False
        self._changed = asyncio.Event()

    async def __call__(self, event: Event, /) -> None:
        """Tell one event; waits for a client that reads slowly."""
        if isinstance(event, VertexState):
            self.steps[event.digest] = event
        if isinstance(event, Finding):
            self.warnings += 1
            if self._source is None:
                self._findings.append(event)
                return
        message = _message(event, self._source)
        self._told.append((message, message.ByteSize()))
        self._size += message.ByteSize()
        self._wake()
        while not self._drop(_KEPT) and not self._ended:
            await self._changed.wait()

    async def know(self, source: SourceFile) -> None:
        """The Dockerfile, of which findings show lines."""
        self._source = source
        findings, self._findings = self._findings, []
        self.warnings -= len(findings)
        for finding in findings:
            await self(finding)

    def end(self) -> None:
        """Nothing more is told."""
        self._ended = True
        self._drop(_KEPT_LATER)
        self._wake()

    async def follow(self) -> AsyncGenerator[StatusResponse]:
        """All that is told until the end; of what is kept no more, the steps."""
        me = object()
        self._followers[me] = self._before
        try:
            if self._before:
                yield StatusResponse(vertexes=[_vertex(step) for step in self.steps.values()])
            while True:
                message = self._next(me)
                if message is not None:
                    yield message
                elif self._ended:
                    return
                else:
                    await self._changed.wait()
        finally:
            del self._followers[me]
            self._drop(_KEPT_LATER if self._ended else _KEPT)
            self._wake()

    def kept(self) -> list[StatusResponse]:
        """What was told, as far as it is kept; of what is not, the steps."""
        steps = [_vertex(step) for step in self.steps.values()] if self._before else []
        found = [StatusResponse(vertexes=steps)]
        for part, _ in self._told:
            if found[-1].ByteSize() > _AT_ONCE:
                found.append(StatusResponse())
            found[-1].MergeFrom(part)
        return found

    def _drop(self, limit: int) -> bool:
        """Forget the oldest, but for what somebody reads yet; whether no more than that many bytes are left."""
        while self._size > limit and self._before not in self._followers.values():
            self._size -= self._told.popleft()[1]
            self._before += 1
        return self._size <= limit

    def _next(self, follower: object) -> StatusResponse | None:
        start = self._followers[follower] - self._before
        if start == len(self._told):
            return None
        message, size, at = StatusResponse(), 0, start
        while at < len(self._told) and size < _AT_ONCE:
            part, length = self._told[at]
            message.MergeFrom(part)
            size, at = size + length, at + 1
        self._followers[follower] += at - start
        self._wake()
        return message

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def moment(nanoseconds: int) -> Timestamp | None:
    """A time, None for one that has not come."""
    if not nanoseconds:
        return None
    return Timestamp(seconds=nanoseconds // 10**9, nanos=nanoseconds % 10**9)


def _message(event: Event, source: SourceFile | None) -> StatusResponse:
    match event:
        case VertexState():
            return StatusResponse(vertexes=[_vertex(event)])
        case Status():
            return StatusResponse(statuses=[_status(event)])
        case Log():
            log = control_pb2.VertexLog(
                vertex=event.vertex, timestamp=moment(event.timestamp), stream=event.stream, msg=event.data
            )
            return StatusResponse(logs=[log])
        case Finding():
            return StatusResponse(warnings=[_warning(event, source)])


def _vertex(state: VertexState) -> control_pb2.Vertex:
    return control_pb2.Vertex(
        digest=state.digest,
        inputs=state.inputs,
        name=state.name,
        cached=state.cached,
        started=moment(state.started),
        completed=moment(state.completed),
        error=readable(state.error),
    )


def _status(status: Status) -> control_pb2.VertexStatus:
    return control_pb2.VertexStatus(
        ID=status.id,
        vertex=status.vertex,
        name=status.name,
        current=status.current,
        total=status.total,
        timestamp=moment(status.timestamp),
        started=moment(status.started),
        completed=moment(status.completed),
    )


def _warning(finding: Finding, source: SourceFile | None) -> control_pb2.VertexWarning:
    info = None
    if source is not None:
        info = common_pb2.SourceInfo(filename=source.name, data=source.content, language="Dockerfile")
    return control_pb2.VertexWarning(
        vertex=finding.vertex,
        level=finding.level,
        short=finding.short.encode(),
        detail=[line.encode() for line in finding.detail],
        url=finding.url,
        info=info,
        ranges=[_range(first, last) for first, last in finding.lines],
    )


def _range(first: int, last: int) -> common_pb2.Range:
    return common_pb2.Range(start=common_pb2.Position(line=first), end=common_pb2.Position(line=last))
