"""What drivers make of messages, where no daemon is needed to see it."""

import gzip
import json
import re
import time
from collections.abc import Iterator

import msgspec
import pytest

from engine.logs.drivers import fluentd, gelf, journald, syslog
from engine.logs.drivers.target import Message, Partial, Subject
from engine.logs.messages import Messages
from runtime.shim.jsonlog import MAX_LINE

AT = 1_700_000_000_123_456_789
BOX = Subject(
    id="c0ffee" * 10 + "0123", name="box", image_id="sha256:ab", image_name="bb:1", command="sh -c x", created=AT,
    tag="tag", extra={"a.b": "1", "_c": "2"}, host="here",
)  # fmt: skip


@pytest.fixture
def west(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A host in a zone of its own."""
    monkeypatch.setenv("TZ", "WEST+03:30")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def message(line: str, stream: str = "stdout", partial: Partial | None = None) -> Message:
    return Message(line, stream, AT, 1, partial)


@pytest.mark.parametrize(
    ("form", "head"),
    [
        ("", "<30>Nov 14 18:43:20 tag[P]: "),
        ("rfc3164", "<30>Nov 14 18:43:20 here tag[P]: "),
        ("rfc5424", "<30>1 2023-11-14T18:43:20-03:30 here tag P tag - "),
        ("rfc5424micro", "<30>1 2023-11-14T18:43:20.123456-03:30 here tag P tag - "),
    ],
)
def test_syslog_in_local_time(west: None, form: str, head: str) -> None:
    target = syslog.make({"syslog-format": form}, BOX)
    pieces = target.encode([message("one"), message(""), message("two", "stderr")]).pieces
    told = [re.sub(r"(?<=[\[ ])\d+(?=\]| tag -)", "P", piece.decode()) for piece in pieces]
    assert told == [f"{head}one\n", f"{head}two\n".replace("<30>", "<27>")]


def test_syslog_by_tls_counts_its_messages() -> None:
    target = syslog.make({"syslog-address": "tcp+tls://a", "syslog-format": "rfc5424"}, BOX)
    (piece,) = target.encode([message("é")]).pieces
    size, _, rest = piece.partition(b" ")
    assert int(size) == len(rest)


def test_gelf_too_long_for_any_receiver_is_left_out() -> None:
    assert gelf.chunks(b"x" * (128 * 1408 + 1)) == []
    assert len(gelf.chunks(b"x" * (128 * 1408))) == 128
    assert gelf.chunks(b"x" * 1420) == [b"x" * 1420]


def test_gelf_of_labels_named_as_its_own() -> None:
    target = gelf.make({"gelf-address": "udp://a:1"}, BOX)
    (piece,) = target.encode([message("hi")]).pieces
    told = json.loads(gzip.decompress(piece))
    assert (told["_a.b"], told["_c"], told["_created"]) == ("1", "2", "2023-11-14T22:13:20.123456789Z")


def test_acknowledgements_are_told_apart() -> None:
    target = fluentd.make({"fluentd-request-ack": "true"}, BOX)
    batch = target.encode([message("one"), message("two")])
    chunks = [msgspec.msgpack.decode(piece)[3]["chunk"] for piece in batch.pieces]
    assert [msgspec.msgpack.decode(ack)["ack"] for ack in batch.acks] == chunks
    assert len(set(chunks)) == 2


def test_fields_of_the_journal() -> None:
    assert journald.field("A", "b") == b"A=b\n"
    assert journald.field("A", "b\nc") == b"A\n\x03\0\0\0\0\0\0\0b\nc\n"
    assert [journald.field_name(key) for key in ("a.b-C", "__x", "9", "é")] == ["A_B_C", "X", "9", ""]


def test_pieces_of_a_line_know_each_other() -> None:
    """Of two streams at a time; a line that never ends has no last piece."""

    def record(log: str, stream: str) -> str:
        return json.dumps({"log": log, "stream": stream, "time": "2023-11-14T22:13:20.5Z"}) + "\n"

    long = "x" * MAX_LINE
    lines = (
        record(long, "stdout") + record(long, "stderr") + record("end\n", "stdout") + record("open", "stderr")
    )
    first, other, last, never = Messages(6).of((lines + record("whole\n", "stdout")).encode())[:4]
    assert first.partial is not None
    assert other.partial is not None
    assert (first.partial.ordinal, first.partial.last, first.ordinal) == (1, False, 7)
    assert last.partial == Partial(first.partial.id, 2, last=True)
    assert never.partial == Partial(other.partial.id, 2, last=False)
    assert (last.line, last.time) == ("end", 1_700_000_000_500_000_000)
