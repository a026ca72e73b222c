"""Volumes as users have them: by the official CLI, docker-py and compose's way of asking."""

import concurrent.futures
import json
import os
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.daemon import Wherryd
from tests.integration.images.archives import Made, docker_archive, tar

pytestmark = pytest.mark.root


@pytest.fixture(autouse=True)
def no_volume_left(wherryd: Wherryd) -> Iterator[None]:
    """Each test cleans up but for volumes, which are removed here, with every directory."""
    yield
    wherryd.docker("volume", "prune", "-af")
    assert wherryd.docker("volume", "ls", "-q").stdout == ""
    assert os.listdir(wherryd.data_root / "volumes") == []


@pytest.fixture(scope="module")
def image(wherryd: Wherryd, busybox_tar: Any) -> Iterator[str]:
    """busybox with content at /data, which is a volume of the image."""
    content = tar({"data/hello": b"hello\n", "data/deep/er": b"more\n"})
    said = {"config": {"Volumes": {"/data": {}}, "Cmd": ["sh"]}}
    made = Made(layers=[busybox_tar.read_bytes(), content], tags=["with-volume:1"], said=said)
    wherryd.docker("load", stdin=docker_archive(made))
    yield "with-volume:1"
    wherryd.docker("rmi", "-f", "with-volume:1")


def names(wherryd: Wherryd, *options: str) -> list[str]:
    return wherryd.docker("volume", "ls", "-q", *options).stdout.split()


def mounts(wherryd: Wherryd, container: str) -> dict[str, dict[str, Any]]:
    shown = json.loads(wherryd.docker("inspect", "-f", "{{json .Mounts}}", container).stdout)
    return {mount["Destination"]: mount for mount in shown}


def test_the_cli(wherryd: Wherryd) -> None:
    assert wherryd.docker("volume", "create", "--label", "a=b", "one").stdout == "one\n"
    assert wherryd.docker("volume", "create", "-d", "local", "two").stdout == "two\n"
    unnamed = wherryd.docker("volume", "create").stdout.strip()
    assert re.fullmatch("[0-9a-f]{64}", unnamed)
    assert set(names(wherryd)) == {"one", "two", unnamed}
    assert names(wherryd, "-f", "label=a") == ["one"]
    assert names(wherryd, "-f", "name=tw") == ["two"]
    (shown,) = json.loads(wherryd.docker("volume", "inspect", "one").stdout)
    assert shown["Mountpoint"] == str(wherryd.data_root / "volumes/one/_data")
    assert (shown["Driver"], shown["Scope"], shown["Labels"]) == ("local", "local", {"a": "b"})
    assert unnamed in wherryd.docker("volume", "prune", "-f").stdout
    assert set(names(wherryd)) == {"one", "two"}
    assert wherryd.docker("volume", "rm", "one", "two").stdout == "one\ntwo\n"
    missing = wherryd.docker("volume", "rm", "one", check=False)
    assert "get one: no such volume" in missing.stderr
    wherryd.docker("volume", "rm", "-f", "one")


def test_data_outlives_containers(wherryd: Wherryd) -> None:
    wherryd.docker("run", "--rm", "-v", "kept:/x", "busybox", "sh", "-c", "echo text > /x/file")
    wherryd.restart()
    assert wherryd.docker("run", "--rm", "-v", "kept:/y", "busybox", "cat", "/y/file").stdout == "text\n"
    refused = wherryd.docker("run", "--rm", "-v", "kept:/y:ro", "busybox", "touch", "/y/no", check=False)
    assert "Read-only file system" in refused.stderr


def test_a_volume_in_use_stays(wherryd: Wherryd) -> None:
    cid = wherryd.docker(
        "run", "-d", "--name", "user", "-v", "used:/x", "busybox", "sleep", "1000"
    ).stdout.strip()
    for force in ((), ("-f",)):
        refused = wherryd.docker("volume", "rm", *force, "used", check=False)
        assert f"remove used: volume is in use - [{cid}]" in refused.stderr
    assert wherryd.docker("volume", "prune", "-af").stdout == "Total reclaimed space: 0B\n"
    assert names(wherryd, "-f", "dangling=true") == []
    assert wherryd.docker("ps", "-q", "--no-trunc", "-f", "volume=used").stdout.strip() == cid
    wherryd.docker("rm", "-f", "user")
    assert names(wherryd, "-f", "dangling=true") == ["used"]


def test_a_running_container_keeps_its_volume_over_a_restart(wherryd: Wherryd) -> None:
    wherryd.docker("run", "-d", "--name", "user", "-v", "used:/x", "busybox", "sleep", "1000")
    wherryd.restart()
    assert "volume is in use" in wherryd.docker("volume", "rm", "used", check=False).stderr
    wherryd.docker("exec", "user", "touch", "/x/file")
    wherryd.docker("rm", "-f", "user")


@pytest.mark.parametrize("way", ["--rm", "rm -v", "rm", "prune"])
def test_anonymous_volumes_go_with_their_container(wherryd: Wherryd, image: str, way: str) -> None:
    flags = ["--rm"] if way == "--rm" else []
    asked = ("-v", "/anonymous", "-v", "named:/n", "--mount", "type=volume,dst=/m")
    wherryd.docker("run", *flags, "--name", "cc", *asked, image, "true")
    if way.startswith("rm"):
        wherryd.docker(*way.split(), "cc")
    elif way == "prune":
        wherryd.docker("container", "prune", "-f")
    assert len(names(wherryd)) == (1 if way in ("--rm", "rm -v") else 4)
    assert "named" in names(wherryd)


def test_content_of_the_image_fills_empty_volumes(wherryd: Wherryd, image: str) -> None:
    read = ("cat", "/data/hello", "/data/deep/er")
    for volume in ((), ("-v", "filled:/data"), ("--mount", "type=volume,src=mounted,dst=/data")):
        assert wherryd.docker("run", "--rm", *volume, image, *read).stdout == "hello\nmore\n"
    wherryd.docker("run", "--rm", "-v", "filled:/data", image, "rm", "/data/hello")
    assert wherryd.docker("run", "--rm", "-v", "filled:/data", image, "ls", "/data").stdout == "deep\n"
    for bare in (("-v", "bare:/data:nocopy"), ("--mount", "type=volume,src=bare2,dst=/data,volume-nocopy")):
        assert wherryd.docker("run", "--rm", *bare, image, "ls", "/data").stdout == ""


def test_options_of_a_mount(wherryd: Wherryd) -> None:
    option = "type=volume,src=opts,dst=/o,readonly,volume-label=a=b,volume-label=c,volume-driver=local"
    wherryd.docker("create", "--name", "cc", "--mount", option, "busybox", "touch", "/o/x")
    mount = mounts(wherryd, "cc")["/o"]
    assert (mount["Type"], mount["Name"], mount["Driver"], mount["RW"]) == ("volume", "opts", "local", False)
    (shown,) = json.loads(wherryd.docker("volume", "inspect", "opts").stdout)
    assert shown["Labels"] == {"a": "b", "c": ""}
    assert wherryd.docker("start", "-a", "cc", check=False).returncode == 1
    wherryd.docker("rm", "cc")
    for refused in (
        "type=volume,src=other,dst=/o,volume-opt=type=tmpfs",
        "type=volume,src=other,dst=/o,volume-subpath=../s",
    ):
        done = wherryd.docker("create", "--mount", refused, "busybox", check=False)
        assert done.returncode != 0
        assert names(wherryd) == ["opts"]


def test_volumes_from(wherryd: Wherryd, image: str) -> None:
    wherryd.docker("create", "--name", "donor", "-v", "named:/n", "-v", "/anonymous", image)
    both = ("--volumes-from", "donor")
    wherryd.docker(
        "run", "--rm", *both, image, "sh", "-c", "echo x > /n/f; echo y > /anonymous/f; rm /data/hello"
    )
    only = ("--volumes-from", "donor:ro")
    assert wherryd.docker("run", "--rm", *only, image, "cat", "/n/f", "/anonymous/f").stdout == "x\ny\n"
    assert wherryd.docker("run", "--rm", *only, image, "touch", "/n/g", check=False).returncode == 1
    assert wherryd.docker("run", "--rm", *both, image, "ls", "/data").stdout == "deep\n"
    wherryd.docker("create", "--name", "taker", *only, image)
    wherryd.docker("rm", "-v", "donor")
    assert len(names(wherryd)) == 3, "the taker still uses them"
    wherryd.docker("rm", "-v", "taker")
    assert names(wherryd) == ["named"]


def test_volumes_over_and_in_each_other(wherryd: Wherryd, image: str) -> None:
    asked = ("-v", "inner:/outer/inner", "-v", "outer:/outer")
    wherryd.docker("run", "--rm", *asked, image, "sh", "-c", "touch /outer/o /outer/inner/i")
    assert wherryd.docker("run", "--rm", "-v", "inner:/i", image, "ls", "/i").stdout == "i\n"
    assert wherryd.docker("run", "--rm", "-v", "outer:/o", image, "ls", "/o").stdout == "inner\no\n"


def test_links_in_an_image_lead_nowhere_else(wherryd: Wherryd, busybox_tar: Any) -> None:
    """What is copied is what the container would see there, never the host's."""
    secret = wherryd.root / "secret"
    secret.mkdir()
    (secret / "key").write_text("host")
    up = "../" * 6
    link = f"ln -s {secret} /absolute; mkdir /d; ln -s {up}{secret} /d/up; ln -s /etc/passwd /d/file"
    wherryd.docker("run", "--name", "maker", "busybox", "sh", "-c", link)
    wherryd.docker("commit", "maker", "linked:1")
    for place in ("/absolute", "/d/up"):
        done = wherryd.docker("create", "-v", f"v{place[1]}:{place}", "linked:1", "true", check=False)
        if done.returncode == 0:
            wherryd.docker("rm", done.stdout.strip())
    wherryd.docker("run", "--rm", "-v", "copied:/d", "linked:1", "true")
    for volume in names(wherryd):
        found = os.listdir(wherryd.data_root / "volumes" / volume / "_data")
        assert "key" not in found
    assert os.readlink(wherryd.data_root / "volumes/copied/_data/file") == "/etc/passwd"
    wherryd.docker("rm", "maker")
    wherryd.docker("rmi", "linked:1")


def test_a_container_that_cannot_be_takes_its_volumes_back(wherryd: Wherryd) -> None:
    refused = wherryd.docker(
        "create", "-v", "made:/m", "-v", "/a", "-v", "/bin/busybox", "busybox", check=False
    )
    assert "cannot mount volume over existing file" in refused.stderr
    assert names(wherryd) == []


def test_data_that_is_gone_is_named(wherryd: Wherryd) -> None:
    wherryd.docker("create", "--name", "cc", "-v", "lost:/l", "busybox", "true")
    directory = wherryd.data_root / "volumes/lost/_data"
    os.rmdir(directory)
    failed = wherryd.docker("start", "cc", check=False)
    assert f"the data of volume lost is gone: {directory}" in failed.stderr
    wherryd.docker("rm", "cc")


def test_many_at_once_agree(wherryd: Wherryd, image: str) -> None:
    """Containers that bring, fill, use and give up the same volume: it is filled once, and whole."""

    def one(_: int) -> str:
        done = wherryd.docker(
            "run", "--rm", "-v", "shared:/data", image, "sh", "-c", "cat /data/hello /data/deep/er"
        )
        wherryd.docker("volume", "rm", "shared", check=False)
        return done.stdout

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert set(pool.map(one, range(12))) == {"hello\nmore\n"}


def test_makers_users_and_removers_of_one_name(wherryd: Wherryd) -> None:
    """Whatever their order, nobody loses a volume that it was given, and records and directories agree."""

    def maker(_: int) -> int:
        return wherryd.call("POST", "/volumes/create", {"Name": "fought"}).status

    def remover(_: int) -> int:
        return wherryd.call("DELETE", "/volumes/fought").status

    def user(_: int) -> int:
        body = {"Image": "busybox", "Cmd": ["true"], "HostConfig": {"Binds": ["fought:/f", "/anonymous"]}}
        made = wherryd.call("POST", "/containers/create", body)
        assert made.status == 201, made.body
        assert os.path.isdir(wherryd.data_root / "volumes/fought/_data")
        assert wherryd.get("/volumes/fought").status == 200
        return wherryd.call("DELETE", f"/containers/{made.json['Id']}?v=1").status

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        running = [pool.submit(each, n) for n in range(20) for each in (maker, user, remover)]
        told = {
            each: {one.result() for one in running[start::3]}
            for start, each in enumerate((maker, user, remover))
        }
    assert told[maker] == {201}
    assert told[user] == {204}
    assert told[remover] <= {204, 404, 409}
    assert set(os.listdir(wherryd.data_root / "volumes")) == set(names(wherryd)) <= {"fought"}


def test_docker_py(wherryd: Wherryd, docker_py: Any) -> None:
    volume = docker_py.volumes.create("py", labels={"a": "b"})
    assert volume.attrs["Labels"] == {"a": "b"}
    docker_py.containers.run(
        "busybox", ["touch", "/p/f"], volumes={"py": {"bind": "/p", "mode": "rw"}}, remove=True
    )
    container = docker_py.containers.create("busybox", "true", volumes=["/anonymous"])
    assert [each.name for each in docker_py.volumes.list(filters={"name": "py"})] == ["py"]
    container.remove(v=True)
    (used,) = docker_py.df()["Volumes"]
    assert (used["Name"], used["UsageData"]) == ("py", {"RefCount": 0, "Size": 0})
    assert docker_py.volumes.prune() == {"VolumesDeleted": [], "SpaceReclaimed": 0}
    docker_py.volumes.get("py").remove()
    assert docker_py.volumes.list() == []
