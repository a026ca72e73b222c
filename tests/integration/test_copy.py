"""Copies from and to containers by the official CLI, docker-py and aiodocker, in every state of a container."""

import io
import os
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiodocker import Docker
from docker import DockerClient, errors

from tests.daemon import Wherryd

pytestmark = pytest.mark.root

WORK = """
mkdir -p /d/sub; echo one > /d/f; ln -s f /d/l; ln -s /d /ld; ln /d/f /d/hard; chmod 4755 /d/f
mknod /d/null c 1 3; mkfifo /d/p; dd if=/dev/zero of=/d/sparse bs=1 count=0 seek=3000000 2>/dev/null
echo mem > /t/x; echo vol > /v/x; chown 5:6 /d/sub; touch /ready
"""
VOLUME = "copied"


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of the host that is bound into the containers."""
    directory = tmp_path_factory.mktemp("bound")
    (directory / "x").write_text("bind\n")
    return directory


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Files to copy into containers."""
    top = tmp_path / "src"
    (top / "below").mkdir(parents=True)
    (top / "a").write_text("hello\n")
    (top / "below/b").write_text("deep\n")
    (top / "link").symlink_to("a")
    os.link(top / "a", top / "again")
    (top / "a").chmod(0o640)
    os.chown(top / "a", 1234, 1235)
    return top


@pytest.fixture
def box(wherryd: Wherryd, host: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """A container in the state that the test asks for (running by default) with all kinds of mounts."""
    state = getattr(request, "param", "running")
    wherryd.docker(
        "create", "--name", "box", "--network", "none", "--tmpfs", "/t", "-v", f"{VOLUME}:/v", "-v", f"{host}:/b",
        "-v", f"{host}:/ro:ro", "busybox", "sh", "-c", WORK + ("exit" if state == "exited" else "sleep 1000"),
    )  # fmt: skip
    if state != "created":
        wherryd.docker("start", "box")
        while (
            state != "exited"
            and wherryd.docker("exec", "box", "test", "-e", "/ready", check=False).returncode
        ):
            time.sleep(0.02)
    if state == "exited":
        wherryd.docker("wait", "box")
    if state == "paused":
        wherryd.docker("pause", "box")
    yield "box"
    wherryd.docker("rm", "-f", "-v", "box")
    wherryd.docker("volume", "rm", VOLUME)


STATES = pytest.mark.parametrize("box", ["created", "running", "paused", "exited"], indirect=True)


def got(wherryd: Wherryd, path: str) -> dict[str, tarfile.TarInfo]:
    """What `docker cp box:PATH -` gives."""
    argv = ["docker", "cp", f"box:{path}", "-"]
    done = subprocess.run(argv, capture_output=True, env=wherryd.client_env, timeout=60)
    assert done.returncode == 0, done.stderr
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        return {each.name: each for each in archive}


def seen(wherryd: Wherryd, path: str, tmp_path: Path) -> bytes:
    """The bytes of a file of the box, by the CLI."""
    wherryd.docker("cp", f"box:{path}", str(tmp_path / "seen"))
    return (tmp_path / "seen").read_bytes()


@STATES
def test_both_ways(wherryd: Wherryd, box: str, source: Path, tmp_path: Path) -> None:
    wherryd.docker("cp", str(source), "box:/new")
    wherryd.docker("cp", "box:/new", str(tmp_path / "back"))
    back = tmp_path / "back"
    assert (back / "a").read_text() == "hello\n"
    assert (back / "below/b").read_text() == "deep\n"
    assert os.readlink(back / "link") == "a"
    assert (back / "a").stat().st_nlink == 2
    assert (back / "a").stat().st_mode & 0o7777 == 0o640


@STATES
def test_through_volumes_and_binds(
    wherryd: Wherryd, box: str, source: Path, host: Path, tmp_path: Path
) -> None:
    for mount in ("/v", "/b"):
        wherryd.docker("cp", str(source / "a"), f"box:{mount}/copied")
        assert seen(wherryd, f"{mount}/copied", tmp_path) == b"hello\n"
    assert (host / "copied").read_text() == "hello\n"
    assert (wherryd.data_root / f"volumes/{VOLUME}/_data/copied").read_text() == "hello\n"
    (host / "copied").unlink()
    refused = wherryd.docker("cp", str(source / "a"), "box:/ro/x", check=False)
    assert "mounted volume is marked read-only" in refused.stderr
    assert (host / "x").read_text() == "bind\n"


def test_a_tmpfs_is_the_container_s_own(wherryd: Wherryd, box: str, source: Path, tmp_path: Path) -> None:
    assert seen(wherryd, "/t/x", tmp_path) == b"mem\n"
    wherryd.docker("cp", str(source / "a"), "box:/t/y")
    assert wherryd.docker("exec", "box", "cat", "/t/y").stdout == "hello\n"


def test_all_kinds_of_files(wherryd: Wherryd, box: str) -> None:
    found = got(wherryd, "/d")
    assert {name: each.type for name, each in found.items()} == {
        "d": tarfile.DIRTYPE, "d/f": tarfile.REGTYPE, "d/hard": tarfile.LNKTYPE, "d/l": tarfile.SYMTYPE,
        "d/null": tarfile.CHRTYPE, "d/p": tarfile.FIFOTYPE, "d/sparse": tarfile.REGTYPE, "d/sub": tarfile.DIRTYPE,
    }  # fmt: skip
    assert found["d/f"].mode == 0o4755
    assert (found["d/sub"].uid, found["d/sub"].gid) == (5, 6)
    assert found["d/sparse"].size == 3_000_000
    assert set(got(wherryd, "/d/.")) == {name.replace("d", ".", 1) for name in found}
    assert got(wherryd, "/ld")["ld"].linkname == "/d"
    assert "ld/f" in got(wherryd, "/ld/")
    assert not [name for name in got(wherryd, "/") if name.startswith(("/proc/", "/sys/", "/dev/null"))]


def test_links_are_followed_where_asked(wherryd: Wherryd, box: str, source: Path, tmp_path: Path) -> None:
    wherryd.docker("cp", "box:/d/l", str(tmp_path / "link"))
    assert os.readlink(tmp_path / "link") == "f"
    wherryd.docker("cp", "-L", "box:/d/l", str(tmp_path / "file"))
    assert (tmp_path / "file").read_text() == "one\n"
    wherryd.docker("cp", str(source / "a"), "box:/ld/copied")
    assert wherryd.docker("exec", "box", "cat", "/d/copied").stdout == "hello\n"


def test_standard_input(wherryd: Wherryd, box: str, source: Path) -> None:
    packed = subprocess.run(["tar", "-C", source, "-czf", "-", "."], capture_output=True, check=True).stdout
    argv = ["docker", "cp", "-", "box:/d/sub"]
    subprocess.run(argv, input=packed, env=wherryd.client_env, check=True, timeout=60)
    assert wherryd.docker("exec", "box", "cat", "/d/sub/below/b").stdout == "deep\n"


def test_whose_files_they_become(wherryd: Wherryd, box: str, source: Path) -> None:
    wherryd.docker("run", "-d", "--name", "as", "--network", "none", "-u", "7:8", "busybox", "sleep", "1000")
    try:
        wherryd.docker("cp", str(source / "a"), "as:/tmp/a")
        wherryd.docker("cp", "-a", str(source / "a"), "as:/tmp/b")
        owners = wherryd.docker("exec", "as", "stat", "-c", "%u:%g %a", "/tmp/a", "/tmp/b").stdout.split("\n")
        assert owners[1] == "7:8 640"
        assert owners[0].endswith(" 640")
    finally:
        wherryd.docker("rm", "-f", "as")


def test_refused(wherryd: Wherryd, box: str, source: Path) -> None:
    for arguments, told in (
        (("box:/nope", "-"), "Could not find the file /nope in container box"),
        (("nobody:/x", "-"), "No such container: nobody"),
        ((str(source / "a"), "box:/nope/x"), "Could not find the file /nope"),
        ((str(source), "box:/d/f"), "cannot copy directory"),
    ):
        failed = wherryd.docker("cp", *arguments, check=False)
        assert failed.returncode == 1
        assert told in failed.stderr, failed.stderr


def test_a_read_only_root(wherryd: Wherryd, source: Path) -> None:
    wherryd.docker("create", "--name", "sealed", "--read-only", "-v", "/open", "busybox", "true")
    try:
        failed = wherryd.docker("cp", str(source / "a"), "sealed:/a", check=False)
        assert "container rootfs is marked read-only" in failed.stderr
        wherryd.docker("cp", str(source / "a"), "sealed:/open/a")
        assert wherryd.docker("cp", "sealed:/open/a", "-").stdout
    finally:
        wherryd.docker("rm", "-v", "sealed")


def test_a_socket_below_a_link(wherryd: Wherryd, source: Path) -> None:
    """/var/run leads to /run by an absolute link: what is mounted below it is laid where the container has it."""
    wherryd.docker("run", "--name", "linked", "--network", "none", "busybox", "ln", "-s", "/run", "/var/run")
    wherryd.docker("commit", "linked", "linked-run")
    wherryd.docker("rm", "linked")
    socket = f"{wherryd.socket}:/var/run/docker.sock"
    wherryd.docker("run", "-d", "--name", "linked", "-v", socket, "linked-run", "sleep", "1000")
    try:
        for _ in range(2):
            wherryd.docker("cp", str(source / "a"), "linked:/run/a")
            assert wherryd.docker("cp", "linked:/var/run/a", "-").stdout
            wherryd.docker("stop", "-t", "0", "linked")
        assert wherryd.socket.is_socket()
    finally:
        wherryd.docker("rm", "-f", "linked")
        wherryd.docker("rmi", "linked-run")


def test_docker_py(docker_py: DockerClient, box: str) -> None:
    container = docker_py.containers.get("box")
    for encoded in (False, True):
        chunks, stat = container.get_archive("/d/f", encode_stream=encoded)
        assert (stat["name"], stat["size"], stat["linkTarget"]) == ("f", 4, "")
        assert stat["mode"] == 0o755 | 1 << 23
        with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
            assert archive.getnames() == ["f"]
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("empty"))
    assert container.put_archive("/d/sub", packed.getvalue())
    assert container.exec_run("ls /d/sub").output == b"empty\n"
    with pytest.raises(errors.NotFound):
        container.get_archive("/nope")


async def test_aiodocker(aio: Docker, box: str) -> None:
    container = await aio.containers.get("box")
    with await container.get_archive("/d/f") as archive:
        assert archive.getnames() == ["f"]
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as made:
        made.addfile(tarfile.TarInfo("by-aio"))
    await container.put_archive("/d/sub", packed.getvalue())
    with await container.get_archive("/d/sub/by-aio") as archive:
        assert archive.getnames() == ["by-aio"]


def test_events(wherryd: Wherryd, box: str, source: Path) -> None:
    since = str(time.time())
    wherryd.docker("cp", str(source / "a"), "box:/a")
    wherryd.docker("cp", "box:/a", "-")
    told = wherryd.docker(
        "events", "--since", since, "--until", str(time.time() + 0.01), "--format", "{{.Action}}"
    )
    assert told.stdout.split() == ["extract-to-dir", "archive-path"]


def test_a_client_that_goes(wherryd: Wherryd, box: str) -> None:
    """Nothing of the copy is left: a process would be named after the test."""
    big = "box:/big"
    wherryd.docker("exec", "box", "dd", "if=/dev/urandom", "of=/big", "bs=1M", "count=40")
    with subprocess.Popen(
        ["docker", "cp", big, "-"], stdout=subprocess.PIPE, env=wherryd.client_env
    ) as client:
        assert client.stdout is not None
        assert client.stdout.read(1 << 16)
        client.kill()
    with subprocess.Popen(
        ["docker", "cp", "-", "box:/"], stdin=subprocess.PIPE, env=wherryd.client_env
    ) as client:
        assert client.stdin is not None
        client.stdin.write(tarfile.TarInfo("half").tobuf()[:300])
        client.stdin.flush()
        time.sleep(0.3)
        client.kill()
    assert wherryd.docker("exec", "box", "echo", "alive").stdout == "alive\n"


def test_a_name_that_is_no_text(wherryd: Wherryd, box: str) -> None:
    wherryd.docker("exec", "box", "sh", "-c", 'printf x > "$(printf "/odd\\377")"')
    found = wherryd.get("/containers/box/archive?path=/odd%ff")
    with tarfile.open(fileobj=io.BytesIO(found.body)) as archive:
        assert archive.getnames() == ["odd\udcff"]
    missing = wherryd.get("/containers/box/archive?path=/odd%fe")
    assert missing.status == 404
    assert missing.json["message"] == "Could not find the file /odd\ufffd in container box"
