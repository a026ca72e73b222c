"""`docker push` with the official CLI, docker-py, aiodocker and skopeo, into Debian's registry."""

import asyncio
import gzip
import json
import os
import random
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiodocker
import docker as docker_package
import pytest

from tests.daemon import Wherryd
from tests.integration.images.archives import Made, docker_archive, tar
from tests.integration.registry.servers import Harm, Proxy, serve
from tests.integration.registry.taking import Taking
from tests.registries import PASSWORD, USER, Certificates, DebianRegistry, digest_of

pytestmark = pytest.mark.root

LAYERS = [tar({"etc/what": b"pushed\n"}), tar({"large": random.Random(5).randbytes(3 << 20)})]
TAGGED = {"config": {"Cmd": ["sh"], "Labels": {"pushed": "yes"}}}


@pytest.fixture(autouse=True)
def no_leftovers(nothing_left_by_module: None) -> None:
    """Not after each test."""


@pytest.fixture(autouse=True)
def no_images_left(wherryd: Wherryd) -> Iterator[None]:
    """After the test there is nothing of its images on the disk."""
    before = blobs(wherryd)
    yield
    ids = wherryd.docker("images", "-aq", "--no-trunc", "--filter", "label=pushed").stdout.split()
    if ids:
        wherryd.docker("rmi", "-f", *sorted(set(ids)))
    assert blobs(wherryd) == before


def blobs(wherryd: Wherryd) -> set[str]:
    """What the content store has, also unfinished."""
    return {str(path) for path in (wherryd.data_root / "content").rglob("*") if path.is_file()}


@pytest.fixture
def name(plain: DebianRegistry) -> str:
    """A repository that nobody has pushed to."""
    return f"{plain.netloc}/push/it{random.getrandbits(40):x}"


@pytest.fixture
def loaded(wherryd: Wherryd, name: str) -> str:
    """An image of two layers that was loaded without compression, as <name>:1 and :2; its id."""
    made = Made(LAYERS, [f"{name}:1", f"{name}:2"], TAGGED)
    wherryd.docker("load", "-q", stdin=docker_archive(made))
    return made.id


def raw(name: str) -> bytes:
    """What a name means in its registry, by skopeo's word."""
    argv = ["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{name}"]
    return subprocess.run(argv, check=True, capture_output=True, timeout=60).stdout


def inspected(wherryd: Wherryd, name: str) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(wherryd.docker("inspect", name).stdout)[0]
    return record


def test_push_and_pull(wherryd: Wherryd, name: str, loaded: str) -> None:
    said = wherryd.docker("push", f"{name}:1").stdout.splitlines()
    assert said[0] == f"The push refers to repository [{name}]"
    assert sorted(line.partition(": ")[2] for line in said[1:-1] if "Pushing" not in line) == [
        *["Preparing"] * 2,
        *["Pushed"] * 2,
    ]
    digest = digest_of(raw(f"{name}:1"))
    assert said[-1].startswith(f"1: digest: {digest} size: ")
    assert inspected(wherryd, loaded)["RepoDigests"] == [f"{name}@{digest}"]
    again = wherryd.docker("push", f"{name}:1").stdout
    assert again.count(": Layer already exists") == 2
    wherryd.docker("rmi", "-f", loaded)
    wherryd.docker("pull", f"{name}@{digest}")
    assert inspected(wherryd, f"{name}@{digest}")["Id"] == loaded


def test_layers_are_compressed(wherryd: Wherryd, name: str, loaded: str) -> None:
    """What came as plain archives goes as gzip, of always the same bytes, and is kept so."""
    wherryd.docker("push", f"{name}:1")
    layers = json.loads(raw(f"{name}:1"))["layers"]
    assert {each["mediaType"] for each in layers} == {"application/vnd.oci.image.layer.v1.tar+gzip"}
    wherryd.docker("rmi", "-f", loaded)
    other = Made(LAYERS, [f"{name}:3"], TAGGED)
    wherryd.docker("load", "-q", stdin=docker_archive(other))
    wherryd.docker("push", f"{name}:3")
    assert raw(f"{name}:3") == raw(f"{name}:1")


@pytest.mark.parametrize("media", ["docker", "oci"])
def test_a_pulled_image_keeps_its_digests(
    wherryd: Wherryd, plain: DebianRegistry, name: str, media: str
) -> None:
    """In another repository of the same registry its blobs are mounted, and not a byte of them is sent."""
    media_type = {
        "docker": "application/vnd.docker.distribution.manifest.v2+json",
        "oci": "application/vnd.oci.image.manifest.v1+json",
    }[media]
    zipped = [gzip.compress(layer, 9, mtime=1) for layer in LAYERS]
    source = name.partition("/")[2] + "/source"
    rootfs = {"type": "layers", "diff_ids": [digest_of(layer) for layer in LAYERS]}
    manifest, digest = plain.put_image(source, "1", zipped, media_type=media_type, rootfs=rootfs, **TAGGED)
    wherryd.docker("pull", f"{name}/source:1")
    wherryd.docker("tag", f"{name}/source:1", f"{name}:moved")
    said = wherryd.docker("push", f"{name}:moved").stdout
    assert said.count(f": Mounted from {source}") == 2
    assert f"moved: digest: {digest} size: {len(manifest)}" in said
    assert raw(f"{name}:moved") == manifest


def test_skopeo_copies_it(wherryd: Wherryd, name: str, loaded: str, tmp_path: Path) -> None:
    wherryd.docker("push", f"{name}:1")
    argv = ["skopeo", "--insecure-policy", "copy", "--src-tls-verify=false", f"docker://{name}:1"]
    subprocess.run([*argv, f"oci:{tmp_path / 'layout'}:1"], check=True, capture_output=True, timeout=60)
    index = json.loads((tmp_path / "layout/index.json").read_text())
    assert index["manifests"][0]["digest"] == digest_of(raw(f"{name}:1"))
    assert (tmp_path / "layout/blobs/sha256" / loaded.removeprefix("sha256:")).exists()


def test_all_tags(wherryd: Wherryd, name: str, loaded: str) -> None:
    said = wherryd.docker("push", "-a", name).stdout
    assert [line for line in said.splitlines() if "digest: " in line] == [
        f"{tag}: digest: {digest_of(raw(f'{name}:1'))} size: {len(raw(f'{name}:1'))}" for tag in "12"
    ]
    assert said.count(": Layer already exists") == 2


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("nobody/has:1", "An image does not exist locally with the tag: nobody/has"),
        ("{}:9", "tag does not exist: {}:9"),
        ("{}@sha256:" + "a" * 64, "cannot push a digest reference"),
        ("UPPER", "repository name (library/UPPER) must be lowercase"),
    ],
)
def test_what_cannot_be_pushed(wherryd: Wherryd, name: str, loaded: str, what: str, text: str) -> None:
    done = wherryd.docker("push", what.format(name), check=False)
    assert done.returncode == 1
    assert text.format(name) in done.stderr


def test_platform(wherryd: Wherryd, name: str, loaded: str) -> None:
    """As a parameter since 1.46: the official CLI at hand has no flag for it."""
    last = []
    for architecture in ("amd64", "arm64"):
        platform = quote(json.dumps({"os": "linux", "architecture": architecture}))
        answer = wherryd.call("POST", f"/v1.46/images/{name}/push?tag=1&platform={platform}")
        last.append(json.loads(answer.body.splitlines()[-1]))
    assert last[0]["aux"]["Tag"] == "1"
    assert "was found but its platform (linux/amd64) does not match" in last[1]["message"]


def test_the_event(wherryd: Wherryd, name: str, loaded: str) -> None:
    wherryd.docker("push", f"{name}:1")
    until = str(time.time() + 0.1)
    told = wherryd.docker(
        *("events", "--since", "1m", "--until", until, "--filter", "event=push", "--format", "{{json .}}")
    )
    last = json.loads(told.stdout.splitlines()[-1])
    assert last["Actor"] == {"ID": f"{name}:1", "Attributes": {"name": name, "pushed": "yes"}}


def test_with_credentials(wherryd: Wherryd, session_root: Path, loaded: str) -> None:
    registry = DebianRegistry(session_root / "registry-push-htpasswd", htpasswd=True)
    registry.start()
    try:
        target = f"{registry.netloc}/in/side:1"
        wherryd.docker("tag", loaded, target)
        refused = wherryd.docker("push", target, check=False)
        assert refused.stderr.strip() == "no basic auth credentials"
        wherryd.docker("login", "-u", USER, "--password-stdin", registry.netloc, stdin=PASSWORD.encode())
        assert "1: digest: " in wherryd.docker("push", target).stdout
        wherryd.docker("logout", registry.netloc)
        assert PASSWORD not in wherryd.log.read_text()
    finally:
        registry.stop()


def test_by_tls(
    start_daemon: Callable[..., Wherryd],
    make_registry: Callable[..., DebianRegistry],
    certificates: Certificates,
) -> None:
    """The authority of certs.d vouches for the registry; without it nothing is sent."""
    daemon = start_daemon()
    registry = make_registry(certificates=certificates)
    target = f"localhost:{registry.port}/by/tls:1"
    directory = Path("/etc/docker/certs.d") / f"localhost:{registry.port}"
    daemon.docker("tag", "busybox", target)
    directory.mkdir(parents=True)
    try:
        (directory / "ca.crt").write_bytes(certificates.authority.read_bytes())
        assert "1: digest: " in daemon.docker("push", target).stdout
    finally:
        (directory / "ca.crt").unlink()
        directory.rmdir()


async def test_two_at_once_send_each_blob_once(
    wherryd: Wherryd, plain: DebianRegistry, name: str, loaded: str
) -> None:
    repository = name.partition("/")[2]
    proxy = Proxy(f"http://{plain.netloc}", [Harm("/blobs/uploads/", pause=0.001)])
    async with serve(proxy) as netloc:
        target = f"{netloc}/{repository}"
        for tag in "12":
            await asyncio.to_thread(wherryd.docker, "tag", loaded, f"{target}:{tag}")
        pushes = [asyncio.to_thread(wherryd.docker, "push", f"{target}:{tag}") for tag in "12"]
        for done in await asyncio.gather(*pushes):
            assert "digest: " in done.stdout
    whole = [one for one in proxy.seen if one.method == "PUT" and "/blobs/" in one.path]
    assert len(whole) == 3, "two layers and the config"


async def test_one_after_the_other(start_daemon: Callable[..., Wherryd], plain: DebianRegistry) -> None:
    daemon = await asyncio.to_thread(start_daemon, "--max-concurrent-uploads=1")
    taking = Taking()
    async with serve(taking) as netloc:
        made = Made(LAYERS, [f"{netloc}/a/b:1"], TAGGED)
        await asyncio.to_thread(daemon.docker, "load", "-q", stdin=docker_archive(made))
        done = await asyncio.to_thread(daemon.docker, "push", f"{netloc}/a/b:1")
    assert ": Waiting" in done.stdout
    uploads = [one for one in taking.methods if one in ("POST", "PUT")]
    assert uploads == ["POST", "PUT"] * 3


async def test_a_broken_connection_costs_nothing(wherryd: Wherryd, loaded: str) -> None:
    taking = Taking(cut=1, cuts=5)
    async with serve(taking) as netloc:
        target = f"{netloc}/a/b:1"
        await asyncio.to_thread(wherryd.docker, "tag", loaded, target)
        done = await asyncio.to_thread(wherryd.docker, "push", target)
    assert "1: digest: " in done.stdout
    assert taking.cuts == 0
    assert taking.received <= 1.05 * sum(len(blob) for blob in taking.blobs.values())
    assert digest_of(taking.manifests["1"]) in done.stdout


async def test_a_manifest_is_tried_again(
    wherryd: Wherryd, plain: DebianRegistry, name: str, loaded: str
) -> None:
    proxy = Proxy(f"http://{plain.netloc}", [Harm("/manifests/", times=1, reset=True)])
    async with serve(proxy) as netloc:
        target = f"{netloc}/{name.partition('/')[2]}:1"
        await asyncio.to_thread(wherryd.docker, "tag", loaded, target)
        done = await asyncio.to_thread(wherryd.docker, "push", target)
    assert "1: digest: " in done.stdout


async def test_a_client_that_is_gone_ends_its_push(wherryd: Wherryd, loaded: str) -> None:
    taking = _Slow()
    async with serve(taking) as netloc:
        target = f"{netloc}/a/b:1"
        await asyncio.to_thread(wherryd.docker, "tag", loaded, target)
        client = await asyncio.to_thread(subprocess.Popen, ["docker", "push", target], env=wherryd.client_env)
        async with asyncio.timeout(20):
            await taking.begun.wait()
            client.kill()
            await asyncio.to_thread(client.wait)
            await taking.ended.wait()
    await asyncio.to_thread(wherryd.docker, "rmi", target)


async def test_a_daemon_that_ends_fails_its_pushes(start_daemon: Callable[..., Wherryd]) -> None:
    daemon = await asyncio.to_thread(start_daemon, image=False)
    taking = _Slow()
    async with serve(taking) as netloc:
        made = Made(LAYERS, [f"{netloc}/a/b:1"], TAGGED)
        await asyncio.to_thread(daemon.docker, "load", "-q", stdin=docker_archive(made))
        async with asyncio.TaskGroup() as group:
            pushing = asyncio.to_thread(daemon.docker, "push", f"{netloc}/a/b:1", check=False)
            client = group.create_task(pushing)
            async with asyncio.timeout(20):
                await taking.begun.wait()
                await asyncio.to_thread(daemon.terminate)
        assert client.result().returncode == 1
        assert "the daemon is shutting down: the push was given up" in client.result().stderr
        await asyncio.to_thread(daemon.start)
        assert not list((daemon.data_root / "content/ingests").iterdir())


class _Slow(Taking):
    """Does not come to the end of a large body."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.ended = asyncio.Event(), asyncio.Event()

    async def _take(self, request: Any, upload: bytearray) -> bool:
        if int(request.headers["Content-Length"]) < 1 << 20:
            return await super()._take(request, upload)
        try:
            async for chunk in request.content.iter_any():
                upload += chunk
                self.begun.set()
                await asyncio.sleep(1)
        finally:
            self.ended.set()
        return True


async def test_an_image_that_is_removed_meanwhile(wherryd: Wherryd, loaded: str) -> None:
    """The push comes to its end, and the image does not come back."""
    taking = _Held()
    async with serve(taking) as netloc:
        target = f"{netloc}/a/b:1"
        await asyncio.to_thread(wherryd.docker, "tag", loaded, target)
        async with asyncio.TaskGroup() as group:
            pushing = group.create_task(asyncio.to_thread(wherryd.docker, "push", target))
            async with asyncio.timeout(20):
                await taking.begun.wait()
            await asyncio.to_thread(wherryd.docker, "rmi", "-f", loaded)
            taking.going_on.set()
        assert digest_of(taking.manifests["1"]) in pushing.result().stdout
    assert wherryd.get(f"/images/{loaded}/json").status == 404


class _Held(Taking):
    """Waits with all bodies."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.going_on = asyncio.Event(), asyncio.Event()

    async def _take(self, request: Any, upload: bytearray) -> bool:
        self.begun.set()
        await self.going_on.wait()
        return await super()._take(request, upload)


def test_an_image_that_is_used_while_it_is_compressed(wherryd: Wherryd, name: str, loaded: str) -> None:
    """A layer comes as slowly as it can, from a fifo: what is asked of the image meanwhile does not wait for it."""
    blob = wherryd.data_root / "content/blobs/sha256" / digest_of(LAYERS[1]).removeprefix("sha256:")
    blob.unlink()
    os.mkfifo(blob)
    argv = ["docker", "push", "-q", f"{name}:1"]
    with subprocess.Popen(argv, env=wherryd.client_env, stdout=subprocess.PIPE) as pushing:
        with blob.open("wb") as layer:  # it is being read
            wherryd.docker("tag", f"{name}:1", f"{name}:3", timeout=20)
            wherryd.docker("rm", wherryd.docker("create", loaded, "x", timeout=20).stdout.strip())
            layer.write(LAYERS[1])
        assert pushing.wait(60) == 0
    assert wherryd.docker("image", "inspect", "-f", "{{len .RepoTags}}", loaded).stdout == "3\n"
    wherryd.docker("rmi", f"{name}:1", f"{name}:2", f"{name}:3")
    wherryd.docker("pull", "-q", f"{name}:1")


def test_a_committed_image(wherryd: Wherryd, name: str) -> None:
    """Its lower layer is the one that was pushed already: it is compressed once, and sent once."""
    base = f"{name}-base"
    wherryd.docker("create", "--name", "to-commit", "--label", "pushed=yes", "busybox")
    try:
        wherryd.docker("commit", "to-commit", f"{base}:1")
        wherryd.docker("run", "--name", "to-push", f"{base}:1", "touch", "/made")
        try:
            wherryd.docker("commit", "to-push", f"{name}:1")
        finally:
            wherryd.docker("rm", "to-push")
        wherryd.docker("push", f"{base}:1")
        said = wherryd.docker("push", f"{name}:1").stdout
    finally:
        wherryd.docker("rm", "to-commit")
    assert said.count(f": Mounted from {base.partition('/')[2]}") == 1
    assert said.count(": Pushed") == 1
    layers = [each["digest"] for each in json.loads(raw(f"{name}:1"))["layers"]]
    assert layers[0] == json.loads(raw(f"{base}:1"))["layers"][0]["digest"]
    wherryd.docker("rmi", f"{name}:1", f"{base}:1")
    assert wherryd.docker("run", "--rm", f"{name}:1", "ls", "/made").stdout == "/made\n"


def test_docker_py(docker_py: docker_package.DockerClient, name: str, loaded: str) -> None:
    lines = list(docker_py.images.push(name, tag="1", stream=True, decode=True))
    assert lines[0] == {"status": f"The push refers to repository [{name}]"}
    assert lines[-1]["aux"]["Digest"] == digest_of(raw(f"{name}:1"))
    assert lines[-1]["aux"]["Tag"] == "1"
    both = [
        line["aux"]["Tag"] for line in docker_py.images.push(name, stream=True, decode=True) if "aux" in line
    ]
    assert both == ["1", "2"]
    failed = list(docker_py.images.push(name, tag="9", stream=True, decode=True))
    assert failed[-1]["error"] == f"tag does not exist: {name}:9"


async def test_aiodocker(aio: aiodocker.Docker, name: str, loaded: str) -> None:
    lines = await aio.images.push(name, tag="1")
    assert lines[-1]["aux"]["Size"] == len(raw(f"{name}:1"))
