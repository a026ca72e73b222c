"""Memory goes back to the kernel after answers: once for many of them, and never without one."""

import asyncio
import ctypes
from pathlib import Path
from unittest.mock import Mock

import pytest

from api import trimming
from runtime.shim import libc
from tests.unit.api.conftest import Served

DELAY = 0.2


async def test_once_for_all_that_is_answered_meanwhile(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    trim = Mock()
    monkeypatch.setattr(libc, "trim", trim)
    monkeypatch.setattr(trimming, "_DELAY", DELAY)
    while not await _five_at_once(served):
        await asyncio.sleep(2 * DELAY)
        trim.reset_mock()
    assert trim.call_count == 0
    await asyncio.sleep(2 * DELAY)
    assert trim.call_count == 1
    await asyncio.sleep(1.5 * DELAY)
    assert trim.call_count == 1
    await served.ask("GET", "/nope")
    await asyncio.sleep(2 * DELAY)
    assert trim.call_count == 2


async def _five_at_once(served: Served) -> bool:
    """Whether the host was quick enough for all to be answered before it is time."""
    loop = asyncio.get_running_loop()
    begin = loop.time()
    await asyncio.gather(*(served.ask("GET", "/_ping") for _ in range(5)))
    return loop.time() - begin < DELAY


async def test_a_server_that_is_closed_does_nothing_more(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    trim = Mock()
    monkeypatch.setattr(libc, "trim", trim)
    monkeypatch.setattr(trimming, "_DELAY", 0.1)
    await served.ask("GET", "/_ping")
    await served.server.close(1)
    await asyncio.sleep(0.2)
    assert trim.call_count == 0


def test_freed_memory_is_given_back() -> None:
    allocator = ctypes.CDLL(None)
    allocator.malloc.restype, allocator.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    pieces = [allocator.malloc(100_000) for _ in range(200)]
    for piece in pieces:
        ctypes.memset(piece, 1, 100_000)
    for piece in pieces[:-1]:  # the last one keeps the heap from shrinking by itself
        allocator.free(piece)
    before = _resident()
    libc.trim()
    allocator.free(pieces[-1])
    assert before - _resident() > 10 << 20


def _resident() -> int:
    """Bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmRSS"))
