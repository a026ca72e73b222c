"""What comes through a pipe, and that nothing but it is closed at its end."""

import asyncio
import os
import sys
import threading

import uvloop

from runtime.pipe import receive

TEXT = b"0123456789" * 100_000


def test_all_of_it_comes_whatever_the_reader_does_meanwhile() -> None:
    async def run() -> bytes:
        reading, writing = os.pipe()
        stream, transport = receive(reading, 1 << 16)
        sending = asyncio.get_running_loop().run_in_executor(None, _send, writing)
        await asyncio.sleep(0.05)  # it is read ahead, and then no more
        found = bytearray()
        while piece := await stream.read(12_345):
            found += piece
        await sending
        assert transport.is_closing()
        return bytes(found)

    assert uvloop.run(run()) == TEXT
    assert asyncio.run(run()) == TEXT


def test_what_other_threads_open_meanwhile_is_left_alone() -> None:
    """A number that is closed once more is another's by then."""
    lost: list[OSError] = []
    ended = threading.Event()
    others = [threading.Thread(target=_open_files, args=(ended, lost)) for _ in range(4)]

    async def run() -> None:
        for _ in range(2000):
            reading, writing = os.pipe()
            stream, transport = receive(reading, 1 << 16)
            os.close(writing)
            assert await stream.read() == b""
            transport.close()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    for other in others:
        other.start()
    try:
        uvloop.run(run())
    finally:
        sys.setswitchinterval(interval)
        ended.set()
        for other in others:
            other.join()
    assert not lost


def _open_files(ended: threading.Event, lost: list[OSError]) -> None:
    while not ended.is_set():
        try:
            fd = os.open("/dev/null", os.O_RDONLY)
            os.fstat(fd)
            os.close(fd)
        except OSError as error:
            lost.append(error)


def _send(writing: int) -> None:
    with os.fdopen(writing, "wb") as pipe:
        pipe.write(TEXT)
