"""The look for leftovers finds one of each kind; each leak here is made on purpose and taken away again."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import pytest

from tests.daemon import Wherryd
from tests.leftovers import Leftovers, removable, remove, scope_of
from tests.world import Scope

pytestmark = pytest.mark.root

ID = "f" * 64
# Stands for a daemon: SIGUSR1 opens one more descriptor, SIGUSR2 a port, SIGHUP makes a namespace.
STAND_IN = """
import ctypes, signal, socket, threading
kept = []
def thread():
    ctypes.CDLL(None).unshare(0x40000000)
    kept.append(open("/proc/thread-self/ns/net"))
def port(*_):
    kept.append(socket.create_server(("127.0.0.1", 0)))
signal.signal(signal.SIGUSR1, lambda *_: kept.append(open("/dev/null")))
signal.signal(signal.SIGUSR2, port)
def namespace(*_):
    t = threading.Thread(target=thread); t.start(); t.join()
signal.signal(signal.SIGHUP, namespace)
print("ready", flush=True)
while True:
    signal.pause()
"""


@pytest.fixture
def no_leftovers() -> None:
    """Stands in for the fixture of the same name: these tests leak, and look for themselves."""


@pytest.fixture
def stand_in(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that leaks on a signal, and with it what it leaked."""
    with subprocess.Popen([sys.executable, "-I", "-c", STAND_IN], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


@pytest.fixture
def place(tmp_path: Path, stand_in: subprocess.Popen[bytes]) -> Scope:
    """Where the leaks are looked for."""
    (tmp_path / "data").mkdir()
    (tmp_path / "exec").mkdir()
    with closing(sqlite3.connect(tmp_path / "data/state.db")) as database, database:
        database.execute("CREATE TABLE event (type, actor_id)")
        database.execute("INSERT INTO event VALUES ('container', ?)", (ID,))
    return Scope(tmp_path / "data", tmp_path / "exec", f"wl{os.getpid()}", stand_in.pid, ("leak0123",))


def run(*argv: str, stdin: str = "") -> None:
    subprocess.run(argv, check=True, capture_output=True, input=stdin, text=True)


@contextmanager
def process(place: Scope) -> Iterator[None]:
    with (place.exec_root / "log").open("w") as log, subprocess.Popen(["sleep", "60"], stdout=log) as sleeper:
        yield
        sleeper.kill()


@contextmanager
def mount(place: Scope) -> Iterator[None]:
    (place.exec_root / "rootfs").mkdir()
    run("mount", "-t", "tmpfs", "leak", str(place.exec_root / "rootfs"))
    yield
    run("umount", str(place.exec_root / "rootfs"))


@contextmanager
def netns_link(place: Scope) -> Iterator[None]:
    run("ip", "netns", "add", "leak0123")
    yield
    run("ip", "netns", "delete", "leak0123")


@contextmanager
def link(place: Scope) -> Iterator[None]:
    run("ip", "link", "add", place.bridge, "type", "bridge")
    yield
    run("ip", "link", "delete", place.bridge)


@contextmanager
def port_of_bridge(place: Scope) -> Iterator[None]:
    with link(place):
        run("ip", "link", "add", "leakport", "master", place.bridge, "type", "veth", "peer", "leakpeer")
        yield
        run("ip", "link", "delete", "leakport")


@contextmanager
def bridge_of_a_network(place: Scope) -> Iterator[None]:
    """It is known by its alias alone, and with it what is not even named after the instance."""
    run("ip", "link", "add", "br-leak", "type", "bridge")
    run("ip", "link", "set", "br-leak", "alias", f"wherry:{place.marks[0]}")
    run("ip", "link", "add", "leakport", "master", "br-leak", "type", "veth", "peer", "leakpeer")
    yield
    run("ip", "link", "delete", "leakport")
    run("ip", "link", "delete", "br-leak")


@contextmanager
def macvlan(place: Scope) -> Iterator[None]:
    with link(place):
        run("ip", "link", "add", "leakvlan", "link", place.bridge, "type", "macvlan")
        yield
        run("ip", "link", "delete", "leakvlan")


@contextmanager
def element(place: Scope) -> Iterator[None]:
    run(
        "nft",
        "-f",
        "-",
        stdin="table inet leak0123 { map m { type inet_service : verdict; elements = { 80 : drop }; }; }",
    )
    yield
    run("nft", "delete", "table", "inet", "leak0123")


@contextmanager
def cgroup(place: Scope, identifier: str = ID) -> Iterator[None]:
    v2 = Path("/sys/fs/cgroup/cgroup.controllers").exists()
    path = Path("/sys/fs/cgroup" if v2 else "/sys/fs/cgroup/pids", f"docker-{identifier}.scope")
    path.mkdir()
    yield
    path.rmdir()


@contextmanager
def file(place: Scope) -> Iterator[None]:
    (place.data_root / "containers" / ID).mkdir(parents=True)
    yield


def signalled(number: signal.Signals) -> Callable[[Scope], AbstractContextManager[None]]:
    """The leak that the stand-in makes on a signal; it goes with the stand-in."""

    @contextmanager
    def leak(place: Scope) -> Iterator[None]:
        os.kill(place.pid, number)
        yield

    return leak


LEAKS = {
    "process": (process, "process "),
    "mount": (mount, "mount on "),
    "netns": (signalled(signal.SIGHUP), "network namespace net:["),
    "netns link": (netns_link, "network namespace link /run/netns/leak0123"),
    "link": (link, "link wl"),
    "port of the bridge": (port_of_bridge, "link leakport"),
    "bridge of a network": (bridge_of_a_network, "link br-leak"),
    "port of a network": (bridge_of_a_network, "link leakport"),
    "macvlan": (macvlan, "link leakvlan"),
    "nft element": (element, "element of m: [80"),
    "cgroup": (cgroup, f"docker-{ID}.scope (empty)"),
    "port": (signalled(signal.SIGUSR2), "tcp port "),
    "descriptor": (signalled(signal.SIGUSR1), "descriptor of the daemon: /dev/null"),
    "file": (file, f"/containers/{ID}"),
}


@pytest.mark.parametrize("kind", LEAKS)
def test_names_a_leak_of_each_kind(kind: str, place: Scope) -> None:
    leak, expected = LEAKS[kind]
    before = Leftovers(place)
    assert before.settle(place) == []
    with leak(place):
        for _ in range(50):
            if any(expected in line for line in before.since(place)):
                break
            signal.sigtimedwait([], 0.1)
        else:
            pytest.fail(f"{expected!r} is not in {json.dumps(before.since(place), indent=1)}")


def test_names_no_empty_cgroup_of_another_daemon(place: Scope) -> None:
    before = Leftovers(place)
    with cgroup(place, "e" * 64):
        assert before.since(place) == []


def test_names_all_that_a_running_container_holds(wherryd: Wherryd, docker: Callable[..., object]) -> None:
    before = Leftovers(scope_of(wherryd))
    docker("run", "-d", "--name", "left", "-p", "127.0.0.1:0:80", "busybox", "sleep", "600")
    try:
        left = "\n".join(before.since(scope_of(wherryd)))
    finally:
        docker("rm", "-f", "left")
    for kind in (
        "process ",
        "mount on ",
        "network namespace ",
        "link ",
        "nft ",
        "cgroup ",
        "tcp port ",
        "file ",
    ):
        assert kind in left
    assert before.settle(scope_of(wherryd)) == []


def test_a_leak_fails_the_test_that_made_it(wherryd: Wherryd) -> None:
    before = Leftovers(scope_of(wherryd))
    stray = wherryd.exec_root / "stray"
    stray.touch()
    try:
        left = before.settle(scope_of(wherryd), grace=0.3)
        assert left == [f"file {stray}"]
    finally:
        stray.unlink()


def test_what_a_client_can_remove_is_gone_for_the_next_test(
    wherryd: Wherryd, docker: Callable[..., object]
) -> None:
    before, others = Leftovers(scope_of(wherryd)), removable(wherryd)
    docker("network", "create", "left")
    docker("volume", "create", "left")
    docker("run", "-d", "--name", "left", "--network", "left", "-v", "left:/v", "busybox", "sleep", "600")
    made = removable(wherryd) - others
    assert {target.split("/")[1] for target in made} == {"containers", "networks", "volumes"}
    remove(wherryd, made)
    assert removable(wherryd) == others
    assert before.settle(scope_of(wherryd)) == []
