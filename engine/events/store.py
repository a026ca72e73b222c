"""Events on disk: a table with a window of time and number."""

import sqlite3

import msgspec

from engine.database import Migration
from engine.events.event import Event

MIGRATIONS = (
    Migration(
        1,
        """
CREATE TABLE event (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    time_ns INTEGER NOT NULL,
    type TEXT NOT NULL,
    action TEXT NOT NULL,
    actor_id TEXT NOT NULL,
    scope TEXT NOT NULL,
    attributes TEXT NOT NULL
);
CREATE INDEX event_time ON event (time_ns, seq);
""",
    ),
)

RETAINED_NS = 7 * 24 * 3600 * 10**9
RETAINED_NUMBER = 100_000
PAGE = 500

_decode_attributes = msgspec.json.Decoder(dict[str, str]).decode

Row = tuple[int, Event]  # sequence number, event


def add(connection: sqlite3.Connection, event: Event) -> int:
    """Store an event; returns its sequence number, which counts up and is never used again."""
    cursor = connection.execute(
        "INSERT INTO event (time_ns, type, action, actor_id, scope, attributes) VALUES (?, ?, ?, ?, ?, ?)",
        (
            event.time_ns,
            event.type,
            event.action,
            event.actor_id,
            event.scope,
            msgspec.json.encode(event.attributes).decode(),
        ),
    )
    return int(cursor.lastrowid or 0)


def last_seq(connection: sqlite3.Connection) -> int:
    """The newest sequence number, 0 if there is none."""
    return int(connection.execute("SELECT coalesce(max(seq), 0) FROM event").fetchone()[0])


def last_time(connection: sqlite3.Connection) -> int:
    """The latest time of an event, 0 if there is none."""
    return int(connection.execute("SELECT coalesce(max(time_ns), 0) FROM event").fetchone()[0])


def page_by_time(
    connection: sqlite3.Connection, after: tuple[int, int], until_ns: int, up_to: int
) -> list[Row]:
    """A page in order of time: past `after` (time, sequence), up to a time and a sequence number."""
    rows = connection.execute(
        "SELECT seq, type, action, actor_id, attributes, time_ns, scope FROM event"
        " WHERE (time_ns, seq) > (?, ?) AND time_ns <= ? AND seq <= ?"
        " ORDER BY time_ns, seq LIMIT ?",
        (*after, until_ns, up_to, PAGE),
    )
    return [_row(*row) for row in rows]


def page_by_seq(connection: sqlite3.Connection, after: int) -> list[Row]:
    """A page in the order in which events were published: those past sequence number `after`."""
    rows = connection.execute(
        "SELECT seq, type, action, actor_id, attributes, time_ns, scope FROM event"
        " WHERE seq > ? ORDER BY seq LIMIT ?",
        (after, PAGE),
    )
    return [_row(*row) for row in rows]


def prune(connection: sqlite3.Connection, now_ns: int) -> None:
    """Forget what is older than the retained time or beyond the retained number."""
    connection.execute("DELETE FROM event WHERE time_ns < ?", (now_ns - RETAINED_NS,))
    connection.execute("DELETE FROM event WHERE seq <= ?", (last_seq(connection) - RETAINED_NUMBER,))


def _row(seq: int, kind: str, action: str, actor_id: str, attributes: str, time_ns: int, scope: str) -> Row:
    event = Event(
        type=kind,
        action=action,
        actor_id=actor_id,
        attributes=_decode_attributes(attributes),
        time_ns=time_ns,
        scope=scope,
    )
    return seq, event
