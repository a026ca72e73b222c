"""Two daemons side by side, and what a daemon refuses: others' roots, others' sockets, roots that cannot be."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon import PATH, Wherryd
from tests.leftovers import Leftovers, scope_of
from tests.roots import filesystem, make_root
from tests.waiting import eventually, served

pytestmark = pytest.mark.root

SERVE = "while :; do echo {} | nc -l -p 80; done"


@pytest.fixture(scope="module")
def other(busybox_tar: Path) -> Iterator[Wherryd]:
    with Wherryd(make_root()).running(busybox_tar) as daemon:
        yield daemon


def serve(daemon: Wherryd, name: str, port: int) -> None:
    command = ["sh", "-c", SERVE.format(name)]
    daemon.docker("run", "-d", "--name", "web", "-p", f"{port}:80", "busybox", *command)


def test_one_killed_under_load_the_other_loses_nothing(mortal: Wherryd, other: Wherryd) -> None:
    before = Leftovers(scope_of(other))
    serve(mortal, "first", 18091)
    serve(other, "second", 18092)
    count = "n=0; while [ $n -lt 1500 ]; do n=$((n+1)); echo $n; usleep 1000; done"
    other.docker("run", "-d", "--name", "count", "busybox", "sh", "-c", count)
    stopping = threading.Event()
    load = [threading.Thread(target=work, args=(mortal, stopping)) for _ in range(3)]
    for thread in load:
        thread.start()
    time.sleep(1)
    mortal.kill9()
    assert served(18091) == b"first\n"
    assert served(18092) == b"second\n"
    assert other.docker("run", "--rm", "busybox", "echo", "fine").stdout == "fine\n"
    mortal.start()
    stopping.set()
    for thread in load:
        thread.join()
    assert other.docker("wait", "count").stdout == "0\n"
    assert other.docker("logs", "count").stdout == "".join(f"{n}\n" for n in range(1, 1501))
    assert (served(18091), served(18092)) == (b"first\n", b"second\n")
    other.docker("rm", "-f", "web", "count")
    mortal.docker("rm", "-f", "web")
    eventually(lambda: no_load_left(mortal))
    before.check(scope_of(other))


def no_load_left(daemon: Wherryd) -> bool:
    """Remove what is left of the load: some of it removes itself meanwhile."""
    if left := daemon.docker("ps", "-aq", "--filter", "label=load").stdout.split():
        daemon.docker("rm", "-f", *left, check=False)
    return not left


def work(daemon: Wherryd, stopping: threading.Event) -> None:
    while not stopping.is_set():
        daemon.docker("run", "--rm", "-l", "load", "busybox", "true", check=False)


def refusal(*flags: str) -> str:
    """What a daemon says that does not start; it must not."""
    argv = [sys.executable, "-I", "-m", "api", *flags]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, env={"PATH": PATH}, cwd="/")
    assert done.returncode == 1, done
    assert "Traceback" not in done.stderr
    return done.stderr


def flags(root: Path, data_root: Path | None = None, host: Path | None = None) -> list[str]:
    (root / "daemon.json").write_text("{}")
    return [
        *("--data-root", str(data_root or root / "data"), "--exec-root", str(root / "exec")),
        *("--host", f"unix://{host or root / 'docker.sock'}", "--pidfile", str(root / "pid")),
        *("--config-file", str(root / "daemon.json"), "--bridge", "wtrefused"),
    ]


def test_the_data_root_of_a_living_daemon_is_refused(mortal: Wherryd, tmp_path: Path) -> None:
    told = refusal(*flags(tmp_path, data_root=mortal.data_root))
    assert f"the data root {mortal.data_root} is in use by another wherryd" in told
    assert "--data-root" in told
    assert mortal.answers()
    assert not (tmp_path / "docker.sock").exists()
    assert not (tmp_path / "pid").exists()


def test_the_socket_of_a_living_daemon_is_refused_and_stays(mortal: Wherryd, tmp_path: Path) -> None:
    inode = os.stat(mortal.socket).st_ino
    assert "another daemon answers there" in refusal(*flags(tmp_path, host=mortal.socket))
    assert os.stat(mortal.socket).st_ino == inode
    assert mortal.answers()
    assert not (tmp_path / "data").exists(), "it was refused before anything was made"


def test_the_pidfile_of_a_living_daemon_is_refused(mortal: Wherryd, tmp_path: Path) -> None:
    told = refusal(*flags(tmp_path), "--pidfile", str(mortal.pidfile))
    assert f"process {mortal.pid}" in told
    assert mortal.pidfile.read_text() == str(mortal.pid)


def test_a_stale_socket_and_pidfile_are_replaced(mortal: Wherryd) -> None:
    mortal.kill9()
    assert mortal.socket.exists()
    assert mortal.pidfile.exists()
    mortal.start()
    assert mortal.pidfile.read_text() == str(mortal.pid)


def test_a_root_of_somebody_else_is_refused_and_left(mortal: Wherryd, tmp_path: Path) -> None:
    data = make_root()
    try:
        (data / "overlay2").mkdir()
        told = refusal(*flags(tmp_path, data_root=data))
        assert "is not empty" in told
        assert "--data-root" in told
        assert os.listdir(data) == ["overlay2"]
    finally:
        (data / "overlay2").rmdir()
        data.rmdir()


def test_a_root_on_overlayfs_is_refused_with_the_remedy(mortal: Wherryd, tmp_path: Path) -> None:
    base = make_root()
    for name in ("lower", "upper", "work", "merged"):
        (base / name).mkdir()
    options = f"lowerdir={base}/lower,upperdir={base}/upper,workdir={base}/work"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, str(base / "merged")], check=True)
    try:
        assert filesystem(base / "merged") == "overlay"
        told = refusal(*flags(tmp_path, data_root=base / "merged" / "data"))
        assert "is on overlayfs" in told
        assert "ext4" in told
    finally:
        subprocess.run(["umount", str(base / "merged")], check=True)
        subprocess.run(["rm", "-r", str(base)], check=True)
