"""POST /grpc and /session: what becomes of a connection, in every version."""

import socket
from pathlib import Path
from uuid import uuid4

import pytest

from tests.peer.comparison import judged, require
from tests.peer.ledger import VERSIONS, Request
from tests.peer.masks import mask, mask_header
from tests.peer.peer import Answer, Both

pytestmark = pytest.mark.root

H2C = {"Connection": "Upgrade", "Upgrade": "h2c"}
ID = "X-Docker-Expose-Session-Uuid"
ASKED: tuple[dict[str, str], ...] = (
    {},
    {"Connection": "Upgrade"},
    {"Connection": "Upgrade", "Upgrade": "tcp"},
    {"Connection": "Upgrade", "Upgrade": "h2c-not"},
    {"Connection": "close", "Upgrade": "other"},
    H2C,
    {**H2C, "X-Docker-Expose-Session-Grpc-Method": "/moby.filesync.v1.Auth/Credentials"},
)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("path", ["/grpc", "/session"])
def test_upgrades(both: Both, path: str, version: str) -> None:
    found: list[str] = []
    for asked in ASKED:
        request = Request.of("POST", path, None, version, asked)
        headers = {**asked, ID: uuid4().hex}  # dockerd takes none twice
        answers = (head(side.socket, f"/v{version}{path}", headers) for side in (both.wherryd, both.peer))
        found += judged(request, *answers)
    require(found)


def head(path: Path, target: str, headers: dict[str, str]) -> Answer:
    """POST nothing and read the answer, of one that changes the protocol its head."""
    lines = [f"POST {target} HTTP/1.1", "Host: docker", "Content-Length: 0"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(20)
        connection.connect(str(path))
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        text = b""
        while b"\r\n\r\n" not in text and (data := connection.recv(1)):
            text += data
        status, *fields = text.decode("latin-1").strip().split("\r\n")
        pairs = {name.lower(): value for name, _, value in (field.partition(": ") for field in fields)}
        told = {name: mask_header(name, value) for name, value in pairs.items()}
        with connection.makefile("rb") as rest:
            body = mask(rest.read(int(pairs.get("content-length", "0"))).decode())
    return Answer(int(status.split()[1]), {"(status line)": status, **told}, body)
