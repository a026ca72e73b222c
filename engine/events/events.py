"""The daemon's events: published once, stored, told to whoever listens."""

import asyncio
import functools
import logging
import time
import weakref
from collections.abc import AsyncIterator, Mapping

from engine.database import Database
from engine.events import store
from engine.events.event import Event
from engine.events.listener import Listener
from engine.events.matching import matches
from engine.filters import Filters

_log = logging.getLogger(__name__)
_PRUNE_EVERY = 1000
_HIDDEN_STEP_NS = 10**9  # how far the clock may step back unnoticed
_END_OF_TIME = 2**63 - 1


class Events:
    """Publishes and remembers events (the last 7 days, 100 000 at most).

    An event is told only after it was stored, in the order in which `publish` was called. It is stored
    without waiting for the disk: it survives the daemon's death, and all but the last moments survive a
    power cut.
    """

    def __init__(self, database: Database, last_seq: int, last_time: int):
        self._database = database
        self._last_seq = last_seq  # of what was told
        self._last_time = last_time
        self._latest: asyncio.Future[None] | None = None
        self._published = 0
        # Weak: a subscription that is never iterated, or dropped in the middle, is forgotten with its
        # iterator.
        self._listeners: weakref.WeakSet[Listener] = weakref.WeakSet()

    @classmethod
    async def open(cls, database: Database) -> "Events":
        """The events of a database that has `store.MIGRATIONS`; what is too old is forgotten."""
        await database.write(functools.partial(store.prune, now_ns=time.time_ns()))
        return cls(database, await database.read(store.last_seq), await database.read(store.last_time))

    def publish(
        self,
        type: str,  # noqa: A002 - Docker's word
        action: str,
        actor_id: str,
        attributes: Mapping[str, str],
        *,
        time_ns: int | None = None,
    ) -> asyncio.Future[None]:
        """Store an event, then tell it; the future is done when it is told, and need not be awaited.

        Without `time_ns` it happens now, later than any event before it; with it, when it really happened
        (an exit found at boot). A full disk is logged and keeps nobody from being told.
        """
        event = Event(
            type=type,
            action=action,
            actor_id=actor_id,
            attributes=dict(attributes),
            time_ns=self._now() if time_ns is None else time_ns,
        )
        stored = self._database.submit(functools.partial(store.add, event=event), durable=False)
        self._latest = told = asyncio.get_running_loop().create_future()
        stored.add_done_callback(functools.partial(self._tell, event, told))
        self._prune_now_and_then()
        return told

    def mention(self, type: str, action: str, actor_id: str, attributes: Mapping[str, str]) -> None:  # noqa: A002
        """Tell an event of now to who listens, and do not store it: such are too many to be kept.

        100 containers that are probed each 5 seconds would push all else out within half an hour.
        """
        if not self._listeners:
            return
        event = Event(
            type=type, action=action, actor_id=actor_id, attributes=dict(attributes), time_ns=self._now()
        )
        for listener in self._listeners:
            listener.tell(None, event)

    def subscribe(
        self, filters: Filters, since_ns: int | None = None, until_ns: int | None = None
    ) -> AsyncIterator[Event]:
        """Events that pass the filters: stored ones of the asked time, then live ones, no gap, no repeat.

        It listens from this call on, not only from the first iteration. Stored ones come only if
        `since_ns` or `until_ns` is given, in order of time. It ends at `until_ns` (at once if that is
        past), else never. A listener that is slow reads what it missed from the store: it costs the
        daemon no memory, and is dropped (errdefs.Unavailable) only when the store has forgotten that too.
        """
        listener = Listener(self._database, self._last_seq)
        self._listeners.add(listener)
        return self._passing(filters, listener, since_ns, until_ns)

    @property
    def listeners(self) -> int:
        """How many listen now."""
        return len(self._listeners)

    def close(self) -> None:
        """End every subscription after what was told so far."""
        for listener in self._listeners:
            listener.close()

    async def _passing(
        self, filters: Filters, listener: Listener, since_ns: int | None, until_ns: int | None
    ) -> AsyncIterator[Event]:
        if until_ns is not None and self._latest is not None:
            await asyncio.wait(
                [self._latest]
            )  # what happened before is to be found, if its verb waited or not
        if since_ns is not None or until_ns is not None:
            async for event in self._stored(listener.cursor, since_ns or 0, until_ns):
                if matches(filters, event):
                    yield event
        while (told := await listener.next(until_ns)) is not None:
            if matches(filters, told):
                yield told

    async def _stored(self, up_to: int, since_ns: int, until_ns: int | None) -> AsyncIterator[Event]:
        latest = _END_OF_TIME if until_ns is None else min(until_ns, _END_OF_TIME)
        position = (min(max(since_ns, 0), _END_OF_TIME), 0)
        while page := await self._database.read(
            functools.partial(store.page_by_time, after=position, until_ns=latest, up_to=up_to)
        ):
            for _, event in page:
                yield event
            position = (page[-1][1].time_ns, page[-1][0])

    def _tell(self, event: Event, told: "asyncio.Future[None]", stored: "asyncio.Future[int]") -> None:
        seq = None
        if not told.done():  # who waited for it may have been cancelled
            told.set_result(None)
        if stored.cancelled():
            return
        if (error := stored.exception()) is not None:
            _log.error(
                "the event %s %s of %s was not stored: %s", event.type, event.action, event.actor_id, error
            )
        else:
            seq = self._last_seq = stored.result()
        for listener in self._listeners:
            listener.tell(seq, event)

    def _now(self) -> int:
        now = time.time_ns()
        if self._last_time - _HIDDEN_STEP_NS < now <= self._last_time:
            now = self._last_time + 1
        self._last_time = now
        return now

    def _prune_now_and_then(self) -> None:
        self._published += 1
        if self._published % _PRUNE_EVERY == 0:
            pruned = self._database.submit(
                functools.partial(store.prune, now_ns=time.time_ns()), durable=False
            )
            pruned.add_done_callback(_log_failure)


def _log_failure(pruned: "asyncio.Future[None]") -> None:
    if not pruned.cancelled() and (error := pruned.exception()) is not None:
        _log.error("old events were not forgotten: %s", error)
