"""Frames, whole and cut anywhere, and output in the form that the start of an exec asked for."""

import pytest

from api.multiplex import STDERR, STDOUT, Unframer, frame
from api.reframe import as_asked
from tests.unit.api.boxes import MemoryStream

FRAMES = frame(STDOUT, b"one") + frame(STDERR, b"error") + frame(STDOUT, b"") + frame(STDOUT, b"two")


def test_a_frame_is_dockers() -> None:
    assert frame(STDERR, b"x" * 258) == b"\x02\x00\x00\x00\x00\x00\x01\x02" + b"x" * 258


@pytest.mark.parametrize("size", range(1, len(FRAMES) + 1))
def test_frames_are_undone_wherever_they_are_cut(size: int) -> None:
    unframer = Unframer(STDOUT)
    pieces = [FRAMES[start : start + size] for start in range(0, len(FRAMES), size)]
    assert b"".join(map(unframer.feed, pieces)) == b"onetwo"


def test_the_other_output() -> None:
    assert Unframer(STDERR).feed(FRAMES) == b"error"


@pytest.mark.parametrize(
    ("made", "asked", "given", "seen"),
    [
        (True, True, [b"raw"], b"raw"),
        (False, False, [FRAMES], FRAMES),
        (True, False, [b"raw"], frame(STDOUT, b"raw")),
        (False, True, [FRAMES[:20], FRAMES[20:]], b"onetwo"),
        (False, True, [frame(STDERR, b"error"), frame(STDOUT, b"out")], b"out"),
    ],
)
async def test_the_start_of_an_exec_decides(made: bool, asked: bool, given: list[bytes], seen: bytes) -> None:
    stream = MemoryStream()
    for data in [*given, b""]:
        stream.outputs.put_nowait(data)
    attachment = as_asked(stream, made_terminal=made, asked_terminal=asked)
    output = b""
    while data := await attachment.read():
        output += data
    assert output == seen
    await attachment.write(b"in")
    assert stream.received == b"in"
