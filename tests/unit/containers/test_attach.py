import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

import errdefs
from engine.containers.attach import (
    Attachment,
    AttachRequest,
    Detached,
    DetachScanner,
    Parked,
    parse_detach_keys,
)

KEYS = b"\x10\x11"


class Pipe:
    def __init__(self) -> None:
        self.taken = b""
        self.ended = False
        self.left = False
        self.closed = False

    async def read(self) -> bytes:
        return b"out"

    async def write(self, data: bytes) -> None:
        self.taken += data

    async def write_eof(self) -> None:
        self.ended = True

    def leave(self) -> None:
        self.left = True

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("", KEYS),
        ("ctrl-a", b"\x01"),
        ("ctrl-@,x", b"\x00x"),
        ("a,b,ctrl-\\", b"ab\x1c"),
        ("ctrl-_", b"\x1f"),
    ],
)
def test_detach_keys(text: str, keys: bytes) -> None:
    assert parse_detach_keys(text) == keys


@pytest.mark.parametrize("text", ["ctrl-", "ctrl-1", "abc", "a,,b", "é"])
def test_bad_detach_keys_are_refused(text: str) -> None:
    with pytest.raises(errdefs.InvalidArgument, match="Invalid detach keys"):
        parse_detach_keys(text)


@given(st.lists(st.binary(max_size=5)), st.binary(max_size=3))
def test_the_scanner_passes_everything_but_the_keys(chunks: list[bytes], tail: bytes) -> None:
    scanner = DetachScanner(KEYS)
    typed = b"".join(chunk.replace(b"\x10", b"p").replace(b"\x11", b"q") for chunk in chunks)
    passed, detached = scanner.feed(typed + b"\x10")
    assert (passed, detached) == (typed, False)
    assert scanner.feed(b"\x11" + tail) == (b"", True)


def test_a_beginning_that_came_to_nothing_is_passed_on() -> None:
    scanner = DetachScanner(KEYS)
    assert scanner.feed(b"\x10") == (b"", False)
    assert scanner.feed(b"x") == (b"\x10x", False)
    assert scanner.feed(b"\x10\x10\x11") == (b"\x10", True)


async def test_a_parked_client_gets_the_process_when_it_is_there() -> None:
    parked = Parked(AttachRequest(stdin=True))
    async with asyncio.TaskGroup() as group:
        writing = group.create_task(parked.write(b"early"))
        await asyncio.sleep(0)
        assert not writing.done()
        pipe = Pipe()
        parked.join(pipe)
    assert pipe.taken == b"early"
    assert await parked.read() == b"out"
    parked.close()
    assert pipe.closed


async def test_a_parked_client_whose_process_never_comes_is_at_its_end() -> None:
    parked = Parked(AttachRequest())
    parked.close()
    assert await parked.read() == b""
    late = Pipe()
    parked.join(late)
    assert late.closed


async def test_a_parked_client_that_has_gone_waits_a_little(monkeypatch: pytest.MonkeyPatch) -> None:
    parked, pipe = Parked(AttachRequest(stdin=True)), Pipe()
    parked.leave()
    parked.join(pipe)
    await parked.write(b"early")
    assert (pipe.taken, pipe.left) == (b"early", True)
    monkeypatch.setattr("engine.containers.attach._GONE_GRACE", 0)
    parked = Parked(AttachRequest(stdin=True))
    parked.leave()
    await parked.write(b"dropped")
    assert parked.over


async def test_an_attachment_detaches_on_the_keys() -> None:
    pipe = Pipe()
    attachment = Attachment(pipe, terminal=True, detach_keys=KEYS)
    with pytest.raises(Detached):
        await attachment.write(b"ls\n\x10\x11rest")
    assert pipe.taken == b"ls\n"
