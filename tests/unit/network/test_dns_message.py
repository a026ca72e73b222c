"""The codec: what it understands, what it refuses, and that no bytes at all make it fail."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from network.dns import message
from network.dns.message import Question, Rcode

ID = b"\x12\x34"
OPT_4096 = b"\0\0\x29\x10\0\0\0\0\0\0\0"


def wire(name: str) -> bytes:
    encoded = message.encode_name(name)
    assert encoded is not None
    return encoded


def query(
    name: str | bytes, kind: int = message.A, *, klass: int = 1, flags: int = 0x0100, extra: bytes = b""
) -> bytes:
    encoded = name if isinstance(name, bytes) else wire(name)
    header = struct.pack(">HHHHH", flags, 1, 0, 0, 1 if extra else 0)
    return ID + header + encoded + struct.pack(">HH", kind, klass) + extra


def read(data: bytes) -> Question:
    question = message.read(data)
    assert isinstance(question, Question)
    return question


def test_a_question_is_read_in_lower_case() -> None:
    data = query("WeB.Example", message.AAAA)
    assert read(data) == Question(b"\x03web\x07example\0", message.AAAA, len(data))


def test_other_classes_have_no_type_of_ours() -> None:
    assert read(query("version.bind", 16, klass=3)).kind == 0


def test_the_root_is_a_name() -> None:
    assert read(query(b"\0")).name == b"\0"
    assert message.is_single_label(b"\0")


@pytest.mark.parametrize("data", [b"", b"\0" * 11, query("a", flags=0x8100)])
def test_no_answer_to_what_is_no_query(data: bytes) -> None:
    assert message.read(data) is None


@pytest.mark.parametrize(
    "data",
    [
        ID + b"\x01\0" + bytes(8),  # no question
        ID + b"\x01\0\0\2" + bytes(6) + b"\x01a\0\0\1\0\1" * 2,
        query(b"\xc0\x0c"),  # a pointer to itself
        query(b"\x40" + b"a" * 64 + b"\0"),
        query((b"\x3f" + b"a" * 63) * 4 + b"\0"),  # 257 bytes
        query("a")[:-1],
        query("a")[:14],
        ID + b"\x01\0\0\1\0\2\0\0\0\0" + b"\x01a\0\0\1\0\1",  # answers in a query
    ],
)
def test_what_cannot_be_read_is_refused(data: bytes) -> None:
    assert message.read(data) is Rcode.FORMERR


def test_an_update_is_not_implemented() -> None:
    data = query("a", flags=5 << 11)
    assert message.read(data) is Rcode.NOTIMP
    assert message.refusal(data, Rcode.NOTIMP) == ID + b"\xa8\x04" + bytes(8)


def test_an_answer_keeps_the_case_and_the_flags() -> None:
    data = query("WEB", flags=0x0110)
    kind, record = message.address_record("10.1.2.3")
    response = message.answer(data, read(data), [record], 512)
    assert kind == message.A
    assert response == (
        ID
        + b"\x81\x90\0\1\0\1\0\0\0\0"
        + b"\x03WEB\0\0\1\0\1"
        + b"\xc0\x0c\0\1\0\1\0\0\x02\x58\0\4\x0a\1\2\3"
    )


def test_an_answer_without_records_is_no_error() -> None:
    data = query("web", message.AAAA)
    assert message.answer(data, read(data), (), 512)[2:12] == b"\x81\x80\0\1" + bytes(6)


def test_what_does_not_fit_is_left_out_and_told() -> None:
    data = query("web")
    records = [message.address_record(f"10.0.0.{n}")[1] for n in range(100)]
    short = message.answer(data, read(data), records, 512)
    assert len(short) <= 512
    assert short[2] & 0x02
    assert int.from_bytes(short[6:8], "big") == (512 - len(data)) // 16
    whole = message.answer(data, read(data), records, 4096)
    assert not whole[2] & 0x02
    assert int.from_bytes(whole[6:8], "big") == 100


def test_edns_says_what_fits() -> None:
    for extra, limit in (
        (b"", 512),
        (OPT_4096, 4096),
        (b"\0\0\x29\0\x10\0\0\0\0\0\0", 512),
        (OPT_4096[:5], 512),
    ):
        data = query("web", extra=extra)
        assert message.udp_limit(data, read(data)) == limit


def test_names_on_the_wire() -> None:
    assert message.encode_name("a.bc.") == b"\x01a\x02bc\0"
    assert message.encode_name("a" * 64) is None
    assert message.encode_name("a..b") is None
    assert message.encode_name("") is None
    assert message.encode_name(".".join(["a" * 60] * 5)) is None


def test_splits_go_from_the_right() -> None:
    assert message.splits(wire("a.b.c")) == [(wire("a.b"), wire("c")), (wire("a"), wire("b.c"))]
    assert message.splits(wire("a")) == message.splits(b"\0") == []


def test_reverse_names() -> None:
    assert message.reverse_name("172.18.0.2") == wire("2.0.18.172.in-addr.arpa")
    assert message.reverse_name("fd00::1").endswith(wire("0.0.d.f.ip6.arpa"))


def test_answers_are_held_to_the_question() -> None:
    data = query("Example.com")
    question = read(data)
    good = message.answer(query("example.COM"), question, [message.address_record("192.0.2.1")[1]], 512)
    assert message.answers(data, question, good)
    assert message.with_question_of(data, question, good)[12 : question.end] == data[12 : question.end]
    assert not message.answers(data, question, b"\0\0" + good[2:])  # another id
    assert not message.answers(data, question, data)  # the query itself
    other = query("example.org")
    assert not message.answers(data, question, message.answer(other, read(other), (), 512))
    assert not message.answers(data, question, good[:20])
    bare = message.refusal(data, Rcode.FORMERR)
    assert message.answers(data, question, bare)
    assert message.with_question_of(b"\x99\x99" + data[2:], question, bare) == b"\x99\x99" + bare[2:]
    assert not message.answers(data, question, ID + b"\x81\x80" + bytes(8))  # an answer to nothing


def exercise(data: bytes) -> None:
    question = message.read(data)
    if isinstance(question, Question):
        assert 12 < question.end <= len(data)
        assert question.name.endswith(b"\0")
        assert 512 <= message.udp_limit(data, question) <= 65535
        record = message.address_record("fd00::1")[1]
        for limit in (0, 512, 65535):
            assert len(message.answer(data, question, [record] * 50, limit)) <= max(limit, question.end)
        assert message.answers(data, question, message.failure(data, question, Rcode.SERVFAIL))
        for front, back in message.splits(question.name):
            assert front[:-1] + back == question.name
        message.is_single_label(question.name)
    elif question is not None:
        assert len(message.refusal(data, question)) == 12


@given(st.binary(max_size=600))
def test_any_bytes(data: bytes) -> None:
    exercise(data)


@given(st.binary(max_size=300), st.integers(0, 2), st.binary(max_size=40))
def test_any_bytes_after_a_header(tail: bytes, additional: int, other: bytes) -> None:
    exercise(ID + b"\x01\0\0\1\0\0\0\0\0" + bytes((additional,)) + tail)
    data = query("web", extra=other or b"\0")
    exercise(data)
    question = read(data)
    message.answers(data, question, tail)


@given(st.text(max_size=300))
def test_any_name(name: str) -> None:
    encoded = message.encode_name(name)
    if encoded is not None:
        assert len(encoded) <= 255
        assert read(query(encoded)).name == encoded.lower()
