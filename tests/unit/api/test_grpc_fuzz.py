"""Anything at all on an HTTP/2 connection: it is served, or ended, and never a failure that nobody foresaw."""

import asyncio
from typing import Any

from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from api.buildkit.protos.common_pb2 import BytesMessage
from api.grpc.connection import Http2
from api.grpc.messages import framed
from api.grpc.server import Server
from api.preface import PREFACE
from tests.unit.api.calls import Methods, Raw

TRIES = 300


class Sink(asyncio.Transport):
    """Takes all, and says whether it was closed."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = False

    def write(self, data: Any) -> None:
        assert not self.closed

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True


def conversation() -> bytes:
    """Calls as a client makes them."""
    raw: Any = Raw(None, None)  # type: ignore[arg-type]
    frames = [PREFACE, SettingsFrame(0, settings={4: 1 << 20}).serialize()]
    for number, path in ((1, "/t/Echo"), (3, "/t/Count"), (5, "/t/Nothing"), (7, "/t/Fail")):
        frames.append(raw.headers("END_HEADERS", path=path))
        message = DataFrame(number, flags=("END_STREAM",))
        message.data = framed(BytesMessage(data=b"x" * 50).SerializeToString())
        frames.append(message.serialize())
    frames.append(PingFrame(0, opaque_data=b"12345678").serialize())
    split = HeadersFrame(9)
    split.data = raw.encoder.encode([(":method", "POST")])
    rest = ContinuationFrame(9, flags=("END_HEADERS",))
    rest.data = raw.encoder.encode(
        [(":path", "/t/Echo"), (":scheme", "http"), (":authority", "d"), ("te", "trailers")]
    )
    frames += [split.serialize(), rest.serialize(), RstStreamFrame(9, error_code=8).serialize()]
    return b"".join(frames)


WHOLE = conversation()
changes = st.lists(
    st.tuples(st.integers(len(PREFACE), len(WHOLE) - 1), st.integers(0, 255), st.sampled_from("rid")),
    max_size=8,
)


def changed(alterations: list[tuple[int, int, str]]) -> bytes:
    """Bytes replaced, put in and taken out."""
    data = bytearray(WHOLE)
    for at, value, how in alterations:
        at = min(at, len(data) - 1)
        if how == "r":
            data[at] = value
        elif how == "i":
            data.insert(at, value)
        else:
            del data[at]
    return bytes(data)


async def converse(data: bytes, size: int) -> Sink:
    """Feed it; whatever is raised, here or in a call, fails the test."""
    failures: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: failures.append(context))
    server, sink = Server(Methods().table()), Sink()
    http2 = Http2(sink, server.accept)
    http2.begin(b"")
    for start in range(0, len(data), size):
        http2.data_received(data[start : start + size])
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    http2.connection_lost(None)
    await server.close()
    assert not failures
    return sink


@settings(max_examples=TRIES, deadline=None)
@given(changes, st.sampled_from([1000, 7]))
def test_changed_conversations(alterations: list[tuple[int, int, str]], size: int) -> None:
    asyncio.run(converse(changed(alterations), size))


@settings(max_examples=TRIES, deadline=None)
@given(st.binary(max_size=400))
def test_noise_behind_the_preface(noise: bytes) -> None:
    asyncio.run(converse(PREFACE + noise, 1000))


def test_the_conversation_itself_is_fine() -> None:
    assert not asyncio.run(converse(WHOLE, 1000)).closed
