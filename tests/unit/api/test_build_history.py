"""Which builds the history forgets, and how it keeps what they told."""

from api.buildkit import history
from api.buildkit.history import Entry, outdated, packed, unpacked
from api.buildkit.protos.control_pb2 import BuildHistoryRecord, StatusResponse, VertexLog

HOUR = 3600 * 10**9


def entries(count: int, *, age: int = 0, size: int = 1000, pinned: bool = False) -> list[Entry]:
    """Builds that ended `age` hours ago, the oldest first."""
    found = []
    for number in range(count):
        record = BuildHistoryRecord(Ref=f"{age} {number}", pinned=pinned)
        record.CompletedAt.FromNanoseconds((1000 - age) * HOUR + number)
        found.append(Entry(record, size=size))
    return found


def forgotten(*kept: list[Entry]) -> list[str]:
    return sorted(each.record.Ref for each in outdated([e for some in kept for e in some], 1000 * HOUR))


def test_those_go_that_are_neither_young_nor_among_the_last_ones() -> None:
    assert forgotten(entries(50, age=100)) == []
    assert forgotten(entries(70, age=47)) == []
    assert forgotten(entries(52, age=49)) == ["49 0", "49 1"]
    assert forgotten(entries(2, age=49), entries(49, age=1)) == ["49 0"]


def test_pinned_ones_stay() -> None:
    assert forgotten(entries(60, age=100, pinned=True), entries(50, age=90)) == []


def test_what_is_beyond_all_measure_goes_though_it_is_young() -> None:
    assert len(forgotten(entries(history._MOST + 3))) == 3
    assert forgotten(entries(5, size=20 << 20)) == ["0 0", "0 1"]
    assert forgotten(entries(1, size=1 << 30)) == []


def test_messages_are_what_they_were() -> None:
    told = [StatusResponse(), StatusResponse(logs=[VertexLog(msg=b"x" * 70_000)])]
    assert list(unpacked(packed(told))) == told
    assert list(unpacked(b"")) == []
