"""A client of a daemon's API that costs little of its own: plain blocking bytes, less than 0.1 ms a call.

What a client adds is in both contenders' times alike and draws their ratio towards 1.
"""

import json
import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Self

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

    def send(
        self,
        method: str,
        target: str,
        body: bytes | BinaryIO = b"",
        upgrade: str = "",
        *,
        last: bool = False,
        headers: Headers | None = None,
    ) -> None:
        """Send a request; `body` may be a file, to its end. `last`: the other side closes after the answer."""
        extra = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        extra += f"Connection: Upgrade\r\nUpgrade: {upgrade}\r\n" if upgrade else ""
        extra += "Connection: close\r\n" if last else ""
        size = len(body) if isinstance(body, bytes) else os.fstat(body.fileno()).st_size
        kind = "application/json" if isinstance(body, bytes) else "application/x-tar"
        head = (
            f"{method} /{VERSION}/{target} HTTP/1.1\r\nHost: docker\r\n{extra}"
            f"Content-Type: {kind}\r\nContent-Length: {size}\r\n\r\n"
        )
        if isinstance(body, bytes):
            self.sock.sendall(head.encode() + body)
        else:
            self.sock.sendall(head.encode())
            self.sock.sendfile(body)

    def head(self) -> tuple[int, Headers]:
        """Read the head of the answer: (status, headers in lower case)."""
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

    def rest(self) -> list[bytes]:
        """All bytes until the other side closes, as they come and in large pieces; the head is among them."""
        pieces = []
        while piece := self.sock.recv(1 << 20):
            pieces.append(piece)
        return pieces


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
        self._connection.send(method, target, body)
        status, headers = self._connection.head()
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
        connection.send("POST", target, data, upgrade="tcp")
        status, headers = connection.head()
        if status != 101:
            text = connection.body(headers).decode()
            connection.close()
            raise WrongSample(f"POST {target}: {status} {text}")
        return connection

    def stream(self, target: str) -> Connection:
        """GET on a connection of its own whose body goes on: read its chunks()."""
        connection = Connection(self.path)
        connection.send("GET", target)
        status, headers = connection.head()
        if status != 200:
            text = connection.body(headers).decode()
            connection.close()
            raise WrongSample(f"GET {target}: {status} {text}")
        return connection

    def fetch(self, target: str) -> list[bytes]:
        """GET something large on a connection of its own: the pieces of the answer, for `body_of`."""
        with Connection(self.path) as connection:
            connection.send("GET", target, last=True)
            return connection.rest()

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


def body_of(pieces: list[bytes]) -> bytes:
    """The body of an answer that was fetched. Errors: WrongSample when it is not a whole one of status 200."""
    head, _, data = b"".join(pieces).partition(b"\r\n\r\n")
    expect(b" 200 " in head.partition(b"\r\n")[0], f"{head!r} {data[:1000]!r}")
    if b"\r\ntransfer-encoding: chunked" not in head.lower():
        return data
    parts: list[bytes] = []
    at = 0
    while at < len(data):
        line = data.index(b"\r\n", at)
        size = int(data[at:line], 16)
        if not size:
            return b"".join(parts)
        parts.append(data[line + 2 : line + 2 + size])
        at = line + 4 + size
    raise WrongSample("the answer broke off")


def demultiplexed(data: bytes) -> bytes:
    """Take the frames' headers off a multiplexed stream."""
    parts, at = [], 0
    while at < len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "big")
        parts.append(data[at + 8 : at + 8 + size])
        at += 8 + size
    return b"".join(parts)


def expect(right: bool, what: str) -> None:
    """Check a sample. Errors: WrongSample with the text."""
    if not right:
        raise WrongSample(what)
