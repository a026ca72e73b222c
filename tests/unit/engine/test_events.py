import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import errdefs
from engine.database import Database
from engine.events import MIGRATIONS, Event, Events, listener, store
from engine.events.matching import matches
from engine.filters import Filters, read

EVERYTHING = Filters()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = await Database.open(tmp_path / "state.db", MIGRATIONS)
    yield opened
    await opened.close()


@pytest.fixture
async def events(database: Database) -> Events:
    return await Events.open(database)


async def _publish(events: Events, *numbers: int) -> None:
    for number in numbers:
        await events.publish("container", "start", f"id{number}", {"name": f"c{number}"})


async def _take(stream: AsyncIterator[Event], count: int) -> list[str]:
    return [(await anext(stream)).actor_id for _ in range(count)]


async def _stored(events: Events, filters: Filters = EVERYTHING, since_ns: int | None = None) -> list[str]:
    return [event.actor_id async for event in events.subscribe(filters, since_ns, time.time_ns())]


async def test_stored_ones_come_only_when_asked_for(events: Events) -> None:
    await _publish(events, 1, 2)
    live, both = events.subscribe(EVERYTHING), events.subscribe(EVERYTHING, since_ns=0)
    await _publish(events, 3)
    assert await _take(live, 1) == ["id3"]
    assert await _take(both, 3) == ["id1", "id2", "id3"]
    assert await _stored(events) == ["id1", "id2", "id3"]


async def test_times_beyond_the_clocks_range(events: Events) -> None:
    """A client may name any second of 64 bits."""
    await _publish(events, 1)
    never = 2**63 * 10**9
    live = events.subscribe(EVERYTHING, until_ns=never)
    assert await _take(live, 1) == ["id1"]
    late = events.subscribe(EVERYTHING, since_ns=never)
    await _publish(events, 2)
    assert await _take(live, 1) == await _take(late, 1) == ["id2"]


async def test_what_was_published_survives_the_daemon(events: Events, database: Database) -> None:
    await events.publish(
        "image", "pull", "alpine", {"name": "alpine", "é": "\u2028"}, time_ns=5 + time.time_ns()
    )
    again = await Events.open(database)
    (event,) = [event async for event in again.subscribe(EVERYTHING, until_ns=time.time_ns())]
    assert event.attributes == {"name": "alpine", "é": "\u2028"}
    assert (event.type, event.action, event.scope) == ("image", "pull", "local")


async def test_times_count_up_even_when_the_clock_stands(
    events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time_ns()
    readings = iter([now, now, now - 5000, now + 9])
    monkeypatch.setattr("engine.events.events.time.time_ns", lambda: next(readings, now + 10**6))
    await _publish(events, 1, 2, 3, 4)
    times = [event.time_ns async for event in events.subscribe(EVERYTHING, until_ns=now + 100)]
    assert times == [now, now + 1, now + 2, now + 9]


async def test_a_clock_that_was_set_back_is_followed(events: Events, monkeypatch: pytest.MonkeyPatch) -> None:
    await _publish(events, 1)
    earlier = time.time_ns() - 3600 * 10**9
    monkeypatch.setattr("engine.events.events.time.time_ns", lambda: earlier)
    await _publish(events, 2)
    assert [event.time_ns async for event in events.subscribe(EVERYTHING, until_ns=earlier)] == [earlier]


async def test_an_event_of_the_past_is_listed_at_its_time(events: Events) -> None:
    begin = time.time_ns()
    await _publish(events, 1)
    await events.publish("container", "die", "late", {}, time_ns=begin - 10)
    assert await _stored(events) == ["late", "id1"]
    assert await _stored(events, since_ns=begin) == ["id1"]


async def test_since_and_until_include_their_moment(events: Events) -> None:
    base = time.time_ns() - 1000
    for offset in range(5):
        await events.publish("container", "start", f"id{offset}", {}, time_ns=base + offset)
    window = events.subscribe(EVERYTHING, since_ns=base + 1, until_ns=base + 3)
    assert [event.actor_id async for event in window] == ["id1", "id2", "id3"]


async def test_it_ends_at_until(events: Events) -> None:
    stream = events.subscribe(EVERYTHING, until_ns=time.time_ns() + 200_000_000)
    await _publish(events, 1)
    assert [event.actor_id async for event in stream] == ["id1"]


async def test_what_is_not_yet_told_is_found(events: Events) -> None:
    """Who asks for what was until now waits for it: the verb that it tells of may have been answered before."""
    for number in range(50):
        events.publish("container", "stop", f"id{number}", {})
    assert await _stored(events) == [f"id{number}" for number in range(50)]


async def test_no_gap_and_no_repeat_between_stored_and_live(events: Events) -> None:
    numbers = range(300)

    async def publish_all() -> None:
        await asyncio.gather(*(_publish(events, number) for number in numbers))

    async def listen(delay: int) -> list[str]:
        for _ in range(delay):
            await asyncio.sleep(0)
        return await _take(events.subscribe(EVERYTHING, since_ns=0), len(numbers))

    expected = [f"id{number}" for number in numbers]
    heard, _ = await asyncio.gather(
        asyncio.gather(*(listen(delay) for delay in range(0, 60, 3))), publish_all()
    )
    assert all(sorted(one) == sorted(expected) for one in heard)


async def test_a_slow_listener_misses_nothing(events: Events, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "QUEUE_LIMIT", 5)
    monkeypatch.setattr(store, "PAGE", 7)
    stream = events.subscribe(EVERYTHING)
    heard: list[str] = []
    for round_ in range(10):
        await asyncio.gather(*(_publish(events, round_ * 20 + number) for number in range(20)))
        heard += await _take(stream, 3)
    heard += await _take(stream, 170)
    assert heard == [f"id{number}" for number in range(200)]


async def test_a_listener_that_is_too_late_even_for_the_store_is_told_so(
    events: Events, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "QUEUE_LIMIT", 2)
    stream = events.subscribe(EVERYTHING)
    await _publish(events, *range(10))
    await database.write(lambda connection: connection.execute("DELETE FROM event WHERE seq < 5") and None)
    with pytest.raises(errdefs.Unavailable, match="too slowly"):
        await anext(stream)


async def test_retention_by_number_and_by_age(
    events: Events, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await events.publish("container", "start", "old", {}, time_ns=time.time_ns() - store.RETAINED_NS - 10**9)
    await _publish(events, *range(10))
    monkeypatch.setattr(store, "RETAINED_NUMBER", 4)
    again = await Events.open(database)
    assert await _stored(again) == ["id6", "id7", "id8", "id9"]
    await _publish(again, 10)
    assert await database.read(store.last_seq) == 12


async def test_an_event_that_cannot_be_stored_is_told_all_the_same(
    events: Events, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    stream = events.subscribe(EVERYTHING)
    await database.write(lambda connection: connection.execute("DROP TABLE event") and None)
    await _publish(events, 1, 2)
    assert await _take(stream, 2) == ["id1", "id2"]
    assert "was not stored: the state database could not be written" in caplog.text


async def test_a_cancelled_publisher_still_publishes(events: Events) -> None:
    stream = events.subscribe(EVERYTHING)
    publisher = asyncio.ensure_future(_publish(events, 1))  # noqa: TID251
    await asyncio.sleep(0)
    publisher.cancel()
    assert await _take(stream, 1) == ["id1"]
    assert await _stored(events) == ["id1"]


async def test_close_ends_subscriptions_after_what_was_told(events: Events) -> None:
    stream = events.subscribe(EVERYTHING)
    await _publish(events, 1)
    events.close()
    assert [event.actor_id async for event in stream] == ["id1"]


def _event(kind: str = "container", action: str = "start", actor: str = "abcdef", **attributes: str) -> Event:
    return Event(type=kind, action=action, actor_id=actor, attributes=attributes, time_ns=1)


@pytest.mark.parametrize(
    ("raw", "event", "expected"),
    [
        ('{"type":["container"]}', _event(), True),
        ('{"type":["image"]}', _event(), False),
        ('{"type":["image","container"]}', _event(), True),
        ('{"event":["start"]}', _event(), True),
        ('{"event":["sta"]}', _event(), False),
        ('{"event":["exec_create"]}', _event(action="exec_create: ls"), True),
        ('{"event":["exec_start","die"]}', _event(action="exec_start: ls"), True),
        ('{"event":["health_status"]}', _event(action="health_status: healthy"), True),
        ('{"event":["health_status: healthy"]}', _event(action="health_status: healthy"), True),
        ('{"event":["health_status: heal"]}', _event(action="health_status: healthy"), False),
        ('{"container":["abc"]}', _event(), True),
        ('{"container":["we"]}', _event(name="web"), True),
        ('{"container":["eb"]}', _event(name="web"), False),
        ('{"container":["web"]}', _event(kind="network", name="web"), True),
        ('{"container":["a"],"event":["die"]}', _event(), False),
        ('{"image":["alpine"]}', _event(image="alpine:3"), True),
        ('{"image":["alpine:3"]}', _event(image="alpine:3"), True),
        ('{"image":["alpine"]}', _event(image="docker.io/library/alpine@sha256:00"), True),
        ('{"image":["alpin"]}', _event(image="alpine:3"), False),
        ('{"image":["localhost:5000/a"]}', _event(image="localhost:5000/a"), True),
        ('{"image":["sha256:ab"]}', _event(kind="image", actor="sha256:ab", name="alpine:3"), True),
        ('{"label":["a=1"]}', _event(a="1"), True),
        ('{"label":["a=1","b"]}', _event(a="1"), False),
        ('{"scope":["local"]}', _event(), True),
        ('{"scope":["swarm"]}', _event(), False),
        ("{}", _event(), True),
        ('{"foo":["x"]}', _event(), True),
    ],
)
def test_filters(raw: str, event: Event, expected: bool) -> None:
    assert matches(read(raw), event) is expected
