"""`make bench`: wherryd beside a real dockerd, in one run and in turns, so that both meet the same load.

One table: a whole run over the API (create, attach, start, read to the end, wait, remove), its median and minimum in
ms, without a network and on the bridge; an exec; and the memory that an idle container costs (kB of PSS, its own
process not counted). Needs root. Options: --rounds N, --idle N.
"""

import argparse
import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# A script's first path entry is its own directory, not the repository.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

import aiohttp

from tests.daemon import Wherryd
from tests.peer.peer import Peer, missing
from tests.roots import make_root

SCRIPTS = Path(__file__).resolve().parent.parent.parent / "contrib/scripts"
OUTPUT = b"hello\n"


class Client:
    """The few API calls of the benchmark on one daemon's socket."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._session = aiohttp.ClientSession(
            "http://docker/v1.45/", connector=aiohttp.UnixConnector(str(path))
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Make one call and return the JSON answer, None for an empty one. Errors: RuntimeError with the text."""
        async with self._session.request(method, path, json=body) as answer:
            text = await answer.text()
            if answer.status >= 400:
                raise RuntimeError(f"{method} {path}: {answer.status} {text}")
            return await answer.json() if text else None

    async def stream(self, path: str, body: bytes, started: Callable[[], Awaitable[Any]]) -> bytes:
        """Hijack a connection, call started(), and read to the end."""
        reader, writer = await asyncio.open_unix_connection(str(self._path))
        head = f"POST /v1.45/{path} HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
        writer.write(
            f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
        )
        answer = await reader.readuntil(b"\r\n\r\n")
        if b" 101 " not in answer.partition(b"\r\n")[0]:
            raise RuntimeError(f"POST {path}: {answer.decode()}")
        await started()
        data = await reader.read()
        writer.close()
        await writer.wait_closed()
        return data

    async def create(self, network: str, *command: str) -> str:
        """Create a container and return its id."""
        body = {"Image": "busybox", "Cmd": command, "HostConfig": {"NetworkMode": network}}
        return str((await self.call("POST", "containers/create", body))["Id"])

    async def run(self, network: str) -> None:
        """Run `echo hello` as the CLI does: nothing of its output may be missing."""
        container = await self.create(network, "echo", "hello")
        data = await self.stream(
            f"containers/{container}/attach?stream=1&stdout=1&stderr=1",
            b"",
            lambda: self.call("POST", f"containers/{container}/start"),
        )
        done = await self.call("POST", f"containers/{container}/wait")
        await self.call("DELETE", f"containers/{container}")
        if done["StatusCode"] != 0 or not data.endswith(OUTPUT):
            raise RuntimeError(f"exit {done['StatusCode']}, output {data!r}")

    async def exec(self, container: str) -> None:
        """Run `true` in a running container, to its end."""
        body = {"Cmd": ["true"], "AttachStdout": True}
        started = await self.call("POST", f"containers/{container}/exec", body)

        async def nothing() -> None:
            return

        await self.stream(f"exec/{started['Id']}/start", b'{"Detach":false,"Tty":false}', nothing)
        state = await self.call("GET", f"exec/{started['Id']}/json")
        if state["ExitCode"] != 0:
            raise RuntimeError(f"exec exited {state['ExitCode']}")


@dataclass
class Contender:
    """A daemon, what it measured (ms by what was done), and what an idle container cost (kB)."""

    name: str
    daemon: Wherryd | Peer
    times: dict[str, list[float]] = field(default_factory=dict)
    memory: float = 0

    def note(self, what: str, began: float) -> None:
        """Note the time since began (of time.perf_counter)."""
        self.times.setdefault(what, []).append((time.perf_counter() - began) * 1000)


def pss(root: Path) -> int:
    """Return the kB of PSS of the processes that work for a daemon; those inside containers are not counted."""
    total = 0
    for process in Path("/proc").iterdir():
        if not process.name.isdigit() or not _serves(process, str(root)):
            continue
        try:
            lines = (process / "smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total


def _serves(process: Path, root: str) -> bool:
    try:
        if any(
            f"upperdir={root}" in line for line in (process / "mountinfo").open() if line.split()[4] == "/"
        ):
            return False
        if root in (process / "cmdline").read_bytes().decode(errors="replace"):
            return True
        return any(str(fd.readlink()).startswith(root) for fd in (process / "fd").iterdir())
    except OSError:
        return False


async def measure_runs(contenders: list[Contender], clients: list[Client], rounds: int) -> None:
    """Take turns; the first round warms up and is not counted."""
    for turn in range(rounds + 1):
        for network in ("none", "bridge"):
            for contender, client in zip(contenders, clients, strict=True):
                began = time.perf_counter()
                await client.run(network)
                if turn:
                    contender.note(f"run, network {network}", began)


@asynccontextmanager
async def idle_containers(contender: Contender, client: Client, number: int) -> AsyncIterator[str]:
    """Keep idle containers running, note what each costs, and yield the id of one."""
    before = pss(contender.daemon.root)
    containers = [await client.create("none", "sleep", "1000") for _ in range(number)]
    try:
        for container in containers:
            await client.call("POST", f"containers/{container}/start")
        await asyncio.sleep(3)
        contender.memory = (pss(contender.daemon.root) - before) / number
        yield containers[0]
    finally:
        for container in containers:
            await client.call("DELETE", f"containers/{container}?force=1")


async def measure_idle(contenders: list[Contender], clients: list[Client], rounds: int, number: int) -> None:
    """Note the memory of idle containers, and take turns at an exec in one of them."""
    async with AsyncExitStack() as stack:
        containers = [
            await stack.enter_async_context(idle_containers(contender, client, number))
            for contender, client in zip(contenders, clients, strict=True)
        ]
        for turn in range(rounds + 1):
            for contender, client, container in zip(contenders, clients, containers, strict=True):
                began = time.perf_counter()
                await client.exec(container)
                if turn:
                    contender.note("exec", began)


def table(contenders: list[Contender], idle: int) -> str:
    """Format the results in Markdown."""
    lines = ["| | " + " | ".join(c.name for c in contenders) + " |", "|---" * (len(contenders) + 1) + "|"]
    for what in contenders[0].times:
        cells = [f"{statistics.median(c.times[what]):.1f} ({min(c.times[what]):.1f})" for c in contenders]
        lines.append(f"| {what}, ms: median (min) | " + " | ".join(cells) + " |")
    cells = [f"{contender.memory:.0f}" for contender in contenders]
    lines.append(f"| kB of PSS per idle container, of {idle} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


async def compare(contenders: list[Contender], rounds: int, idle: int) -> None:
    """Measure all, and print the table."""
    clients = [Client(contender.daemon.socket) for contender in contenders]
    try:
        await measure_runs(contenders, clients, rounds)
        await measure_idle(contenders, clients, rounds, idle)
    finally:
        for client in clients:
            await client.close()
    print(table(contenders, idle))


def main() -> None:
    """Start both daemons, compare them, and take them away."""
    parser = argparse.ArgumentParser(description="wherryd beside a real dockerd")
    parser.add_argument("--rounds", type=int, default=20, help="how often each is done")
    parser.add_argument("--idle", type=int, default=20, help="how many idle containers")
    options = parser.parse_args()

    contenders = [Contender("wherry", Wherryd(make_root()))]
    if reason := missing():
        print(f"without dockerd, {reason}", file=sys.stderr)
    else:
        contenders.append(Contender("dockerd", Peer(make_root("peer-"))))
    tar = subprocess.run(
        [sys.executable, SCRIPTS / "busybox_image.py"], check=True, capture_output=True
    ).stdout
    try:
        for contender in contenders:
            contender.daemon.start()
            contender.daemon.docker("import", "-", "busybox:latest", stdin=tar)
        asyncio.run(compare(contenders, options.rounds, options.idle))
    finally:
        for contender in contenders:
            contender.daemon.destroy()


if __name__ == "__main__":
    main()
