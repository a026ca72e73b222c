"""Many clients of one daemon at the same time, and what the daemon takes of the host for them."""

import asyncio
import io
import json
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self

import aiohttp

from tests.daemon import Wherryd

SLEEP = {
    "Image": "busybox",
    "Cmd": ["sleep", "1000"],
    "StopSignal": "KILL",
    "HostConfig": {"NetworkMode": "none"},
}
PATIENCE = 60.0  # seconds for any one answer


@dataclass(frozen=True, slots=True)
class Answer:
    """A status and the whole body."""

    status: int
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Listening:
    """A chunked answer that is read line by line, as the daemon wrote them, and only when asked for."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader

    async def line(self) -> bytes:
        """The next chunk, which is one line."""
        async with asyncio.timeout(PATIENCE):
            size = int(await self._reader.readline(), 16)
            return (await self._reader.readexactly(size + 2))[:-2]


class Crowd:
    """Calls on as many connections as there are calls under way."""

    def __init__(self, daemon: Wherryd) -> None:
        self._socket = daemon.socket
        self._connector = aiohttp.UnixConnector(str(daemon.socket), limit=0, force_close=True)
        self._session = aiohttp.ClientSession(
            "http://docker/v1.45/", connector=self._connector, timeout=aiohttp.ClientTimeout(PATIENCE)
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._session.close()

    async def call(self, method: str, path: str, body: Any = None, data: bytes | None = None) -> Answer:
        file = None if data is None else io.BytesIO(data)
        async with self._session.request(method, path, json=body, data=file) as answer:
            return Answer(answer.status, await answer.read())

    @asynccontextmanager
    async def listening(self, path: str) -> AsyncIterator[Listening]:
        """A GET whose head is read, and of whose body hardly more is taken than is asked for."""
        reader, writer = await asyncio.open_unix_connection(str(self._socket), limit=1 << 16)
        try:
            writer.write(f"GET /v1.45/{path} HTTP/1.1\r\nHost: docker\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            yield Listening(reader)
        finally:
            writer.transport.abort()

    @asynccontextmanager
    async def streaming(self, path: str) -> AsyncIterator[aiohttp.StreamReader]:
        """The body of a GET as it comes, from its head on."""
        async with self._session.get(path, timeout=aiohttp.ClientTimeout(total=None)) as answer:
            assert answer.status == 200
            yield answer.content

    async def hijack(self, path: str, body: Any = None) -> list[tuple[int, bytes]]:
        """Upgrade a POST and read to the end; (stream, data) of the frames, joined by stream."""
        reader, writer = await self.upgrade(path, body)
        joined: dict[int, bytes] = {}
        try:
            while head := await reader.read(8):
                head += await reader.readexactly(8 - len(head))
                data = await reader.readexactly(int.from_bytes(head[4:], "big"))
                joined[head[0]] = joined.get(head[0], b"") + data
        finally:
            writer.close()
            await writer.wait_closed()
        return sorted(joined.items())

    async def upgrade(self, path: str, body: Any = None) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A hijacked connection, its head read."""
        reader, writer = await asyncio.open_unix_connection(str(self._socket), limit=1 << 22)
        data = b"" if body is None else json.dumps(body).encode()
        head = f"POST /v1.45/{path} HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
        writer.write(head.encode() + data)
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 101"), answer
        return reader, writer

    async def done(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON of a call that succeeds, None without one."""
        answer = await self.call(method, path, body)
        assert answer.status < 300, (method, path, answer)
        return answer.json if answer.body else None

    async def all(self, calls: Iterable[tuple[Any, ...]]) -> list[Answer]:
        """Make calls (method, path, body) at the same time; their answers in this order."""
        return await asyncio.gather(*(self.call(*each) for each in calls))

    async def statuses(self, calls: Iterable[tuple[Any, ...]]) -> Counter[int]:
        """How often each status came of calls at the same time; none is the daemon's own failure."""
        answers = await self.all(calls)
        for answer in answers:
            assert answer.status < 500, answer
        return Counter(answer.status for answer in answers)

    async def create(self, name: str = "", **body: Any) -> str:
        """A container's ID."""
        made = await self.done("POST", f"containers/create?name={name}", SLEEP | body)
        return str(made["Id"])

    async def run(self, name: str = "", **body: Any) -> str:
        """A started container's ID."""
        container = await self.create(name, **body)
        await self.done("POST", f"containers/{container}/start")
        return container

    async def state(self, reference: str) -> dict[str, Any]:
        found: dict[str, Any] = (await self.done("GET", f"containers/{reference}/json"))["State"]
        return found

    async def remove(self, references: Sequence[str]) -> None:
        """Remove them for good, whatever they do, all at once."""
        assert await self.statuses(
            ("DELETE", f"containers/{each}?force=1&v=1") for each in references
        ) == Counter({204: len(references)} if references else {})

    async def list(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = await self.done("GET", "containers/json?all=1")
        return found


def rss(pid: int) -> int:
    """A process's resident memory in KiB."""
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def descriptors(pid: int) -> int:
    """How many files a process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def ticks(pid: int) -> int:
    """A process's own processor time, in clock ticks."""
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def parent(pid: int) -> int:
    """The shim, of a container's first process."""
    with open(f"/proc/{pid}/stat") as stat:
        return int(stat.read().rpartition(")")[2].split()[1])


async def settles(holds: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Wait until it holds."""
    deadline = time.monotonic() + seconds
    while not await asyncio.to_thread(holds):
        assert time.monotonic() < deadline, "it did not come about"
        await asyncio.sleep(0.05)
