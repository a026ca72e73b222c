"""`docker pull` with the official CLI and docker-py, out of Debian's registry."""

import asyncio
import gzip
import io
import json
import os
import random
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker as docker_package
import pytest
from aiohttp import web

from engine.images.reference import short_id
from tests.daemon import Wherryd
from tests.integration.images.archives import tar
from tests.integration.registry.servers import Harm, Proxy, serve
from tests.processes import targets
from tests.registries import DOCKER_LIST, DOCKER_MANIFEST, PASSWORD, USER, DebianRegistry, digest_of
from tests.waiting import eventually

pytestmark = pytest.mark.root

LARGE = random.Random(4).randbytes(3 << 20)


def config(layers: list[bytes], **more: Any) -> dict[str, Any]:
    """What a config says beside its platform."""
    return {
        "rootfs": {"type": "layers", "diff_ids": [digest_of(layer) for layer in layers]},
        "config": {"Cmd": ["cat", "/etc/what"], "Labels": {"pulled": "yes"}},
        **more,
    }


@pytest.fixture(scope="module")
def layers(busybox_tar: Path) -> list[bytes]:
    """Busybox, and what tells it from others."""
    return [busybox_tar.read_bytes(), tar({"etc/what": b"pulled\n", "large": LARGE})]


@pytest.fixture(scope="module")
def pulled(plain: DebianRegistry, layers: list[bytes]) -> str:
    """The repository with :1 (two layers), :arm (another processor's) and :multi (both), by its name."""
    zipped = [gzip.compress(layer, 1, mtime=0) for layer in layers]
    mine, digest = plain.put_image("pull/it", "1", zipped, **config(layers))
    other, of_other = plain.put_image("pull/it", "arm", zipped, **{**config(layers), "architecture": "arm64"})
    entries = [(other, of_other, "arm64"), (mine, digest, "amd64")]
    plain.put_manifest(
        "pull/it",
        "multi",
        {
            "schemaVersion": 2,
            "mediaType": DOCKER_LIST,
            "manifests": [
                {
                    "mediaType": DOCKER_MANIFEST,
                    "digest": each,
                    "size": len(raw),
                    "platform": {"os": "linux", "architecture": architecture},
                }
                for raw, each, architecture in entries
            ],
        },
    )
    return f"{plain.netloc}/pull/it"


@pytest.fixture(autouse=True)
def no_leftovers(nothing_left_by_module: None) -> None:
    """Not after each test."""


@pytest.fixture(autouse=True)
def no_images_left(wherryd: Wherryd) -> Iterator[None]:
    """After the test there is nothing of its images, and nothing retained."""
    before = stored(wherryd)
    yield
    for name in wherryd.docker("images", "-q", "--no-trunc", "--filter", "label=pulled").stdout.split():
        wherryd.docker("rmi", "-f", name)
    eventually(lambda: stored(wherryd) == before)


def stored(wherryd: Wherryd) -> set[str]:
    return {
        str(path.relative_to(wherryd.data_root))
        for part in ("content", "snapshots")
        for path in (wherryd.data_root / part).glob("**/*")
        if len(path.relative_to(wherryd.data_root).parts) <= 4 and "fs" not in path.parts
    }


def test_pull_and_run(wherryd: Wherryd, pulled: str) -> None:
    said = wherryd.docker("pull", f"{pulled}:1").stdout
    assert said.splitlines()[0] == "1: Pulling from pull/it"
    assert said.count(": Pull complete") == 2
    assert said.splitlines()[-2:] == [f"Status: Downloaded newer image for {pulled}:1", f"{pulled}:1"]
    again = wherryd.docker("pull", f"{pulled}:1").stdout
    assert f"Status: Image is up to date for {pulled}:1" in again
    assert wherryd.docker("run", "--rm", f"{pulled}:1").stdout == "pulled\n"


def test_run_pulls_what_is_missing(wherryd: Wherryd, pulled: str) -> None:
    done = wherryd.docker("run", "--rm", f"{pulled}:multi")
    assert done.stdout == "pulled\n"
    assert f"Unable to find image '{pulled}:multi' locally" in done.stderr
    assert f"Status: Downloaded newer image for {pulled}:multi" in done.stderr


def test_by_digest(wherryd: Wherryd, pulled: str) -> None:
    wherryd.docker("pull", f"{pulled}:1")
    (name,) = json.loads(wherryd.docker("inspect", f"{pulled}:1").stdout)[0]["RepoDigests"]
    wherryd.docker("rmi", f"{pulled}:1")
    said = wherryd.docker("pull", name).stdout
    assert said.splitlines()[0] == f"{name}: Pulling from pull/it"
    (inspected,) = json.loads(wherryd.docker("inspect", name).stdout)
    assert (inspected["RepoTags"], inspected["RepoDigests"]) == ([], [name])
    assert wherryd.docker("run", "--rm", name).stdout == "pulled\n"


def test_all_tags(wherryd: Wherryd, pulled: str) -> None:
    said = wherryd.docker("pull", "-a", pulled).stdout
    assert f"Status: Downloaded newer image for {pulled}\n" in said
    listed = wherryd.docker("images", pulled, "--format", "{{.Tag}}").stdout
    assert sorted(listed.split()) == ["1", "arm", "multi"]


def test_another_platform(wherryd: Wherryd, pulled: str) -> None:
    wherryd.docker("pull", "--platform", "linux/arm64", f"{pulled}:multi")
    (inspected,) = json.loads(wherryd.docker("inspect", f"{pulled}:multi").stdout)
    assert (inspected["Architecture"], inspected["Os"]) == ("arm64", "linux")
    done = wherryd.docker("pull", "--platform", "linux/s390x", f"{pulled}:multi", check=False)
    assert "no matching manifest for linux/s390x in the manifest list entries" in done.stderr


def test_running_another_platforms_image(wherryd: Wherryd, plain: DebianRegistry) -> None:
    """It is pulled, and whoever runs it is told why it cannot work."""
    elf = b"\x7fELF\2\1\1" + bytes(9) + (2).to_bytes(2, "little") + (183).to_bytes(2, "little") + bytes(100)
    program = tarfile.TarInfo("foreign")
    program.size, program.mode = len(elf), 0o755
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(program, io.BytesIO(elf))
    layer = buffer.getvalue()
    said = {
        **config([layer]),
        "architecture": "arm64",
        "config": {"Cmd": ["/foreign"], "Labels": {"pulled": "yes"}},
    }
    plain.put_image("pull/foreign", "1", [gzip.compress(layer)], **said)
    name = f"{plain.netloc}/pull/foreign:1"
    wherryd.docker("pull", name)
    done = wherryd.docker("run", "--rm", name, check=False)
    assert done.returncode != 0
    assert (
        "The requested image's platform (linux/arm64) does not match the detected host platform"
        in done.stderr
    )
    assert "exec format error" in done.stderr


async def test_a_client_that_is_gone_ends_its_pull(
    wherryd: Wherryd, plain: DebianRegistry, pulled: str, layers: list[bytes]
) -> None:
    """The connection to the registry is closed, and what came is kept for the next pull."""
    large = digest_of(gzip.compress(layers[1], 1, mtime=0))
    small = digest_of(gzip.compress(layers[0], 1, mtime=0))
    proxy = Proxy(f"http://{plain.netloc}", [Harm(large, pause=0.01)])
    over = asyncio.Event()

    async def watched(request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await proxy(request)
        finally:
            if request.path.endswith(large):
                over.set()

    async with serve(watched) as netloc, asyncio.timeout(60):
        client = await begun(wherryd, f"{netloc}/pull/it:1", small, proxy, large)
        assert not over.is_set()
        client.kill()
        await asyncio.to_thread(client.communicate)
        await over.wait()
    retained = wherryd.data_root / "content/retained"
    part = retained / large.removeprefix("sha256:")
    await asyncio.to_thread(eventually, lambda: part.exists() and not is_open(part, wherryd.pid))
    assert f"{small.removeprefix('sha256:')}.whole" in os.listdir(retained)
    wherryd.docker("image", "prune", "-f")


def is_open(file: Path, pid: int) -> bool:
    """Whether a process has a file open."""
    return str(file) in targets(f"/proc/{pid}/fd")


async def begun(daemon: Wherryd, name: str, small: str, proxy: Proxy, large: str) -> subprocess.Popen[bytes]:
    """A pull that has fetched the small layer, and waits for the large one."""
    client = await asyncio.to_thread(
        subprocess.Popen,
        ["docker", "pull", name],
        env=daemon.client_env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert client.stdout is not None
    while f"{short_id(small)}: Download complete" not in (
        line := (await asyncio.to_thread(client.stdout.readline)).decode()
    ):
        assert line, "it ended"
    while not any(one.path.endswith(large) for one in proxy.seen):  # noqa: ASYNC110 - it has no event
        await asyncio.sleep(0.05)
    return client


async def test_a_daemon_that_ends_fails_its_pulls(
    start_daemon: Callable[..., Wherryd], plain: DebianRegistry, pulled: str, layers: list[bytes]
) -> None:
    """The client sees that it has no image; the next daemon goes on with what came."""
    daemon = await asyncio.to_thread(start_daemon, image=False)
    large = digest_of(gzip.compress(layers[1], 1, mtime=0))
    small = digest_of(gzip.compress(layers[0], 1, mtime=0))
    proxy = Proxy(f"http://{plain.netloc}", [Harm(large, times=1, pause=0.01)])
    async with serve(proxy) as netloc:
        async with asyncio.timeout(60):
            client = await begun(daemon, f"{netloc}/pull/it:1", small, proxy, large)
            await asyncio.to_thread(daemon.terminate)
            _, said = await asyncio.to_thread(client.communicate)
        assert client.returncode == 1
        assert b"the daemon is shutting down" in said
        await asyncio.to_thread(daemon.start)
        again = await asyncio.to_thread(daemon.docker, "pull", f"{netloc}/pull/it:1")
        assert again.stdout.count("Verifying Checksum") == 1


def test_layers_that_are_there_are_not_fetched(wherryd: Wherryd, pulled: str) -> None:
    wherryd.docker("pull", f"{pulled}:1")
    said = wherryd.docker("pull", f"{pulled}:arm").stdout
    assert said.count(": Already exists") == 2
    assert "Download" not in said.replace("Downloaded newer", "")


def test_what_is_not_there(wherryd: Wherryd, plain: DebianRegistry, pulled: str) -> None:
    for name in (f"{pulled}:nope", f"{plain.netloc}/no/pe:1"):
        done = wherryd.docker("pull", name, check=False)
        assert done.returncode == 1
        assert f"manifest for {name} not found: manifest unknown: manifest unknown" in done.stderr


def test_docker_py(wherryd: Wherryd, pulled: str) -> None:
    client = docker_package.DockerClient(base_url=f"unix://{wherryd.socket}")
    try:
        assert client.images.pull(pulled, tag="1").tags == [f"{pulled}:1"]
        lines = list(client.api.pull(pulled, tag="multi", stream=True, decode=True))
        assert lines[0] == {"status": "Pulling from pull/it", "id": "multi"}
        assert {image.id for image in client.images.pull(pulled, all_tags=True)} == {
            image.id for image in client.images.list(name=pulled)
        }
        with pytest.raises(docker_package.errors.NotFound, match="manifest unknown"):
            client.images.pull(pulled, tag="nope")
    finally:
        client.close()


def test_the_event(wherryd: Wherryd, pulled: str) -> None:
    wherryd.docker("pull", f"{pulled}:1")
    until = str(time.time() + 0.1)
    told = wherryd.docker(
        *("events", "--since", "1m", "--until", until, "--filter", "event=pull", "--format", "{{json .}}")
    )
    last = json.loads(told.stdout.splitlines()[-1])
    assert last["Actor"] == {"ID": f"{pulled}:1", "Attributes": {"name": pulled, "pulled": "yes"}}


def test_with_credentials(wherryd: Wherryd, session_root: Path, layers: list[bytes]) -> None:
    registry = DebianRegistry(session_root / "registry-pull-htpasswd", htpasswd=True)
    registry.start()
    try:
        registry.put_image("in/side", "1", [gzip.compress(layers[1])], **config(layers[1:]))
        name = f"{registry.netloc}/in/side:1"
        refused = wherryd.docker("pull", name, check=False)
        assert "no basic auth credentials" in refused.stderr
        wherryd.docker("login", "-u", USER, "--password-stdin", registry.netloc, stdin=PASSWORD.encode())
        assert f"Downloaded newer image for {name}" in wherryd.docker("pull", name).stdout
        wherryd.docker("logout", registry.netloc)
        assert PASSWORD not in wherryd.log.read_text()
    finally:
        registry.stop()


def test_skopeo_fills_the_registry(
    wherryd: Wherryd, plain: DebianRegistry, tmp_path: Path, busybox_tar: Path
) -> None:
    """What skopeo makes of an archive of ours, in both formats and with zstd, is pulled as the same image."""
    saved = tmp_path / "saved.tar"
    wherryd.docker("import", "--change", "LABEL pulled=yes", str(busybox_tar), "skopeo:1")
    wherryd.docker("save", "-o", str(saved), "skopeo:1")
    layer = json.loads(wherryd.docker("inspect", "skopeo:1").stdout)[0]["RootFS"]
    for number, how in enumerate((["v2s2"], ["oci"], ["oci", "--dest-compress-format", "zstd"])):
        name = f"{plain.netloc}/skopeo/busybox:{number}"
        subprocess.run(
            [
                *("skopeo", "--insecure-policy", "copy", "--dest-tls-verify=false", "--format", *how),
                *(f"docker-archive:{saved}", f"docker://{name}"),
            ],
            check=True,
            capture_output=True,
            timeout=60,
        )
        wherryd.docker("pull", name)
        assert json.loads(wherryd.docker("inspect", name).stdout)[0]["RootFS"] == layer
        assert wherryd.docker("run", "--rm", name, "echo", "whole").stdout == "whole\n"
        wherryd.docker("rmi", name)
