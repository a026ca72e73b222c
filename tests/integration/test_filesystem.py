"""diff, export, commit and save by the official CLI: what comes out, and what stays of a client that goes."""

import io
import json
import os
import socket
import subprocess
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon import Wherryd
from tests.leftovers import Leftovers, scope_of

pytestmark = pytest.mark.root

CHANGE = (
    "echo new > /new; ln /new /hard; mknod /null c 1 3; rm /bin/vi; chmod 711 /root; echo x >> /etc/passwd"
)
CHANGED = ["A /hard", "A /new", "A /null", "C /bin", "C /etc", "C /etc/passwd", "C /root", "D /bin/vi"]


@pytest.fixture
def box(wherryd: Wherryd) -> Iterator[str]:
    """A container that changed files and ended."""
    wherryd.docker("run", "--name", "box", "--network", "none", "busybox", "sh", "-c", CHANGE)
    yield "box"
    wherryd.docker("rm", "-f", "box")


@pytest.fixture
def runner(wherryd: Wherryd) -> Iterator[str]:
    """A container that changed files and runs, with a file of 30 MB and a tmpfs."""
    big = "dd if=/dev/urandom of=/big bs=1M count=30 2>/dev/null; echo secret > /tmpfs/x; touch /ready; sleep 1000"
    wherryd.docker(
        "run", "-d", "--name", "runner", "--network", "none", "--tmpfs", "/tmpfs",
        "busybox", "sh", "-c", f"{CHANGE}; {big}",
    )  # fmt: skip
    deadline = time.monotonic() + 20
    while wherryd.docker("exec", "runner", "test", "-e", "/ready", check=False).returncode:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    yield "runner"
    wherryd.docker("rm", "-f", "runner")


def exported(wherryd: Wherryd, name: str, *, chunk: int = 1 << 20) -> dict[str, tarfile.TarInfo]:
    argv = ["docker", "export", name]
    done = subprocess.run(argv, capture_output=True, env=wherryd.client_env, timeout=60, bufsize=chunk)
    assert done.returncode == 0, done.stderr
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        return {each.name: each for each in archive}


def test_diff(wherryd: Wherryd, box: str) -> None:
    assert sorted(wherryd.docker("diff", box).stdout.splitlines()) == CHANGED


def test_diff_of_a_running_one_shows_no_mounts(wherryd: Wherryd, runner: str) -> None:
    shown = set(wherryd.docker("diff", runner).stdout.splitlines())
    assert shown == {*CHANGED, "A /big", "A /ready", "A /tmpfs"}


def test_nothing_changed(wherryd: Wherryd) -> None:
    wherryd.docker("run", "--name", "idle", "--network", "none", "busybox", "true")
    try:
        assert wherryd.docker("diff", "idle").stdout == ""
        assert wherryd.get("/containers/idle/changes").body == b"null\n"
    finally:
        wherryd.docker("rm", "idle")


@pytest.mark.parametrize("which", ["box", "runner"])
def test_export(wherryd: Wherryd, which: str, request: pytest.FixtureRequest) -> None:
    name = request.getfixturevalue(which)
    found = exported(wherryd, name)
    assert found["hard"].isfile()
    assert found["new"].islnk()
    assert found["new"].linkname == "hard"
    assert found["null"].ischr()
    assert (found["null"].devmajor, found["null"].devminor) == (1, 3)
    assert found["root"].mode == 0o711
    assert "bin/vi" not in found
    assert "bin/busybox" in found
    assert "tmpfs/x" not in found, "mounts are not exported"
    assert not any(name.startswith("proc/") for name in found)
    if which == "runner":
        assert found["big"].size == 30 << 20


def test_capabilities_of_files_are_kept(wherryd: Wherryd) -> None:
    capability = bytes.fromhex("0100000200040000000000000000000000000000")
    wherryd.docker("create", "--name", "capable", "busybox", "true")
    try:
        container = wherryd.get("/containers/capable/json").json["Id"]
        upper = wherryd.data_root / "snapshots" / "active" / container / "fs"
        (upper / "capable").touch()
        os.setxattr(upper / "capable", "security.capability", capability)
        headers = exported(wherryd, "capable")["capable"].pax_headers
        kept = headers["SCHILY.xattr.security.capability"].encode("utf-8", "surrogateescape")
        assert kept == capability
        wherryd.docker("commit", "capable", "capable:1")
        wherryd.docker("rm", "capable")
        wherryd.docker("create", "--name", "capable", "capable:1", "true")
        headers = exported(wherryd, "capable")["capable"].pax_headers
        assert "SCHILY.xattr.security.capability" in headers
    finally:
        wherryd.docker("rm", "-f", "capable")
        wherryd.docker("rmi", "-f", "capable:1", check=False)


def test_an_exported_root_is_imported_alike(wherryd: Wherryd, box: str, tmp_path: Path) -> None:
    wherryd.docker("export", "-o", str(tmp_path / "box.tar"), box)
    wherryd.docker("import", str(tmp_path / "box.tar"), "again:1")
    try:
        done = wherryd.docker("run", "--rm", "--network", "none", "again:1", "cat", "/hard", "/etc/passwd")
        assert done.stdout.startswith("new\n")
        assert done.stdout.endswith("x\n")
    finally:
        wherryd.docker("rmi", "again:1")


@pytest.mark.parametrize("which", ["box", "runner"])
def test_a_client_that_goes_cancels_its_export(
    wherryd: Wherryd, which: str, request: pytest.FixtureRequest
) -> None:
    name = request.getfixturevalue(which)
    before = Leftovers(scope_of(wherryd))
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(wherryd.socket))
        client.sendall(f"GET /containers/{name}/export HTTP/1.1\r\nHost: d\r\n\r\n".encode())
        assert client.recv(100).startswith(b"HTTP/1.1 200")
        # It reads no further: the archive waits, and keeps nobody from the container.
        if which == "box":
            wherryd.docker("start", name)
            wherryd.docker("wait", name)
        else:
            wherryd.docker("exec", name, "true")
    before.check(scope_of(wherryd))


def test_an_export_survives_the_end_of_its_container(wherryd: Wherryd, runner: str) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(30)
        client.connect(str(wherryd.socket))
        client.sendall(
            f"GET /containers/{runner}/export HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n".encode()
        )
        parts = [client.recv(100)]
        wherryd.docker("kill", runner)
        wherryd.docker("wait", runner)
        while part := client.recv(1 << 20):
            parts.append(part)
    assert b"".join(parts).endswith(b"0\r\n\r\n"), "the archive came to its end"


def test_an_export_of_what_is_removed_breaks_off(wherryd: Wherryd) -> None:
    """What is not whole does not look whole."""
    big = "dd if=/dev/urandom of=/big bs=1M count=30 2>/dev/null"
    wherryd.docker("run", "--name", "doomed", "--network", "none", "busybox", "sh", "-c", big)
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(30)
        client.connect(str(wherryd.socket))
        client.sendall(b"GET /containers/doomed/export HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n")
        parts = [client.recv(100)]
        wherryd.docker("rm", "doomed")
        try:
            while part := client.recv(1 << 20):
                parts.append(part)
        except ConnectionError:
            pass
    assert not b"".join(parts).endswith(b"0\r\n\r\n")


def test_commit(wherryd: Wherryd, box: str) -> None:
    done = wherryd.docker("commit", "-a", "me", "-m", "why", "-c", 'CMD ["cat", "/new"]', box, "made:1")
    try:
        image = json.loads(wherryd.docker("inspect", "made:1").stdout)[0]
        base = json.loads(wherryd.docker("inspect", "busybox").stdout)[0]
        assert done.stdout.strip() == image["Id"]
        assert (image["Author"], image["Comment"], image["Parent"]) == ("me", "why", base["Id"])
        assert image["RootFS"]["Layers"][:-1] == base["RootFS"]["Layers"]
        run = wherryd.docker("run", "--rm", "--network", "none", "made:1")
        assert run.stdout == "new\n"
        look = "test ! -e /bin/vi && stat -c '%a' /root && stat -c '%h' /new"
        run = wherryd.docker("run", "--rm", "--network", "none", "made:1", "sh", "-c", look)
        assert run.stdout.split() == ["711", "2"]
        wherryd.docker("create", "--name", "second", "made:1")
        assert wherryd.docker("diff", "second").stdout == ""
        assert "etc/hosts" not in exported(wherryd, "second"), "mount points are no files of the image's"
    finally:
        wherryd.docker("rm", "-f", "second", check=False)
        wherryd.docker("rmi", "made:1")


@pytest.mark.parametrize("pause", ["true", "false"])
def test_commit_of_a_running_one(wherryd: Wherryd, runner: str, pause: str) -> None:
    """Paused or not, it goes on afterwards."""
    wherryd.docker("commit", f"--pause={pause}", runner, "made:2")
    try:
        assert wherryd.docker("inspect", "-f", "{{.State.Status}}", runner).stdout == "running\n"
        size = wherryd.docker("run", "--rm", "--network", "none", "made:2", "stat", "-c", "%s", "/big").stdout
        assert size == f"{30 << 20}\n"
    finally:
        wherryd.docker("rmi", "made:2")


def test_what_was_paused_stays_paused(wherryd: Wherryd, runner: str) -> None:
    wherryd.docker("pause", runner)
    wherryd.docker("commit", runner, "made:3")
    assert wherryd.docker("inspect", "-f", "{{.State.Status}}", runner).stdout == "paused\n"
    wherryd.docker("unpause", runner)
    wherryd.docker("rmi", "made:3")


def test_a_removal_meanwhile_makes_no_image(wherryd: Wherryd) -> None:
    """Either the commit is done before the removal, or it is refused; never an image of half the files."""
    big = "for n in $(seq 400); do dd if=/dev/urandom of=/f$n bs=64k count=1 2>/dev/null; done"
    wherryd.docker("run", "--name", "half", "--network", "none", "busybox", "sh", "-c", big)
    done: list[subprocess.CompletedProcess[str]] = []
    commit = threading.Thread(
        target=lambda: done.append(wherryd.docker("commit", "half", "half:1", check=False))
    )
    commit.start()
    time.sleep(0.15)
    wherryd.docker("rm", "-f", "half")
    commit.join(60)
    if done[0].returncode == 0:
        found = wherryd.docker("run", "--rm", "--network", "none", "half:1", "sh", "-c", "ls /f* | wc -l")
        assert found.stdout == "400\n"
        wherryd.docker("rmi", "half:1")
    else:
        assert (
            "No such" in done[0].stderr or "being removed" in done[0].stderr or "not found" in done[0].stderr
        )
        assert wherryd.docker("images", "-q", "half").stdout == ""


def test_save_and_load(wherryd: Wherryd, box: str, tmp_path: Path) -> None:
    wherryd.docker("commit", box, "made:1")
    wherryd.docker("tag", "made:1", "made:2")
    image_id = wherryd.docker("inspect", "-f", "{{.Id}}", "made:1").stdout
    wherryd.docker("save", "-o", str(tmp_path / "made.tar"), "made", "busybox:latest")
    wherryd.docker("rmi", "made:1", "made:2")
    loaded = wherryd.docker("load", "-i", str(tmp_path / "made.tar")).stdout.splitlines()
    assert sorted(loaded) == [f"Loaded image: {name}" for name in ("busybox:latest", "made:1", "made:2")]
    assert wherryd.docker("inspect", "-f", "{{.Id}}", "made:2").stdout == image_id
    wherryd.docker("rmi", "made:1", "made:2")


def test_log_details(wherryd: Wherryd) -> None:
    options = ["--log-opt", "labels=team", "--log-opt", "env=STAGE", "--log-opt", "tag={{.Name}}"]
    wherryd.docker(
        "run", "--name", "told", "--network", "none", "--label", "team=a b", "-e", "STAGE=x", *options,
        "busybox", "echo", "hi",
    )  # fmt: skip
    assert wherryd.docker("logs", "--details", "told").stdout == "STAGE=x,tag=told,team=a+b hi\n"
    assert wherryd.docker("logs", "told").stdout == "hi\n"
    wherryd.docker("rm", "told")
