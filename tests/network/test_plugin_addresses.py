"""Plugins at https addresses of .spec and .json files: who is believed, and how the daemon shows itself."""

import json
import ssl
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import errdefs
from plugins import client
from plugins.discovery import Places
from plugins.registry import NETWORK, Plugins


@dataclass(frozen=True)
class Pair:
    """A certificate that has signed itself, and its key."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class Server:
    """A plugin that calls itself global to those who show `client`'s certificate, and local to others."""

    url: str
    own: Pair
    client: Pair


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.connection, ssl.SSLSocket)
        scope = "global" if self.connection.getpeercert() else "local"
        answer = {"Implements": [NETWORK]} if self.path == "/Plugin.Activate" else {"Scope": scope}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


def pair(folder: Path, name: str) -> Pair:
    made = Pair(folder / f"{name}.pem", folder / f"{name}.key")
    request = ["-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}"]
    names = ["-addext", f"subjectAltName=DNS:{name}"]
    files = ["-keyout", str(made.key), "-out", str(made.certificate)]
    subprocess.run(["openssl", "req", "-x509", *request, *names, *files], check=True, capture_output=True)
    return made


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("tls")
    own, shown = pair(folder, "localhost"), pair(folder, "daemon")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own.certificate, own.key)
    context.load_verify_locations(shown.certificate)
    context.verify_mode = ssl.CERT_OPTIONAL
    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listener.socket = context.wrap_socket(listener.socket, server_side=True)
    threading.Thread(target=listener.serve_forever, daemon=True).start()
    yield Server(f"https://localhost:{listener.server_port}", own, shown)
    listener.shutdown()
    listener.server_close()


@pytest.fixture
async def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Plugins]:
    monkeypatch.setattr(client, "PATIENCE", ())
    made = Plugins(Places(tmp_path / "sockets", (tmp_path,)))
    yield made
    await made.close()


def write(folder: Path, url: str, **tls: Any) -> None:
    (folder / "plug.json").write_text(json.dumps({"Name": "plug", "Addr": url, "TLSConfig": tls}))


async def test_one_that_the_authority_knows(server: Server, plugins: Plugins, tmp_path: Path) -> None:
    write(tmp_path, server.url, CAFile=str(server.own.certificate))
    plugin = await plugins.get("plug", NETWORK)
    assert (plugin.implements, plugin.scope) == ((NETWORK,), "local")


async def test_one_that_the_authority_does_not_know(server: Server, plugins: Plugins, tmp_path: Path) -> None:
    write(tmp_path, server.url, CAFile=str(server.client.certificate))
    with pytest.raises(errdefs.SystemFailure, match="failed to verify certificate: self"):
        await plugins.get("plug", NETWORK)


async def test_one_of_another_name(server: Server, plugins: Plugins, tmp_path: Path) -> None:
    write(tmp_path, server.url.replace("localhost", "127.0.0.1"), CAFile=str(server.own.certificate))
    with pytest.raises(errdefs.SystemFailure, match="failed to verify certificate: IP address mismatch"):
        await plugins.get("plug", NETWORK)


@pytest.mark.parametrize(
    "told", [{}, {"InsecureSkipVerify": True}], ids=["no authority", "not to be verified"]
)
async def test_nothing_is_verified(
    server: Server, plugins: Plugins, tmp_path: Path, told: dict[str, Any]
) -> None:
    more = {"CAFile": str(server.client.certificate)} if told else {}
    write(tmp_path, server.url, **more, **told)
    assert (await plugins.get("plug", NETWORK)).scope == "local"


async def test_a_spec_verifies_nothing(server: Server, plugins: Plugins, tmp_path: Path) -> None:
    (tmp_path / "plug.spec").write_text(server.url + "\n")
    assert (await plugins.get("plug", NETWORK)).scope == "local"


async def test_the_daemon_shows_its_certificate(server: Server, plugins: Plugins, tmp_path: Path) -> None:
    write(
        tmp_path,
        server.url,
        CAFile=str(server.own.certificate),
        CertFile=str(server.client.certificate),
        KeyFile=str(server.client.key),
    )
    assert (await plugins.get("plug", NETWORK)).scope == "global"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"CAFile": "/nowhere"}, "could not read CA certificate /nowhere: No such file or directory"),
        ({"CertFile": "/no", "KeyFile": "/key"}, r"could not load X509 key pair \(/no, /key\): No such file"),
    ],
)
async def test_files_that_are_not_there(
    server: Server, plugins: Plugins, tmp_path: Path, files: dict[str, str], said: str
) -> None:
    write(tmp_path, server.url, **files)
    with pytest.raises(errdefs.SystemFailure, match=said):
        await plugins.get("plug", NETWORK)
