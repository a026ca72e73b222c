"""The builds under way and those that ended, as `docker buildx history` and metadata files ask for them."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Iterator, Mapping
from typing import Final

from google.protobuf.message import DecodeError

import errdefs
from api.buildkit.doors import Chronicle
from api.buildkit.progress import Progress, moment
from api.buildkit.protos import control_pb2
from api.buildkit.protos.common_pb2 import Status
from api.buildkit.protos.control_pb2 import BuildHistoryEvent, BuildHistoryRecord, StatusResponse
from api.grpc.status import RpcError

_log = logging.getLogger(__name__)
_KEPT: Final = 50  # builds stay however old they are
_YOUNG: Final = 48 * 3600 * 10**9  # nanoseconds that more than those stay
_MOST: Final = 2000  # builds, however young they are: what they take of memory is bounded, too
_MOST_BYTES: Final = 64 << 20  # of all that are kept on the disk
_HIDDEN: Final = 16  # builds that only asked what there is, and are not kept on the disk
_LENGTH: Final = 4  # bytes before a message


class Entry:
    """One build: its record, and what it told, unless that is on the disk (`progress` is None).

    Hidden ones, by which clients ask what there is, are neither listed nor kept.
    """

    def __init__(self, record: BuildHistoryRecord, progress: Progress | None = None, size: int = 0) -> None:
        self.record = record
        self.progress = progress
        self.size = size
        self.active = progress is not None
        self.hidden = False

    @classmethod
    def of(cls, request: control_pb2.SolveRequest, progress: Progress) -> "Entry":
        """A build that begins."""
        record = BuildHistoryRecord(
            Ref=request.Ref,
            Frontend=request.Frontend,
            FrontendAttrs=request.FrontendAttrs,
            Exporters=request.Exporters,
            CreatedAt=moment(time.time_ns()),
        )
        entry = cls(record, progress)
        entry.hidden = request.Internal
        return entry

    def began(self, frontend: str, options: Mapping[str, str]) -> None:
        """What is built, once the client has said it."""
        self.record.Frontend = frontend
        self.record.FrontendAttrs.update(options)

    def ended(self, progress: Progress, answers: dict[str, str], failure: RpcError | None) -> None:
        """How it went."""
        self.active = False
        steps = progress.steps.values()
        self.record.CompletedAt.FromNanoseconds(time.time_ns())
        self.record.ExporterResponse.update(answers)
        self.record.numTotalSteps = len(steps)
        self.record.numCachedSteps = sum(step.cached for step in steps)
        self.record.numCompletedSteps = sum(bool(step.completed) for step in steps)
        self.record.numWarnings = progress.warnings
        if failure is not None:
            self.record.error.CopyFrom(Status(code=failure.code, message=failure.message))


class History:
    """Records in memory, and with what builds told on the disk."""

    def __init__(self, store: Chronicle) -> None:
        """Use `open`."""
        self._store = store
        self._entries: dict[str, Entry] = {}
        self._events: list[asyncio.Queue[BuildHistoryEvent]] = []

    @classmethod
    async def open(cls, store: Chronicle) -> "History":
        """With what was kept; a record that cannot be read is left out."""
        history = cls(store)
        for kept in await store.all():
            try:
                record = BuildHistoryRecord.FromString(kept.record)
            except DecodeError:
                _log.warning("a record of the history of builds cannot be read")
            else:
                history._entries[record.Ref] = Entry(record, size=kept.size)
        return history

    def add(self, entry: Entry) -> None:
        """A build begins."""
        self._entries.pop(entry.record.Ref, None)
        self._entries[entry.record.Ref] = entry
        self._tell(control_pb2.STARTED, entry)

    async def ended(self, entry: Entry, told: list[StatusResponse]) -> None:
        """A build has ended that told this; it is kept from now on, whatever becomes of the daemon."""
        record = entry.record
        if not entry.hidden:
            try:
                entry.size = await self._store.put(record.Ref, record.SerializeToString(), packed(told))
                entry.progress = None
            except errdefs.WherryError as error:
                _log.warning("a build could not be written down, and is lost at the next start: %s", error)
        self._tell(control_pb2.COMPLETE, entry)
        await self._forget()

    def follow(self, ref: str) -> AsyncGenerator[StatusResponse] | None:
        """What a build tells or told, None for one that is not known."""
        entry = self._entries.get(ref)
        if entry is None:
            return None
        return self._told(ref) if entry.progress is None else entry.progress.follow()

    async def update(self, ref: str, *, pinned: bool) -> None:
        """Pin a build, or do so no more. NotFound, Conflict for one that is under way."""
        entry = self._entries.get(ref)
        if entry is None:
            raise errdefs.NotFound(f"failed to retrieve ref {ref[:80]}: file does not exist")
        if entry.active:
            raise errdefs.Conflict(f"build {ref} is under way")
        entry.record.pinned = pinned
        entry.record.Generation += 1
        await self._store.update(ref, entry.record.SerializeToString())
        self._tell(control_pb2.COMPLETE, entry)

    async def delete(self, ref: str) -> None:
        """Forget a build; one that is not known is forgotten already. Conflict for one that is under way."""
        entry = self._entries.get(ref)
        if entry is None:
            return
        if entry.active:
            raise errdefs.Conflict(f"build {ref} is under way")
        await self._store.remove([ref])
        self._drop(entry)

    async def listen(self, request: control_pb2.BuildHistoryRequest) -> AsyncGenerator[BuildHistoryEvent]:
        """What is known, oldest first; then what happens, unless the client wants no more than that."""
        events: asyncio.Queue[BuildHistoryEvent] = asyncio.Queue()
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

    def _known(self, request: control_pb2.BuildHistoryRequest) -> list[BuildHistoryEvent]:
        found = [
            entry
            for ref, entry in self._entries.items()
            if request.Ref in ("", ref) and (entry.active or not request.ActiveOnly) and not entry.hidden
        ]
        shown = found[-request.Limit :] if request.Limit > 0 else found
        return [_event(control_pb2.STARTED if each.active else control_pb2.COMPLETE, each) for each in shown]

    async def _told(self, ref: str) -> AsyncGenerator[StatusResponse]:
        for message in unpacked(await self._store.told(ref)):
            yield message

    async def _forget(self) -> None:
        """Let go of what is too much."""
        over = [each for each in self._entries.values() if not each.active]
        for entry in [each for each in over if each.hidden][:-_HIDDEN]:
            del self._entries[entry.record.Ref]
        gone = outdated([each for each in over if not each.hidden], time.time_ns())
        if not gone:
            return
        try:
            await self._store.remove([each.record.Ref for each in gone], durable=False)
        except errdefs.WherryError as error:
            _log.warning("old builds could not be forgotten: %s", error)
            return
        for entry in gone:
            self._drop(entry)

    def _drop(self, entry: Entry) -> None:
        if self._entries.get(entry.record.Ref) is entry:
            del self._entries[entry.record.Ref]
            self._tell(control_pb2.DELETED, entry)

    def _tell(self, kind: "control_pb2.BuildHistoryEventType.ValueType", entry: Entry) -> None:
        for queue in [] if entry.hidden else self._events:
            queue.put_nowait(_event(kind, entry))


def outdated(entries: list[Entry], now: int) -> list[Entry]:
    """Those that are to go of these builds, which have ended; `now` in Unix nanoseconds. Pinned ones stay.

    As in BuildKit those that are neither among the last ones nor young; and of young ones what is beyond all measure.
    """
    loose = [each for each in entries if not each.record.pinned]
    loose.sort(key=lambda each: each.record.CompletedAt.ToNanoseconds(), reverse=True)
    gone: list[Entry] = []
    total = 0
    for number, entry in enumerate(loose):
        total += entry.size
        old = now - entry.record.CompletedAt.ToNanoseconds() > _YOUNG
        if number >= (_KEPT if old else _MOST) or (number and total > _MOST_BYTES):
            gone.append(entry)
    return gone


def packed(messages: list[StatusResponse]) -> bytes:
    """Messages as bytes, each behind its length."""
    parts = [message.SerializeToString() for message in messages]
    return b"".join(len(part).to_bytes(_LENGTH, "little") + part for part in parts)


def unpacked(data: bytes) -> Iterator[StatusResponse]:
    """Messages that were packed."""
    at = 0
    while at < len(data):
        end = at + _LENGTH + int.from_bytes(data[at : at + _LENGTH], "little")
        yield StatusResponse.FromString(data[at + _LENGTH : end])
        at = end


def _event(kind: "control_pb2.BuildHistoryEventType.ValueType", entry: Entry) -> BuildHistoryEvent:
    return BuildHistoryEvent(type=kind, record=entry.record)
