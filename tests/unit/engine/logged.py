"""Logs as containers leave them, and what is read of them."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

from engine.logs.reader import LogQuery, read
from engine.logs.record import time_text

T0 = 1_700_000_000_000_000_000
PLAIN = LogQuery(multiplexed=False)


def as_go(at: int) -> str:
    """As Go prints it: without trailing zeros."""
    return time_text(T0 + at).rstrip("Z").rstrip("0").rstrip(".") + "Z"


def record(text: str, stream: str = "stdout", at: int = 0, **attrs: str) -> str:
    fields: dict[str, object] = {"log": text, "stream": stream, "time": as_go(at)}
    if attrs:
        fields["attrs"] = attrs
    return json.dumps(fields) + "\n"


def ended() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


async def whole(path: Path, query: LogQuery = PLAIN) -> bytes:
    return b"".join([batch async for batch in read(path, query, ended())])


async def next_of(stream: AsyncIterator[bytes]) -> bytes:
    return await anext(stream)


def descriptors() -> list[str]:
    return sorted(os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if _is_open(fd))


def _is_open(fd: str) -> bool:
    return os.path.lexists(f"/proc/self/fd/{fd}")
