"""A client of a daemon's API that costs little of its own: plain blocking bytes, some 50 µs a call.

What a client adds is in both contenders' times alike and draws their ratio towards 1.
"""

import json
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

VERSION = "v1.45"
Headers = dict[str, str]
Config = Mapping[str, Any]


class WrongSample(AssertionError):
    """A daemon did not do what was measured; the text tells what it answered."""


class Connection:
    """One HTTP/1.1 connection to a daemon's socket, kept alive between calls."""

    def __init__(self, path: Path, timeout: float = 60) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(timeout)
        self.sock.connect(str(path))
        self.reader = self.sock.makefile("rb", 1 << 16)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it; a stream ends with it."""
        self.reader.close()
        self.sock.close()

    def ask(self, method: str, target: str, body: bytes = b"", upgrade: str = "") -> tuple[int, Headers]:
        """Send a request and read the head of the answer: (status, headers in lower case)."""
        extra = f"Connection: Upgrade\r\nUpgrade: {upgrade}\r\n" if upgrade else ""
        kind = "application/json" if body[:1] in (b"", b"{") else "application/x-tar"
        head = (
            f"{method} /{VERSION}/{target} HTTP/1.1\r\nHost: docker\r\n{extra}"
            f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self.sock.sendall(head.encode() + body if len(body) < 1 << 16 else head.encode())
        if len(body) >= 1 << 16:
            self.sock.sendall(body)
        status = int(self.reader.readline().split()[1])
        headers = {}
        while line := self.reader.readline().strip():
            key, _, value = line.decode("latin-1").partition(":")
            headers[key.lower()] = value.strip()
        return status, headers

    def body(self, headers: Headers) -> bytes:
        """Read the whole body that belongs to these headers."""
        if "content-length" in headers:
            data: bytes = self.reader.read(int(headers["content-length"]))
            return data
        return b"".join(self.chunks()) if "transfer-encoding" in headers else b""

    def chunks(self) -> Iterator[bytes]:
        """Each chunk of a chunked body as it comes."""
        while size := int(self.reader.readline(), 16):
            chunk = self.reader.read(size)
            self.reader.readline()
            yield chunk
        self.reader.readline()


class Client:
    """The calls of the benchmark. Each raises WrongSample on a status of 400 or more."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection: Connection | None = None

    def close(self) -> None:
        """Let go of the connection; the next call makes a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def raw(self, method: str, target: str, body: bytes = b"") -> bytes:
        """Make a call on the connection that is kept; the bytes of the answer."""
        if self._connection is None:
            self._connection = Connection(self.path)
        status, headers = self._connection.ask(method, target, body)
        data = self._connection.body(headers)
        if status >= 400:
            raise WrongSample(f"{method} {target}: {status} {data.decode()}")
        return data

    def call(self, method: str, target: str, body: Config | None = None) -> Any:
        """Make a call: the JSON that came back, None for an empty answer."""
        data = self.raw(method, target, json.dumps(body).encode() if body is not None else b"")
        return json.loads(data) if data else None

    def hijack(self, target: str, body: Config | None = None) -> Connection:
        """POST on a connection of its own that is upgraded; its reader gives what the container writes."""
        connection = Connection(self.path)
        data = json.dumps(body).encode() if body is not None else b""
        status, headers = connection.ask("POST", target, data, upgrade="tcp")
        if status != 101:
            text = connection.body(headers).decode()
            connection.close()
            raise WrongSample(f"POST {target}: {status} {text}")
        return connection

    def create(self, *command: str, network: str = "none", host: Config | None = None, **config: Any) -> str:
        """Create a container of busybox: its id. `host`: more of its HostConfig; `config`: of its Config."""
        body = {
            "Image": "busybox",
            "Cmd": list(command),
            **config,
            "HostConfig": {"NetworkMode": network, **(host or {})},
        }
        return str(self.call("POST", "containers/create", body)["Id"])

    def start(self, container: str) -> None:
        """Start a container."""
        self.raw("POST", f"containers/{container}/start")

    def remove(self, container: str) -> None:
        """Remove a container with its volumes, whether it runs or not."""
        self.raw("DELETE", f"containers/{container}?force=1&v=1")

    def inspect(self, container: str) -> Any:
        """Inspect a container."""
        return self.call("GET", f"containers/{container}/json")

    def attach(self, container: str) -> Connection:
        """Attach to a container's output."""
        return self.hijack(f"containers/{container}/attach?stream=1&stdout=1&stderr=1")

    def sleeping(self, **more: Any) -> str:
        """Create and start a container that does nothing: its id."""
        container = self.create("sleep", "1000", **more)
        self.start(container)
        return container


def demultiplexed(data: bytes) -> bytes:
    """Take the frames' headers off a multiplexed stream."""
    parts, at = [], 0
    while at < len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "big")
        parts.append(data[at + 8 : at + 8 + size])
        at += 8 + size
    return b"".join(parts)


def expect(right: bool, what: Callable[[], str]) -> None:
    """Check a sample. Errors: WrongSample with the text."""
    if not right:
        raise WrongSample(what())
