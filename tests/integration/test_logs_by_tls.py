"""Logs sent over TLS: to who can prove its name, framed as RFC 5425 says; and to nobody else unless asked for.

Fluentd has no option for authorities: the host's are asked.
"""

import base64
import contextlib
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import msgspec
import pytest

from tests.daemon import Wherryd
from tests.roots import make_root
from tests.waiting import eventually

pytestmark = pytest.mark.root


class Server:
    """Takes connections over TLS and keeps what comes."""

    def __init__(self, directory: Path) -> None:
        self.certificate = directory / "cert.pem"
        key = directory / "key.pem"
        request = ["-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
        names = ["-addext", "subjectAltName=DNS:localhost"]
        files = ["-keyout", str(key), "-out", str(self.certificate)]
        subprocess.run(["openssl", "req", "-x509", *request, *names, *files], check=True, capture_output=True)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.certificate, key)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.got = b""
        self.acknowledges = False
        self.arrived = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                raw, _ = self.listener.accept()
                with (  # whatever this client does, the next one is served
                    contextlib.suppress(OSError, msgspec.DecodeError),
                    self.context.wrap_socket(raw, server_side=True) as connection,
                ):
                    while data := connection.recv(1 << 16):
                        self.got += data
                        if self.acknowledges:
                            connection.sendall(_acknowledgement(data))
                        self.arrived.set()


def _acknowledgement(data: bytes) -> bytes:
    return msgspec.msgpack.encode({"ack": msgspec.msgpack.decode(data)[3]["chunk"]})


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("tls"))
    yield made
    made.listener.close()


def run(wherryd: Wherryd, server: Server, **options: str) -> None:
    asked = {
        "syslog-address": f"tcp+tls://localhost:{server.port}",
        **{k.replace("_", "-"): v for k, v in options.items()},
    }
    flags = [f"--log-opt={name}={value}" for name, value in asked.items()]
    wherryd.docker(
        "run", "--name", "tls", "--net=none", "--log-driver=syslog", *flags, "busybox", "echo", "hello"
    )


@pytest.fixture(autouse=True)
def _clean(wherryd: Wherryd, server: Server) -> Iterator[None]:
    server.got = b""
    server.arrived.clear()
    yield
    wherryd.docker("rm", "-f", "tls")


def test_to_one_whose_authority_is_known(wherryd: Wherryd, server: Server) -> None:
    run(wherryd, server, syslog_tls_ca_cert=str(server.certificate), syslog_format="rfc5424", tag="t")
    assert server.arrived.wait(20)
    size, _, message = server.got.partition(b" ")
    assert int(size) == len(message)
    assert message.startswith(b"<30>1 ")
    assert message.endswith(b" - hello\n")


def test_unproven_but_asked_for(wherryd: Wherryd, server: Server) -> None:
    run(wherryd, server, syslog_tls_skip_verify="true", tag="t")
    assert server.arrived.wait(20)
    assert server.got.endswith(b"]: hello\n")


def refused(daemon: Wherryd) -> bool:
    """Whether a daemon says that it did not believe a receiver."""
    return "certificate verify failed" in daemon.log.read_text()


def test_to_nobody_unproven(wherryd: Wherryd, server: Server) -> None:
    run(wherryd, server)
    assert not server.arrived.wait(1)
    eventually(partial(refused, wherryd))
    assert wherryd.docker("logs", "tls").stdout == "hello\n"


def test_an_authority_that_is_not_there(wherryd: Wherryd, server: Server) -> None:
    with pytest.raises(AssertionError, match='could not read CA certificate "/nonexistent"'):
        run(wherryd, server, syslog_tls_ca_cert="/nonexistent")


@pytest.fixture(scope="module")
def trusting(server: Server, busybox_tar: Path) -> Iterator[Wherryd]:
    """A daemon on a host that knows the server's authority."""
    with Wherryd(make_root(), env={"SSL_CERT_FILE": str(server.certificate)}).running(busybox_tar) as daemon:
        yield daemon


def fluent(daemon: Wherryd, server: Server, host: str = "localhost", **options: str) -> None:
    asked = {"fluentd-address": f"tls://{host}:{server.port}", "tag": "t", **options}
    flags = [f"--log-opt={name.replace('_', '-')}={value}" for name, value in asked.items()]
    daemon.docker(
        *("run", "--name", "tls", "--net=none", "--log-driver=fluentd"), *flags, "busybox", "echo", "hello"
    )


@pytest.mark.parametrize("acknowledged", [False, True])
def test_fluentd(trusting: Wherryd, server: Server, acknowledged: bool) -> None:
    server.acknowledges = acknowledged
    try:
        fluent(trusting, server, fluentd_request_ack=str(acknowledged).lower())
        assert server.arrived.wait(20)
    finally:
        trusting.docker("rm", "-f", "tls")
        server.acknowledges = False
    tag, at, record, option = msgspec.msgpack.decode(server.got)
    assert (tag, record["log"], record["source"], record["container_name"]) == (
        "t",
        "hello",
        "stdout",
        "/tls",
    )
    assert abs(at - time.time()) < 60
    assert [len(base64.b64decode(each)) for each in option.values()] == [16] * acknowledged


def test_fluentd_to_nobody_unproven(wherryd: Wherryd, trusting: Wherryd, server: Server) -> None:
    """Whose authority is unknown, or whose name is another."""
    fluent(wherryd, server)
    fluent(trusting, server, host="127.0.0.1")
    try:
        assert not server.arrived.wait(2)
        for daemon in (wherryd, trusting):
            eventually(partial(refused, daemon))
        assert trusting.docker("logs", "tls").stdout == "hello\n"
    finally:
        trusting.docker("rm", "-f", "tls")
