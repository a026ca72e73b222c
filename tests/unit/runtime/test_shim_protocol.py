"""Frames of the shim protocol: what is encoded comes out the same, however the bytes are cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.shim import protocol
from runtime.shim.order import Order

fields = st.lists(st.binary(max_size=60).filter(lambda data: b"\0" not in data), min_size=1, max_size=6)
cuts = st.lists(st.integers(1, 40), min_size=1, max_size=60)


def pieces(data: bytes, sizes: list[int]) -> list[bytes]:
    """Cut data into pieces of these sizes, over and over."""
    result = []
    position = number = 0
    while position < len(data):
        size = sizes[number % len(sizes)]
        result.append(data[position : position + size])
        position += size
        number += 1
    return result


@given(st.lists(fields, max_size=6), cuts, st.binary(max_size=3))
def test_messages_in_any_pieces(messages: list[list[bytes]], sizes: list[int], rest: bytes) -> None:
    decoder = protocol.Decoder()
    decoded = []
    for piece in pieces(b"".join(protocol.encode(*message) for message in messages) + rest, sizes):
        decoder.feed(piece)
        while (message := decoder.next()) is not None:
            decoded.append(message)
    assert decoded == messages
    assert decoder.rest() == rest
    assert decoder.rest() == b""


def test_kinds_of_fields() -> None:
    assert protocol.encode(7, "é", b"\xff") == b"\0\0\0\6" + b"7\0" + "é".encode() + b"\0\xff"
    assert protocol.encode("\udcff")[4:] == b"\xff"  # a path that is not UTF-8


def test_nul_and_size_are_refused() -> None:
    with pytest.raises(ValueError, match="NUL"):
        protocol.encode("a", "b\0c")
    with pytest.raises(ValueError, match="is over"):
        protocol.encode(b"x" * (protocol.MAX_MESSAGE + 1))
    decoder = protocol.Decoder()
    decoder.feed(b"\xff\xff\xff\xff")
    with pytest.raises(protocol.ProtocolError):
        decoder.next()


@given(st.lists(st.binary(min_size=1, max_size=100), max_size=8), cuts)
def test_stdin_in_any_pieces(chunks: list[bytes], sizes: list[int]) -> None:
    data = b"".join(protocol.input_header(len(chunk)) + chunk for chunk in chunks)
    decoder = protocol.InputDecoder()
    decoded = b"".join(decoder.feed(piece) for piece in pieces(data, sizes))
    assert decoded == b"".join(chunks)
    assert not decoder.ended
    assert decoder.feed(protocol.input_header(0) + protocol.input_header(3) + b"xyz") == b""
    assert decoder.ended


def test_output_header_is_stdcopy() -> None:
    assert protocol.output_header(protocol.STDERR, 258) == b"\2\0\0\0\0\0\1\2"


@given(st.integers(0, 255), st.integers(0, 2**63), st.booleans(), st.sampled_from(["", "its shim died: x y"]))
def test_exit_file(code: int, at: int, oom: bool, reason: str) -> None:
    data = protocol.encode_exit(code, at, oom=oom, reason=reason)
    assert protocol.decode_exit(data) == (code, at, oom, reason)


@pytest.mark.parametrize("data", [b"", b"x", b"1 2", b"a b c d"])
def test_bad_exit_file(data: bytes) -> None:
    with pytest.raises(ValueError):
        protocol.decode_exit(data)


def test_order() -> None:
    order = Order(
        id="i",
        bundle="/b",
        state_dir="/s/\udcff",
        root="/r",
        runtime="/usr/sbin/runc",
        runtime_args=("--systemd-cgroup", "--debug"),
        terminal=True,
        open_stdin=False,
        stdin_once=True,
        height=24,
        width=80,
        log_path="/l",
        log_max_size=10,
        log_max_files=3,
        log_attrs=b'{"a":"\xff"}',
        plain=True,
    )
    decoded = Order.decode(order.encode())
    assert {name: getattr(decoded, name) for name in Order.__slots__} == {
        name: getattr(order, name) for name in Order.__slots__
    }


@pytest.mark.parametrize("message", [b"", b"\0\0\0\1x", protocol.encode("create", "a")])
def test_no_order(message: bytes) -> None:
    with pytest.raises(ValueError):
        Order.decode(message)
