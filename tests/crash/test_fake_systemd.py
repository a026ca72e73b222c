"""wherryd under a service manager that is played here: it tells how it stands, takes its socket from fd 3, and
nothing of either reaches a container.
"""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.peer.peer import Peer, missing
from tests.roots import make_root
from tests.supervised import Supervised

pytestmark = pytest.mark.root

# What a process has of its daemon: descriptors, environment, blocked and ignored signals. A shell ignores SIGQUIT
# itself, so the signals are looked at without one.
LOOK = ("sh", "-c", "ls /proc/$$/fd; echo; tr '\\0' '\\n' </proc/$$/environ; true")
SIGNALS = ("grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status")


@pytest.fixture(scope="module")
def mortal(busybox_tar: Path) -> Iterator[Supervised]:
    with Supervised(make_root()).running(busybox_tar) as daemon:
        assert daemon.told()["READY"] == "1"
        yield daemon


@pytest.fixture(scope="module")
def dockerd(busybox_tar: Path) -> Iterator[Peer]:
    if reason := missing():
        pytest.skip(reason)
    peer = Peer(make_root("peer-"))
    try:
        peer.start()
        image = busybox_tar.read_bytes()
        peer.docker("import", "--change", 'CMD ["sh"]', "-", "busybox:latest", stdin=image)
        yield peer
    finally:
        peer.destroy()


def test_reload_is_told_with_its_time(mortal: Supervised) -> None:
    os.kill(mortal.pid, signal.SIGHUP)
    reloading = mortal.told()
    assert reloading["RELOADING"] == "1"
    assert int(reloading["MONOTONIC_USEC"]) > 0
    assert mortal.told()["READY"] == "1"


def test_the_end_is_told_and_the_socket_stays(mortal: Supervised) -> None:
    pid = mortal.pid
    mortal.terminate()
    told = mortal.told()
    assert told["STOPPING"] == "1"
    assert mortal.socket.exists(), "the socket is systemd's"
    mortal.start()
    ready = mortal.told()
    assert (ready["READY"], ready["MAINPID"]) == ("1", str(mortal.pid))
    assert mortal.pid != pid


def looks(docker: Callable[..., object], kind: str, command: tuple[str, ...] = LOOK) -> str:
    """What a container's init, or an exec, sees of itself."""
    flags = {"init": [], "terminal": ["-t"], "stdin": ["-i"]}.get(kind)
    if flags is not None:
        return text(docker("run", "--rm", "-h", "same", *flags, "busybox", *command))
    docker("run", "-d", "--name", "looked", "-h", "same", "busybox", "sleep", "1000")
    try:
        return text(docker("exec", *(["-i"] if kind == "exec-stdin" else []), "looked", *command))
    finally:
        docker("rm", "-f", "looked")


def text(done: object) -> str:
    out = done.stdout  # type: ignore[attr-defined]
    return out if isinstance(out, str) else out.decode()


KINDS = ("init", "stdin", "terminal", "exec", "exec-stdin")


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_of_the_service_reaches_a_container(mortal: Supervised, kind: str) -> None:
    descriptors, environment = looks(mortal.docker, kind).replace("\r", "").split("\n\n")
    assert descriptors.split() == ["0", "1", "2"]
    names = sorted(line.partition("=")[0] for line in environment.splitlines())
    assert names == sorted(["PATH", "HOSTNAME", "HOME", *(["TERM"] if kind == "terminal" else [])])
    signals = looks(mortal.docker, kind, SIGNALS)
    assert {line.split()[1] for line in signals.splitlines()} == {"0" * 16}


@pytest.mark.peer
@pytest.mark.parametrize("kind", KINDS)
def test_as_with_dockerd(mortal: Supervised, dockerd: Peer, kind: str) -> None:
    ours, theirs = looks(mortal.docker, kind), looks(dockerd.docker, kind)
    assert sections(ours) == sections(theirs)
    assert looks(mortal.docker, kind, SIGNALS) == looks(dockerd.docker, kind, SIGNALS)


def sections(seen: str) -> list[list[str]]:
    return [sorted(part.splitlines()) for part in seen.replace("\r", "").split("\n\n")]
