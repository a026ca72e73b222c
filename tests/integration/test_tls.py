"""The API by TLS: for clients with a certificate, by the official CLI and docker-py; and for nobody else."""

import contextlib
import hashlib
import os
import socket
import ssl
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import docker as docker_package
import pytest
from docker.tls import TLSConfig

from api.pidfile import STOP_CONTAINERS
from tests.daemon import DaemonFailed, Wherryd
from tests.ports import free_port
from tests.registries import Certificates, make_certificates, missing
from tests.terminal import Terminal
from tests.waiting import eventually

pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(missing()), reason=missing())]

MUCH = 20 << 20
EXEC = {"AttachStdin": True, "AttachStdout": True}


class Served:
    """A daemon that serves TLS, and the official CLI that speaks it."""

    def __init__(self, daemon: Wherryd, port: int, certificates: Certificates) -> None:
        self.daemon = daemon
        self.port = port
        self.certificates = certificates

    def argv(self, *args: str, name: str = "client") -> list[str]:
        certificate, key = self.certificates.pair(name)
        shown = ["--tlscert", str(certificate), "--tlskey", str(key)] if name else []
        trusted = ["--tlsverify", "--tlscacert", str(self.certificates.authority)]
        return ["docker", "-H", f"tcp://127.0.0.1:{self.port}", *trusted, *shown, *args]

    def docker(self, *args: str, stdin: bytes = b"", name: str = "client") -> bytes:
        """Run the CLI; what it prints."""
        argv = self.argv(*args, name=name)
        done = subprocess.run(
            argv, input=stdin, capture_output=True, env=self.daemon.client_env, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("tls") / "certificates")


@pytest.fixture
def serve(start_daemon: Callable[..., Wherryd], certificates: Certificates) -> Callable[..., Served]:
    """Start a daemon with these flags on TLS."""

    def start(*flags: str) -> Served:
        port = free_port()
        certificate, key = certificates.pair("server")
        pair = ["--tlscert", str(certificate), "--tlskey", str(key)]
        return Served(start_daemon("-H", f"tcp://127.0.0.1:{port}", *pair, *flags), port, certificates)

    return start


@pytest.fixture
def served(serve: Callable[..., Served], certificates: Certificates) -> Served:
    """A daemon that wants to see certificates."""
    return serve("--tlsverify", "--tlscacert", str(certificates.authority))


def test_the_cli_does_what_it_does_elsewhere(served: Served, tmp_path: Path) -> None:
    assert served.docker("run", "--rm", "busybox", "echo", "hello") == b"hello\n"
    heard = served.docker(
        "run", "--rm", "-i", "busybox", "sh", "-c", "cat; sleep 0.3; echo later", stdin=b"said\n"
    )
    assert heard == b"said\nlater\n", "what comes after the end of the input is not lost"
    data = os.urandom(MUCH)
    counted = served.docker("run", "--rm", "-i", "busybox", "sha256sum", stdin=data)
    assert counted.split()[0].decode() == hashlib.sha256(data).hexdigest()
    assert len(served.docker("run", "--rm", "busybox", "head", "-c", str(MUCH), "/dev/zero")) == MUCH
    served.docker("run", "-d", "--name", "long", "busybox", "sleep", "1000")
    assert served.docker("exec", "-i", "long", "cat", stdin=b"x" * MUCH) == b"x" * MUCH
    archive = served.docker("cp", "long:/bin/busybox", "-")
    assert len(archive) > 500_000
    served.docker("rm", "-f", "long")
    (tmp_path / "Dockerfile").write_text("FROM busybox\nRUN echo built > /made\n")
    served.docker("build", "-q", "-t", "made", str(tmp_path))
    assert served.docker("run", "--rm", "made", "cat", "/made") == b"built\n"
    served.docker("rmi", "made")
    served.docker("builder", "prune", "-af")


def test_a_terminal(served: Served) -> None:
    with Terminal(served.argv("run", "--rm", "-it", "busybox", "sh"), served.daemon.client_env) as terminal:
        terminal.wait_for("# ")
        terminal.type("echo $((6*7))\n")
        terminal.wait_for("42")
        terminal.type("exit 3\n")
        assert terminal.wait() == 3


def test_docker_py(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):  # they would go before what the client is given
        monkeypatch.delenv(variable, raising=False)
    pair = tuple(map(str, served.certificates.pair("client")))
    tls = TLSConfig(client_cert=pair, ca_cert=str(served.certificates.authority), verify=True)
    client = docker_package.DockerClient(base_url=f"https://127.0.0.1:{served.port}", tls=tls, timeout=60)
    try:
        assert client.containers.run("busybox", "echo hello", remove=True) == b"hello\n"
        assert client.info()["Warnings"] in (None, []) or "API is accessible" not in str(
            client.info()["Warnings"]
        )
    finally:
        client.close()


def test_nobody_else_is_let_in(served: Served) -> None:
    trusted = ssl.create_default_context(cafile=str(served.certificates.authority))
    for context, failure in [
        (trusted, "certificate required"),
        (ssl.create_default_context(), "verify failed"),
    ]:
        with pytest.raises(ssl.SSLError, match=failure):
            _get(served, context, "/_ping")
    plain = ["docker", "-H", f"tcp://127.0.0.1:{served.port}", "version"]
    done = subprocess.run(plain, capture_output=True, env=served.daemon.client_env, timeout=60, check=False)
    assert done.returncode
    assert b"Client sent an HTTP request to an HTTPS server." in done.stderr
    assert served.daemon.answers()


def test_who_does_not_shake_hands_goes_with_the_daemon(served: Served) -> None:
    with socket.create_connection(("127.0.0.1", served.port)) as silent:
        assert served.docker("version", "-f", "{{.Server.Os}}") == b"linux\n"
        begun = time.monotonic()
        served.daemon.terminate()
        assert time.monotonic() - begun < 8  # a handshake has 30 seconds
        assert silent.recv(1) == b""
    served.daemon.start()


def test_a_client_that_vanishes_is_noticed(served: Served) -> None:
    served.docker("run", "-d", "--name", "long", "busybox", "sleep", "1000")
    watching = subprocess.Popen(
        served.argv("events"), env=served.daemon.client_env, stdout=subprocess.DEVNULL
    )
    listening = "n = {{.NEventsListener}}"
    eventually(lambda: served.docker("info", "-f", listening) == b"n = 1\n")
    watching.kill()
    watching.wait()
    eventually(lambda: served.docker("info", "-f", listening) == b"n = 0\n")
    served.docker("rm", "-f", "long")


@pytest.mark.parametrize("told", [True, False], ids=["told", "by the socket alone"])
def test_an_answer_comes_after_the_end_of_what_is_said(served: Served, told: bool) -> None:
    """Also where the socket's half-close follows, or is all."""
    served.docker("run", "-d", "--name", "long", "busybox", "sleep", "1000")
    made = served.daemon.call(
        "POST", "/containers/long/exec", {**EXEC, "Cmd": ["sh", "-c", "cat; sleep 0.3; echo late"]}
    )
    with _connected(served) as raw, _known(served).wrap_socket(raw, server_hostname="127.0.0.1") as client:
        client.sendall(
            _post(
                f"/exec/{made.json['Id']}/start", b'{"Detach": false}', "Connection: Upgrade", "Upgrade: tcp"
            )
        )
        assert client.recv(1 << 16).startswith(b"HTTP/1.1 101")
        client.sendall(b"said\n")
        if told:
            client.setblocking(False)
            with contextlib.suppress(ssl.SSLWantReadError):
                client.unwrap()
        socket.socket.shutdown(client, socket.SHUT_WR)
        client.settimeout(30)
        heard = b""
        with contextlib.suppress(ssl.SSLZeroReturnError):  # so ends what one has ended oneself
            while data := client.recv(1 << 16):
                heard += data
    assert b"said\n" in heard
    assert heard.endswith(b"late\n")
    served.docker("rm", "-f", "long")


def test_nobody_is_served_by_a_daemon_that_ends(served: Served) -> None:
    """Who shakes hands when the others have been ended is ended, too: what it starts would outlive the containers."""
    slow = "trap 'sleep 2; exit' TERM; touch /ready; while :; do sleep 0.1; done"
    served.docker("run", "-d", "--name", "slow", "--stop-timeout", "20", "busybox", "sh", "-c", slow)
    served.docker("create", "--name", "late", "busybox", "sleep", "1000")
    served.docker("exec", "slow", "sh", "-c", "until [ -e /ready ]; do sleep 0.05; done")
    with _connected(served) as raw:
        os.kill(served.daemon.pid, STOP_CONTAINERS)
        eventually(lambda: "ending on" in served.daemon.log.read_text())
        time.sleep(0.5)
        with (
            contextlib.suppress(OSError),
            _known(served).wrap_socket(raw, server_hostname="127.0.0.1") as client,
        ):
            client.sendall(_post("/containers/late/start", b""))
            assert client.recv(1 << 16) == b""
    eventually(lambda: not served.daemon.alive)
    served.daemon.start()
    assert served.daemon.state("late")["Status"] == "created"
    assert served.daemon.state("slow")["Status"] == "exited"
    served.docker("rm", "slow", "late")


def test_without_certificates_of_clients(serve: Callable[..., Served]) -> None:
    """TLS alone hides what is said, and lets anybody in: the daemon says so."""
    served = serve("--tls")
    trusted = ssl.create_default_context(cafile=str(served.certificates.authority))
    assert b"without TLS client verification" in _get(served, trusted, "/info")
    assert "IS NOT PROTECTED" in served.daemon.log.read_text()


@pytest.mark.parametrize(
    ("flags", "failure"),
    [
        (
            ["--tlscert", "/nope"],
            'Could not load X509 key pair (cert: "/nope", key: "KEY"): open /nope: no such file',
        ),
        (["--tlscert", "KEY"], 'Error reading X509 key pair (cert: "KEY", key: "KEY"): '),
        (
            ["--tlsverify", "--tlscacert", "/nope"],
            'could not read CA certificate "/nope": open /nope: no such file',
        ),
        (["--tlsverify", "--tlscacert", "KEY"], 'failed to append certificates from PEM file: "KEY"'),
    ],
)
def test_files_that_are_none(
    serve: Callable[..., Served], certificates: Certificates, flags: list[str], failure: str
) -> None:
    key = str(certificates.pair("server")[1])
    with pytest.raises(DaemonFailed) as refused:
        serve("--tls", *(flag.replace("KEY", key) for flag in flags))
    assert f"invalid TLS configuration: {failure.replace('KEY', key)}" in str(refused.value)


def _connected(served: Served) -> socket.socket:
    return socket.create_connection(("127.0.0.1", served.port), timeout=30)


def _known(served: Served) -> ssl.SSLContext:
    """A client with a certificate."""
    context = ssl.create_default_context(cafile=str(served.certificates.authority))
    context.load_cert_chain(*served.certificates.pair("client"))
    return context


def _post(path: str, body: bytes, *headers: str) -> bytes:
    head = ["Host: x", "Content-Type: application/json", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([f"POST {path} HTTP/1.1", *head, "", ""]).encode() + body


def _get(served: Served, context: ssl.SSLContext, path: str) -> bytes:
    """The whole answer to a request."""
    with (
        _connected(served) as raw,
        context.wrap_socket(raw, server_hostname="127.0.0.1") as client,
    ):
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        return b"".join(iter(lambda: client.recv(1 << 16), b""))
