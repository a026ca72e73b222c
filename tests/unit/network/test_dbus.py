"""D-Bus messages, byte for byte, and bytes that are none."""

import contextlib
import os
import random
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from network import dbus
from network.dbus import Bus, BusError, Method, Reply

METHOD = Method("a.b", "/a", "a.b.c", "Do")
CALL = (
    b"l\x01\x02\x01\x15\x00\x00\x00\x07\x00\x00\x00\x48\x00\x00\x00"
    b"\x01\x01o\x00\x02\x00\x00\x00/a\x00\x00\x00\x00\x00\x00"
    b"\x02\x01s\x00\x05\x00\x00\x00a.b.c\x00\x00\x00"
    b"\x03\x01s\x00\x02\x00\x00\x00Do\x00\x00\x00\x00\x00\x00"
    b"\x06\x01s\x00\x03\x00\x00\x00a.b\x00\x00\x00\x00\x00"
    b"\x08\x01g\x00\x02ss\x00"
    b"\x07\x00\x00\x00trusted\x00\x04\x00\x00\x00br-1\x00"
)


def field(code: int, kind: bytes, value: bytes) -> bytes:
    return bytes([code, 1]) + kind + b"\0" + value


def text(value: bytes) -> bytes:
    return struct.pack("<I", len(value)) + value + b"\0"


def message(kind: int, *fields: bytes, body: bytes = b"") -> bytes:
    """As a bus sends it."""
    joined = b""
    for each in fields:
        joined += bytes(-len(joined) % 8) + each
    head = struct.pack("<cBBBIII", b"l", kind, 1, 1, len(body), 99, len(joined)) + joined
    return head + bytes(-len(head) % 8) + body


SERIAL = field(5, b"u", struct.pack("<I", 3))
SENDER = field(7, b"s", text(b":1.5"))
STRING = field(8, b"g", b"\x01s\0")
ERROR = field(4, b"s", text(b"org.e.No"))
ANSWER = message(2, SERIAL, SENDER, STRING, body=text(b"trusted"))


def test_a_call() -> None:
    assert dbus.encode(METHOD, ["trusted", "br-1"], 7) == CALL


def test_a_call_without_arguments() -> None:
    made = dbus.encode(METHOD, [], 1)
    assert len(made) % 8 == 0
    assert made[4:8] == bytes(4)
    assert b"\x08\x01g" not in made


@pytest.mark.parametrize(
    ("raw", "reply"),
    [
        (ANSWER, Reply(3, "", "trusted")),
        (message(2, SERIAL), Reply(3, "", "")),
        (message(2, STRING, SERIAL, body=text("zöne".encode())), Reply(3, "", "zöne")),
        (message(2, SERIAL, field(8, b"g", b"\x02as\0"), body=struct.pack("<I", 0)), Reply(3, "", "")),
        (message(3, ERROR, SERIAL, STRING, body=text(b"it is")), Reply(3, "org.e.No", "it is")),
        (message(3, SERIAL), Reply(3, "unknown", "")),
        (message(4, SERIAL, STRING, body=text(b"a signal")), Reply(0, "", "")),
        (message(1, SERIAL, STRING, body=text(b"a call")), Reply(0, "", "")),
    ],
)
def test_answers(raw: bytes, reply: Reply) -> None:
    assert dbus.decode(raw) == reply


def test_what_is_no_message_is_told_as_such() -> None:
    """Cut off, changed, or of wrong types: a reply or ValueError, nothing else, and nothing larger than what came."""
    dice = random.Random(5)
    for raw in (ANSWER, message(3, ERROR, SERIAL, STRING, body=text(b"it is"))):
        broken = [raw[:size] for size in range(len(raw))]
        for _ in range(3000):
            changed = bytearray(raw)
            for _ in range(dice.randrange(1, 4)):
                changed[dice.randrange(len(raw))] = dice.randrange(256)
            broken.append(bytes(changed))
        refused = 0
        for each in broken:
            try:
                reply = dbus.decode(each)
            except ValueError:
                refused += 1
            else:
                assert max(len(reply.text), len(reply.error)) <= len(each)
        assert refused >= len(raw) // 2


@pytest.mark.parametrize(
    "raw",
    [
        message(2, field(5, b"s", text(b"three"))),
        message(2, SERIAL, STRING, body=struct.pack("<I", 1 << 31) + b"x\0"),
        message(2, SERIAL, field(7, b"s", struct.pack("<I", 0xFFFFFFFF))),
        message(2, SERIAL, field(8, b"g", b"\xffs\0")),
        message(2, field(5, b"a", b"")),
    ],
)
def test_sizes_and_types_that_are_not_so(raw: bytes) -> None:
    with pytest.raises(ValueError, match="e"):
        dbus.decode(raw)


HELLO = message(2, field(5, b"u", struct.pack("<I", 1)), STRING, body=text(b":1.7"))
SECOND = field(5, b"u", struct.pack("<I", 2))


@contextlib.contextmanager
def bus(path: Path, *answers: bytes, accepts: bytes = b"OK 1234\r\n") -> Iterator[None]:
    """One that takes one client and says what it is told to, a piece after each call that it hears."""

    def serve() -> None:
        client, _ = listener.accept()
        with client, client.makefile("rb") as heard, contextlib.suppress(OSError):
            assert heard.readline().startswith(b"\0AUTH EXTERNAL ")
            client.sendall(accepts)
            heard.readline()
            for each in answers:
                body, _, fields = struct.unpack_from("<III", heard.read(16), 4)
                heard.read(fields + -fields % 8 + body)
                client.sendall(each)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=serve)
        thread.start()
        yield
        thread.join()


def ask(path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={path},guid=00")
    made = Bus(5)
    try:
        return made.call(METHOD, "br-1")
    finally:
        made.close()


def test_a_bus_that_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Signals come in between, and answers that nobody waits for."""
    signal = message(4, field(1, b"o", text(b"/")), STRING, body=text(b"NameAcquired"))
    answer = message(2, SECOND, STRING, body=text(b"trusted"))
    with bus(tmp_path / "bus", HELLO + signal, ANSWER + signal + answer):
        assert ask(tmp_path / "bus", monkeypatch) == "trusted"


@pytest.mark.parametrize(
    ("accepts", "answers", "said"),
    [
        (b"REJECTED EXTERNAL\r\n", (), "no message bus"),
        (b"x" * 2000, (), "no message bus"),
        (b"OK 1\r\n", (), "does not answer"),
        (b"OK 1\r\n", (b"B" + HELLO[1:],), "not a message that we read"),
        (b"OK 1\r\n", (HELLO[:4] + b"\xff\xff\xff\x7f" + HELLO[8:],), "not a message that we read"),
        (b"OK 1\r\n", (HELLO[:-5],), "hung up"),
        (b"OK 1\r\n", (HELLO, message(2, field(5, b"s", text(b"two")))), "does not answer"),
        (b"OK 1\r\n", (HELLO, message(3, SECOND, ERROR, STRING, body=text(b"it is"))), "^org.e.No: it is$"),
    ],
)
def test_a_bus_that_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, accepts: bytes, answers: tuple[bytes, ...], said: str
) -> None:
    """Whatever comes, it is a BusError, no more is read than a message may have, and no descriptor stays."""
    before = os.listdir("/proc/self/fd")
    with bus(tmp_path / "bus", *answers, accepts=accepts), pytest.raises(BusError, match=said):
        ask(tmp_path / "bus", monkeypatch)
    assert os.listdir("/proc/self/fd") == before


def test_no_bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BusError, match=r"^no message bus at "):
        ask(tmp_path / "none", monkeypatch)
