"""Volumes of the local driver that options mount, parts of volumes and images in containers, by the official CLI."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.daemon import Wherryd

pytestmark = pytest.mark.root

TMPFS = ("-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=size=1m,uid=1000,noexec")


@pytest.fixture(autouse=True)
def nothing_left(wherryd: Wherryd) -> Iterator[None]:
    """No container, no volume, nothing mounted for either, and no note of it."""
    yield
    for container in wherryd.docker("ps", "-aq").stdout.split():
        wherryd.docker("rm", "-fv", container)
    for volume in wherryd.docker("volume", "ls", "-q").stdout.split():
        wherryd.docker("volume", "rm", volume)
    assert mounted(wherryd) == notes(wherryd) == []
    assert os.listdir(wherryd.data_root / "volumes") == []


def mounted(wherryd: Wherryd) -> list[str]:
    """What is mounted in volumes, or beside containers."""
    places = (f"{wherryd.data_root}/volumes/", f"{wherryd.exec_root}/bound/")
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [target for target in (line.split(" ")[4] for line in lines) if target.startswith(places)]


def notes(wherryd: Wherryd) -> list[str]:
    """Uses that are noted, and directories of what is bound."""
    folders = (wherryd.exec_root / "volumes", wherryd.exec_root / "bound")
    return [each.name for folder in folders if folder.exists() for each in folder.iterdir()]


def test_a_tmpfs_lives_from_the_first_use_to_the_last(wherryd: Wherryd) -> None:
    wherryd.docker("volume", "create", *TMPFS, "tm")
    assert mounted(wherryd) == []
    wherryd.docker(
        "run", "-d", "--name", "one", "-v", "tm:/t", "busybox", "sh", "-c", "echo x >/t/f; sleep 1000"
    )
    look = "until [ -s /t/f ]; do sleep 0.05; done; mount | grep ' /t '; cat /t/f; stat -c %u /t"
    shown = wherryd.docker("run", "--rm", "-v", "tm:/t:ro", "busybox", "sh", "-c", look).stdout
    assert "noexec" in shown
    assert "size=1024k" in shown
    assert shown.endswith("\nx\n1000\n")
    assert len(mounted(wherryd)) == 1
    wherryd.docker("stop", "-t0", "one")
    assert mounted(wherryd) == []
    assert wherryd.docker("run", "--rm", "-v", "tm:/t", "busybox", "ls", "/t").stdout == ""


def test_it_outlives_the_daemon_as_long_as_it_is_used(wherryd: Wherryd) -> None:
    wherryd.docker("volume", "create", *TMPFS, "tm")
    wherryd.docker(
        "run", "-d", "--name", "one", "-v", "tm:/t", "busybox", "sh", "-c", "echo x >/t/f; sleep 1000"
    )
    wherryd.docker("exec", "one", "sh", "-c", "until [ -s /t/f ]; do sleep 0.05; done")
    wherryd.restart()
    assert wherryd.docker("run", "--rm", "-v", "tm:/t", "busybox", "cat", "/t/f").stdout == "x\n"
    assert wherryd.docker("exec", "one", "cat", "/t/f").stdout == "x\n"
    wherryd.docker("rm", "-f", "one")
    assert mounted(wherryd) == []


def test_a_bind_of_the_host(wherryd: Wherryd, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("of the host\n")
    wherryd.docker("volume", "create", "-o", "type=none", "-o", f"device={tmp_path}", "-o", "o=bind,ro", "vb")
    run = ("run", "--rm", "-v", "vb:/b", "busybox")
    assert wherryd.docker(*run, "cat", "/b/file").stdout == "of the host\n"
    assert "Read-only" in wherryd.docker(*run, "touch", "/b/new", check=False).stderr
    wherryd.docker("volume", "prune", "-af")
    assert wherryd.docker("volume", "ls", "-q").stdout == "vb\n", (
        "what has options is not pruned, as in Docker"
    )
    wherryd.docker("volume", "rm", "vb")
    assert (tmp_path / "file").exists()


def test_copy_up_into_what_is_mounted(wherryd: Wherryd, tmp_path: Path) -> None:
    wherryd.docker("volume", "create", "-o", "type=none", "-o", f"device={tmp_path}", "-o", "o=bind", "vb")
    wherryd.docker("create", "--name", "one", "-v", "vb:/bin", "busybox", "true")
    assert (tmp_path / "busybox").exists()
    assert mounted(wherryd) == []


def test_what_cannot_be_mounted_is_told(wherryd: Wherryd) -> None:
    secret = "g3h3im"
    options = ("-o", "type=cifs", "-o", "device=//127.0.0.1/x", "-o", f"o=username=u,password={secret}")
    wherryd.docker("volume", "create", *options, "vc")
    failed = wherryd.docker("run", "--rm", "-v", "vc:/c", "busybox", "true", check=False)
    assert "failed to mount local volume: mount //127.0.0.1/x:" in failed.stderr
    assert "password=********" in failed.stderr
    assert secret not in failed.stderr + wherryd.log.read_text()
    gone = wherryd.docker("volume", "create", "-o", "type=none", "-o", "device=/nope", "-o", "o=bind", "vn")
    assert gone.returncode == 0
    failed = wherryd.docker("run", "--rm", "-v", "vn:/n", "busybox", "true", check=False)
    assert "flags: 0x1000: no such file or directory" in failed.stderr


def test_sizes_of_what_is_not_on_this_disk(wherryd: Wherryd) -> None:
    wherryd.docker("volume", "create", *TMPFS, "tm")
    wherryd.docker("create", "-v", "tm:/t", "busybox")
    usage = wherryd.get("/v1.45/system/df?type=volume").json["Volumes"]
    assert [(each["Name"], each["UsageData"]) for each in usage] == [("tm", {"RefCount": 1, "Size": -1})]
    assert "-1B" in wherryd.docker("system", "df", "-v").stdout


@pytest.fixture
def parted(wherryd: Wherryd) -> str:
    """A volume with parts, and links that lead out of it."""
    make = "mkdir -p /x/d/e; echo hi >/x/d/f; ln -s /etc /x/abs; ln -s d /x/rel; ln -s ../.. /x/up"
    wherryd.docker("run", "--rm", "-v", "parts:/x", "busybox", "sh", "-c", make)
    return "parts"


def with_part(wherryd: Wherryd, volume: str, part: str, *command: str) -> subprocess.CompletedProcess[str]:
    mount = f"type=volume,src={volume},dst=/m,volume-subpath={part}"
    return wherryd.docker("run", "--rm", "--mount", mount, "busybox", *command, check=False)


def test_parts_of_a_volume(wherryd: Wherryd, parted: str) -> None:
    assert with_part(wherryd, parted, "d", "ls", "/m").stdout == "e\nf\n"
    assert with_part(wherryd, parted, "rel/f", "cat", "/m").stdout == "hi\n"
    with_part(wherryd, parted, "d/e", "touch", "/m/new")
    assert (wherryd.data_root / "volumes/parts/_data/d/e/new").exists()
    base = wherryd.data_root / "volumes/parts/_data"
    for part in ("abs", "up", "up/etc"):
        told = with_part(wherryd, parted, part, "ls", "/m").stderr
        assert f"path concatenation escapes the base directory, base: {base}, subpath: {part}" in told
    assert (
        f"cannot access path {base}/nope: lstat {base}/nope: no such"
        in with_part(wherryd, parted, "nope", "ls").stderr
    )
    assert "must be a relative path" in with_part(wherryd, parted, "..", "ls").stderr


def test_a_part_stays_what_it_was(wherryd: Wherryd, parted: str) -> None:
    """Who moves things in the volume afterwards moves nothing in the container."""
    mount = f"type=volume,src={parted},dst=/m,volume-subpath=rel"
    wherryd.docker("run", "-d", "--name", "one", "--mount", mount, "busybox", "sleep", "1000")
    data = wherryd.data_root / "volumes/parts/_data"
    (data / "rel").unlink()
    (data / "rel").symlink_to("/etc")
    assert wherryd.docker("exec", "one", "ls", "/m").stdout == "e\nf\n"
    wherryd.docker("rm", "-f", "one")
    assert (data / "d/f").exists()


def create(wherryd: Wherryd, name: str, *mounts: dict[str, Any], cmd: tuple[str, ...] = ("true",)) -> Any:
    body = {"Image": "busybox", "Cmd": cmd, "HostConfig": {"Mounts": mounts, "NetworkMode": "none"}}
    return wherryd.call("POST", f"/v1.48/containers/create?name={name}", body)


def test_an_image_in_a_container(wherryd: Wherryd) -> None:
    """moby/daemon/volumes.go: read-only, named by its reference; dockerd 26 has no such mounts."""
    look = "cat /img/etc/passwd | wc -l; ls /part | grep -c .; touch /img/x; touch /part/x"
    image = {"Type": "image", "Source": "busybox", "Target": "/img"}
    part = {**image, "Target": "/part", "ImageOptions": {"Subpath": "bin"}}
    assert create(wherryd, "im", image, part, cmd=("sh", "-c", look)).status == 201
    done = wherryd.docker("start", "-a", "im", check=False)
    assert int(done.stdout.splitlines()[1]) > 100
    assert done.stderr.count("Read-only file system") == 2
    (shown, _) = json.loads(wherryd.docker("inspect", "-f", "{{json .Mounts}}", "im").stdout)
    place = str(wherryd.exec_root / "bound" / wherryd.docker("inspect", "-f", "{{.Id}}", "im").stdout.strip())
    assert (shown["Type"], shown["Name"], shown["Source"], shown["Destination"], shown["RW"]) == (
        *("image", "busybox", f"{place}/image-0", "/img", False),
    )
    assert mounted(wherryd) == []


def test_an_image_that_is_mounted_is_in_use(wherryd: Wherryd) -> None:
    wherryd.docker("tag", "busybox", "other:1")
    root = wherryd.docker("run", "--name", "base", "busybox", "touch", "/mark").stdout
    assert root == ""
    wherryd.docker("commit", "base", "marked:1")
    wherryd.docker("rmi", "other:1")
    assert create(wherryd, "im", {"Type": "image", "Source": "marked:1", "Target": "/img"}).status == 201
    assert "is using its referenced image" in wherryd.docker("rmi", "marked:1", check=False).stderr
    wherryd.docker("image", "prune", "-af")
    wherryd.docker("rmi", "-f", "marked:1")
    wherryd.restart()
    wherryd.docker("start", "-a", "im")
    wherryd.docker("rm", "im", "base")


def test_images_are_not_pulled_for_it(wherryd: Wherryd) -> None:
    refused = create(wherryd, "im", {"Type": "image", "Source": "nowhere", "Target": "/img"})
    assert (refused.status, refused.json) == (404, {"message": "No such image: nowhere:latest"})
    outside = {"Type": "image", "Source": "busybox", "Target": "/i", "ImageOptions": {"Subpath": "../x"}}
    assert (
        create(wherryd, "im", outside).json["message"].endswith("must be a relative path within the volume")
    )
    missing = {"Type": "image", "Source": "busybox", "Target": "/i", "ImageOptions": {"Subpath": "nope"}}
    assert create(wherryd, "im", missing).status == 201
    assert wherryd.call("POST", "/v1.48/containers/im/start").status == 404
    assert mounted(wherryd) == []


def test_docker_py_makes_volumes_with_options(wherryd: Wherryd, docker_py: Any) -> None:
    options = {"type": "tmpfs", "device": "tmpfs", "o": "size=2m"}
    volume = docker_py.volumes.create("py", driver="local", driver_opts=options)
    assert volume.attrs["Options"] == options
    told = docker_py.containers.run("busybox", "df /t", volumes={"py": {"bind": "/t"}}, remove=True)
    assert b" 2048 " in told
    volume.remove()


COMPOSE = """
services:
  one:
    image: busybox
    network_mode: none
    command: sh -c 'echo told >/t/file; sleep 1000'
    init: true
    volumes: ["scratch:/t"]
volumes:
  scratch:
    driver_opts: {type: tmpfs, device: tmpfs, o: "size=3m"}
"""


@pytest.mark.skipif(shutil.which("docker-compose") is None, reason="needs docker compose")
def test_compose_makes_volumes_with_options(wherryd: Wherryd, tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(COMPOSE)
    env = {**os.environ, "DOCKER_HOST": f"unix://{wherryd.socket}"}
    compose = ["docker-compose", "-p", "opts", "-f", str(tmp_path / "compose.yaml")]
    subprocess.run([*compose, "up", "-d"], env=env, check=True, capture_output=True)
    shown = wherryd.docker("exec", "opts-one-1", "df", "/t").stdout
    assert " 3072 " in shown
    subprocess.run([*compose, "down", "-v", "-t0"], env=env, check=True, capture_output=True)
    assert wherryd.docker("volume", "ls", "-q").stdout == ""
