"""The one thread that writes: all that is queued goes into one transaction and shares an fsync."""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable
from typing import Any

import msgspec

import errdefs
from engine.database.reserve import Reserve

_GROUP_LIMIT = 256  # verbs in one transaction: bounds how long the first waits for the last
_SLICES = 8  # of the reserve for one verb, at most: others may take what was given back


class Verb(msgspec.Struct, eq=False):
    """A queued change and where its outcome goes. One that `removes` may take of the reserve."""

    change: Callable[[sqlite3.Connection], Any]
    durable: bool
    removes: bool
    future: asyncio.Future[Any]
    result: Any = None
    error: BaseException | None = None

    def settle(self) -> None:
        """Hand the outcome to whoever waits; on the loop."""
        if self.future.done():
            return
        if self.error is None:
            self.future.set_result(self.result)
        else:
            self.future.set_exception(self.error)


class DiskFull(errdefs.SystemFailure):
    """The disk has no room for the change."""


class Writer(threading.Thread):
    """Runs verbs in the order of `put`. Each is a savepoint of its own, all are one commit.

    Outcomes are handed over after the commit, in the same order. The connection is the thread's from
    `start` on, which closes it after the last verb.
    """

    def __init__(
        self, connection: sqlite3.Connection, reserve: Reserve, loop: asyncio.AbstractEventLoop
    ) -> None:
        super().__init__(name="database-writer", daemon=True)
        self._connection = connection
        self._reserve = reserve
        self._loop = loop
        self._queue: queue.SimpleQueue[Verb | None] = queue.SimpleQueue()

    def put(self, verb: Verb) -> None:
        """Queue a verb; never blocks."""
        self._queue.put(verb)

    def finish(self) -> None:
        """Let the thread end when all that is queued is done."""
        self._queue.put(None)

    def run(self) -> None:
        """The thread: groups until told to finish."""
        finishing = False
        while not finishing:
            group, finishing = self._next_group()
            if group:
                self._commit(group)
                self._loop.call_soon_threadsafe(_settle, group)
        self._connection.close()

    def _next_group(self) -> tuple[list[Verb], bool]:
        group: list[Verb] = []
        first = self._queue.get()
        while first is not None:
            group.append(first)
            if len(group) == _GROUP_LIMIT:
                return group, False
            try:
                first = self._queue.get_nowait()
            except queue.Empty:
                return group, False
        return group, True

    def _commit(self, group: list[Verb]) -> None:
        if not self._attempt(group) and len(group) > 1:
            # SQLite gave up the whole transaction (disk full, I/O error): whoever can succeed alone shall.
            for verb in group:
                self._attempt([verb])
        for verb in group:
            if verb.removes and isinstance(verb.error, DiskFull):
                self._attempt_with_reserve(verb)
        self._reserve.refill()

    def _attempt_with_reserve(self, verb: Verb) -> None:
        for _ in range(_SLICES):
            if not isinstance(verb.error, DiskFull) or not self._reserve.give():
                return
            self._attempt([verb])

    def _attempt(self, group: list[Verb]) -> bool:
        """Run the verbs in one transaction; False if all of it was rolled back, with errors set on all."""
        connection = self._connection
        try:
            connection.execute(f"PRAGMA synchronous = {'FULL' if _any_durable(group) else 'NORMAL'}")
            connection.execute("BEGIN IMMEDIATE")
            for verb in group:
                self._run(verb)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            for verb in group:
                verb.error = _failure(error)
            return False
        return True

    def _run(self, verb: Verb) -> None:
        connection = self._connection
        connection.execute("SAVEPOINT verb")
        verb.error = None
        try:
            verb.result = verb.change(connection)
        except Exception as error:
            verb.error = _explained(error)
            if not connection.in_transaction:
                raise _gave_up(error) from error
            connection.execute("ROLLBACK TO verb")
        connection.execute("RELEASE verb")


def _any_durable(group: list[Verb]) -> bool:
    return any(verb.durable for verb in group)


def _settle(group: list[Verb]) -> None:
    for verb in group:
        verb.settle()


def _explained(error: Exception) -> Exception:
    """Constraint violations are the caller's to understand; what the disk says is for a person."""
    return _failure(error) if isinstance(error, sqlite3.OperationalError) else error


def _failure(error: sqlite3.Error) -> errdefs.SystemFailure:
    text = f"the state database could not be written: {error}"
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
        return DiskFull(f"{text}: no space left on device")
    return errdefs.SystemFailure(text)


def _gave_up(error: Exception) -> sqlite3.Error:
    """SQLite has rolled everything back: what it said of the one verb goes for the whole transaction."""
    gave_up = sqlite3.OperationalError(str(error))
    gave_up.sqlite_errorcode = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ABORT)
    return gave_up
