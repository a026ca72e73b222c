"""The API by TLS, as dockerd serves it: who is let in, what others are told, and who a plugin hears that it was."""

import subprocess
from collections.abc import Iterator

import pytest

from tests.daemon import PATH, Wherryd
from tests.integration.authz.conftest import PROGRAM
from tests.peer.judged import FIRST, SECOND, Side
from tests.peer.peer import POOL, Peer
from tests.peer.plugged import plugins_of_both
from tests.ports import free_port
from tests.registries import Certificates, make_certificates, missing
from tests.roots import make_root

pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(missing()), reason=missing())]

CLIENTS = {
    "a client that is known": ("authority", "client"),
    "a client of no certificate": ("authority", ""),
    "a server that is not known": ("client", "client"),
    "no TLS": ("", ""),
}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("tls") / "certificates")


@pytest.fixture(scope="module")
def port() -> int:
    """Of both: dockerd has a loopback of its own."""
    return free_port()


@pytest.fixture(scope="module")
def sides(
    certificates: Certificates, port: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Side, Side]]:
    certificate, key = certificates.pair("server")
    flags = [
        *("--host", f"tcp://127.0.0.1:{port}", "--tlsverify", "--tlscacert", str(certificates.authority)),
        *("--tlscert", str(certificate), "--tlskey", str(key)),
    ]
    wherryd = Wherryd(make_root(), flags)
    peer = Peer(make_root("peer-"), f"{POOL} {' '.join(flags)}")
    try:
        wherryd.start()
        peer.start()
        folder = tmp_path_factory.mktemp("judges")
        with plugins_of_both(peer, folder, (FIRST, SECOND), PROGRAM) as (ours, theirs):
            yield Side(wherryd, ours), Side(peer, theirs)
    finally:
        wherryd.destroy()
        peer.destroy()


def _docker(
    side: Side, port: int, certificates: Certificates, trusted: str, shown: str
) -> tuple[int, str, str]:
    """`docker version` by TCP, in the network of the daemon."""
    authority = (
        certificates.authority if trusted == "authority" else certificates.pair(trusted or "client")[0]
    )
    flags = ["--tlsverify", "--tlscacert", str(authority)] if trusted else []
    if shown:
        certificate, key = certificates.pair(shown)
        flags += ["--tlscert", str(certificate), "--tlskey", str(key)]
    inside = ["nsenter", f"--target={side.daemon.pid}", "--net"]
    argv = [*inside, "docker", "-H", f"tcp://127.0.0.1:{port}", *flags, "version", "-f", "{{.Server.Os}}"]
    env = {"PATH": PATH, "HOME": str(side.daemon.root)}
    done = subprocess.run(argv, capture_output=True, env=env, timeout=60, check=False, text=True)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("name", CLIENTS)
def test_clients(sides: tuple[Side, Side], port: int, certificates: Certificates, name: str) -> None:
    ours, theirs = (_docker(side, port, certificates, *CLIENTS[name]) for side in sides)
    assert ours == theirs
    assert (ours[0] == 0) == (name == "a client that is known")


def test_a_certificate_that_is_for_servers(
    sides: tuple[Side, Side], port: int, certificates: Certificates
) -> None:
    """OpenSSL says more than Go why it does not like it: not "bad certificate", but "unsupported"."""
    for side in sides:
        status, _, told = _docker(side, port, certificates, "authority", "server")
        assert (status, told.rsplit(" ", 1)[-1]) == (1, "certificate\n")


def test_a_plugin_hears_who_it_is(sides: tuple[Side, Side], port: int, certificates: Certificates) -> None:
    heard = []
    for side in sides:
        side.asks(FIRST, SECOND)
        assert _docker(side, port, certificates, "authority", "client")[0] == 0
        told = [each["body"] for each in side.calls() if each["body"]["RequestUri"].endswith("/version")]
        keys = ("User", "UserAuthNMethod", "RequestPeerCertificates")
        heard.append([{key: body.get(key) for key in keys} for body in told])
        side.asks()
    assert heard[0] == heard[1]
    assert heard[0][0]["User"] == "client"


def test_info_warns_of_nobody_who_must_prove_himself(sides: tuple[Side, Side]) -> None:
    for side in sides:
        warnings = side.does("GET", "/info")
        assert not any("API is accessible" in str(each) for each in warnings)
