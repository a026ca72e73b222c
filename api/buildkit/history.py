"""The builds under way and the last ones that ended, as `docker buildx history` and metadata files ask for them."""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from typing import Final

import errdefs
from api.buildkit.progress import Progress, moment
from api.buildkit.protos import control_pb2
from api.buildkit.protos.common_pb2 import Status
from api.grpc.status import RpcError

_KEPT: Final = 50  # builds; pinned ones stay


class Entry:
    """One build: its record, and what it told. Hidden ones, by which clients ask what there is, are not listed."""

    def __init__(self, request: control_pb2.SolveRequest, progress: Progress) -> None:
        self.progress = progress
        self.active = True
        self.hidden = request.Internal
        self.record = control_pb2.BuildHistoryRecord(
            Ref=request.Ref,
            Frontend=request.Frontend,
            FrontendAttrs=request.FrontendAttrs,
            Exporters=request.Exporters,
            CreatedAt=moment(time.time_ns()),
        )

    def began(self, frontend: str, options: Mapping[str, str]) -> None:
        """What is built, once the client has said it."""
        self.record.Frontend = frontend
        self.record.FrontendAttrs.update(options)

    def ended(self, answers: dict[str, str], failure: RpcError | None) -> None:
        """How it went."""
        self.active = False
        steps = self.progress.steps.values()
        self.record.CompletedAt.FromNanoseconds(time.time_ns())
        self.record.ExporterResponse.update(answers)
        self.record.numTotalSteps = len(steps)
        self.record.numCachedSteps = sum(step.cached for step in steps)
        self.record.numCompletedSteps = sum(bool(step.completed) for step in steps)
        self.record.numWarnings = self.progress.warnings
        if failure is not None:
            self.record.error.CopyFrom(Status(code=failure.code, message=failure.message))


class History:
    """In memory, while the daemon runs."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._events: list[asyncio.Queue[control_pb2.BuildHistoryEvent]] = []

    def add(self, entry: Entry) -> None:
        """A build begins."""
        self._entries.pop(entry.record.Ref, None)
        self._entries[entry.record.Ref] = entry
        self._tell(control_pb2.STARTED, entry)

    def ended(self, entry: Entry) -> None:
        """A build has ended."""
        self._tell(control_pb2.COMPLETE, entry)
        over = [each for each in self._entries.values() if not each.active and not each.record.pinned]
        for each in over[: max(0, len(over) - _KEPT)]:
            del self._entries[each.record.Ref]

    def progress(self, ref: str) -> Progress | None:
        """What a build told, None for one that is not known."""
        entry = self._entries.get(ref)
        return entry.progress if entry else None

    def update(self, ref: str, *, pinned: bool, delete: bool) -> None:
        """Pin or forget a build. NotFound, Conflict for one that is under way."""
        entry = self._entries.get(ref)
        if entry is None:
            raise errdefs.NotFound(f"failed to retrieve record {ref}: not found")
        if delete:
            if entry.active:
                raise errdefs.Conflict(f"build {ref} is under way")
            del self._entries[ref]
            self._tell(control_pb2.DELETED, entry)
        else:
            entry.record.pinned = pinned

    async def listen(
        self, request: control_pb2.BuildHistoryRequest
    ) -> AsyncGenerator[control_pb2.BuildHistoryEvent]:
        """What is known, oldest first; then what happens, unless the client wants no more than that."""
        events: asyncio.Queue[control_pb2.BuildHistoryEvent] = asyncio.Queue()
        self._events.append(events)
        try:
            for event in self._known(request):
                yield event
            while not request.EarlyExit:
                event = await events.get()
                if request.Ref in ("", event.record.Ref):
                    yield event
        finally:
            self._events.remove(events)

    def _known(self, request: control_pb2.BuildHistoryRequest) -> list[control_pb2.BuildHistoryEvent]:
        found = [
            entry
            for ref, entry in self._entries.items()
            if request.Ref in ("", ref) and (entry.active or not request.ActiveOnly) and not entry.hidden
        ]
        shown = found[-request.Limit :] if request.Limit > 0 else found
        return [_event(control_pb2.STARTED if each.active else control_pb2.COMPLETE, each) for each in shown]

    def _tell(self, kind: "control_pb2.BuildHistoryEventType.ValueType", entry: Entry) -> None:
        for queue in [] if entry.hidden else self._events:
            queue.put_nowait(_event(kind, entry))


def _event(
    kind: "control_pb2.BuildHistoryEventType.ValueType", entry: Entry
) -> control_pb2.BuildHistoryEvent:
    return control_pb2.BuildHistoryEvent(type=kind, record=entry.record)
