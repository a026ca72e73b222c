"""Where the body of a request ends: of a length and chunks the chunks count, as for a real dockerd."""

import socket
from pathlib import Path

import pytest

from tests.integration.images.archives import tar
from tests.peer.peer import Both

pytestmark = pytest.mark.root

ARCHIVE = tar({"etc/hello": b"hello\n"})
HEAD = "POST /v1.45/images/create?fromSrc=-&repo=peer-framed HTTP/1.1\r\nHost: d\r\n"


def told(path: Path, fields: str, body: bytes) -> tuple[bytes, bytes]:
    """The first line of the answer, and what an image was made of: the end of its id's message."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(20)
        client.connect(str(path))
        client.sendall(f"{HEAD}{fields}\r\n".encode() + body)
        client.shutdown(socket.SHUT_WR)
        answer = b""
        while data := client.recv(1 << 16):
            answer += data
    return answer.split(b"\r\n")[0], b"sha256:" if b"sha256:" in answer else b""


@pytest.mark.parametrize("length", [0, 7, len(ARCHIVE), 1 << 20])
@pytest.mark.parametrize("order", [1, -1])
def test_a_length_and_chunks(both: Both, length: int, order: int) -> None:
    fields = "".join([f"Content-Length: {length}\r\n", "Transfer-Encoding: chunked\r\n"][::order])
    body = f"{len(ARCHIVE):x}\r\n".encode() + ARCHIVE + b"\r\n0\r\n\r\n"
    ours, theirs = (told(socket_, fields, body) for socket_ in (both.wherryd.socket, both.peer.socket))
    assert ours == theirs == (b"HTTP/1.1 200 OK", b"sha256:")
    layers = [answer.body["RootFS"]["Layers"] for answer in both("GET", "/images/peer-framed/json")]
    both("DELETE", "/images/peer-framed")
    assert layers[0] == layers[1]
