"""Data that comes past h2, and is counted there all the same."""

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived
from hyperframe.frame import ContinuationFrame, DataFrame, HeadersFrame, PingFrame

from api.grpc import frames
from api.grpc.frames import MAX_FRAME, Frames
from tests.unit.api.calls import HEADERS

PING = PingFrame(0, opaque_data=b"12345678").serialize()


def data(stream: int, content: bytes, *flags: str) -> bytes:
    frame = DataFrame(stream, flags=flags)
    frame.data = content
    return frame.serialize()


def taken(given: bytes, size: int, preface: int = 0) -> list[tuple[int, bytes]]:
    """What they are when they come in pieces of a size, what is h2's joined."""
    taking, found = Frames(preface), [(0, b"")]
    for start in range(0, len(given), size):
        for number, part in taking.feed(given[start : start + size]):
            if number or found[-1][0]:
                found.append((number, part))
            else:
                found[-1] = (0, found[-1][1] + part)
    return [each for each in found if each[1]]


@pytest.mark.parametrize("size", [1, 8, 9, 10, 100, MAX_FRAME, 1 << 20])
def test_data_is_found_however_it_comes(size: int) -> None:
    large = bytes(range(256)) * (MAX_FRAME // 256)
    last = data(3, b"end", "END_STREAM")
    given = PING + data(1, large) + data(3, b"x") + data(1, b"") + PING + data(1, large) + last
    empty = data(1, b"")
    assert taken(given, size) == [(0, PING), (1, large), (3, b"x"), (0, empty + PING), (1, large), (0, last)]


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_what_a_preface_has_is_no_frame(size: int) -> None:
    preface = data(1, b"x")
    assert taken(preface + data(1, b"y"), size, len(preface)) == [(0, preface), (1, b"y")]


def test_h2_sees_data_that_may_not_be_where_it_is() -> None:
    head, more = HeadersFrame(1), ContinuationFrame(1, flags=("END_HEADERS",))
    head.data = more.data = b"\x82"
    within = head.serialize() + data(1, b"x")
    behind = head.serialize() + more.serialize()
    assert taken(within, 1 << 20) == [(0, within)]
    assert taken(behind + data(1, b"x"), 1 << 20) == [(0, behind), (1, b"x")]
    of_no_stream = frames.whole(0, b"x")
    assert taken(of_no_stream, 1 << 20) == [(0, of_no_stream)]


def test_a_frame_may_not_be_too_large() -> None:
    large = data(1, bytes(MAX_FRAME + 1))
    with pytest.raises(frames.TooLarge):
        taken(large[:9], 1 << 20)


def served() -> H2Connection:
    """A server's connection with a stream that a client has begun."""
    server, client = (H2Connection(H2Configuration(client_side=side)) for side in (False, True))
    client.initiate_connection()
    client.send_headers(1, [(":path", "/"), *HEADERS])
    server.initiate_connection()
    server.receive_data(client.data_to_send())
    server.data_to_send()
    return server


def test_h2_counts_what_it_does_not_see() -> None:
    """As if it had seen it: windows shrink, open again at the same moment, and are all that may come."""
    past, through = served(), served()
    for number in range(100):
        content = bytes(1000 + number)
        if past.remote_flow_control_window(1) < len(content):
            break
        assert frames.consume(past, 1, len(content))
        events = through.receive_data(frames.whole(1, content))
        assert [(type(each), getattr(each, "data", None)) for each in events] == [(DataReceived, content)]
        assert past.remote_flow_control_window(1) == through.remote_flow_control_window(1)
        assert past.inbound_flow_control_window == through.inbound_flow_control_window
    left = past.remote_flow_control_window(1)
    assert left < 1100
    assert not frames.consume(past, 1, left + 1)
    assert not frames.consume(past, 3, 1)
    assert past.remote_flow_control_window(1) == left
    for size in (100, 30_000, 5000, 20_000):
        past.acknowledge_received_data(size, 1)
        through.acknowledge_received_data(size, 1)
        assert past.data_to_send() == through.data_to_send()
    assert past.remote_flow_control_window(1) > left
