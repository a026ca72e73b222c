"""A registry for the contenders, and a wire to it that is counted and cut."""

import fcntl
import gzip
import json
import select
import socket
import struct
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.bench.archive import Content, digest
from tests.bench.contest import Contender
from tests.peer.peer import Peer
from tests.registries import DOCKER_MANIFEST, OCI_MANIFEST, DebianRegistry

_CHUNK = 1 << 16
_SIOCOUTQNSD = 0x894B
_RESET = struct.pack("=ii", 1, 0)  # SO_LINGER: what was not sent is dropped, and the other side is told so


@contextmanager
def registry(root: Path, contenders: list[Contender]) -> Iterator[DebianRegistry]:
    """Debian's docker-registry at one address for all: a process in each network namespace, on the same files."""
    ours = DebianRegistry(root)
    every = [ours]
    every += [
        DebianRegistry(root, port=ours.port, namespace=each.daemon.pid)
        for each in contenders
        if isinstance(each.daemon, Peer)
    ]
    with ExitStack() as running:
        for one in every:
            one.start()
            running.callback(one.stop)
        yield ours


def put(registry: DebianRegistry, repository: str, content: Content) -> int:
    """Put an image into the registry, gzipped: the bytes of its layers there."""
    zipped = [gzip.compress(layer, 1, mtime=0) for layer in content.layers]
    registry.put_image(repository, "latest", zipped, **content.config)
    return sum(map(len, zipped))


def pushed(registry: DebianRegistry, repository: str) -> tuple[str, list[str]]:
    """The image that is in a repository as latest: its id, and the digests of its layers, unpacked."""
    manifest = json.loads(_get(registry, f"{repository}/manifests/latest"))
    blobs = [_get(registry, f"{repository}/blobs/{layer['digest']}") for layer in manifest["layers"]]
    return manifest["config"]["digest"], [digest(gzip.decompress(blob)) for blob in blobs]


def _get(registry: DebianRegistry, path: str) -> bytes:
    accepted = {"Accept": f"{DOCKER_MANIFEST}, {OCI_MANIFEST}"}
    asked = urllib.request.Request(f"http://{registry.netloc}/v2/{path}", headers=accepted)
    with urllib.request.urlopen(asked, timeout=60) as answer:
        data: bytes = answer.read()
    return data


def _unsent(stream: socket.socket) -> int:
    """Bytes that the kernel has for a stream and never put on the wire."""
    return int(struct.unpack("=i", fcntl.ioctl(stream, _SIOCOUTQNSD, bytes(4)))[0])


class Wire:
    """A way to a server that counts what comes back, and resets the connections on which much has come.

    `cuts` is how often it does that still, each time after `after` bytes of one connection.
    """

    def __init__(self, port: int, cuts: int, after: int) -> None:
        self.cuts = cuts
        self.count = 0
        self._port = port
        self._after = after
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.netloc = f"127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._carry, args=(near,), daemon=True).start()

    def _carry(self, near: socket.socket) -> None:
        count = 0
        with near, socket.create_connection(("127.0.0.1", self._port)) as far:
            while True:
                for ready in select.select([near, far], [], [])[0]:
                    if not (data := ready.recv(_CHUNK)):
                        return
                    if ready is near:
                        far.sendall(data)
                        continue
                    near.sendall(data)
                    count += len(data)
                    self.count += len(data)
                    if self.cuts and count >= self._after:
                        self._cut(near)
                        return

    def _cut(self, near: socket.socket) -> None:
        self.cuts -= 1
        near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.count -= _unsent(near)
        near.close()
