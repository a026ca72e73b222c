"""Images for other machines: what both say who create, run, save and push them, by platform and without."""

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.integration.images.platforms.machines import MACHINES
from tests.peer.comparison import JSON, same
from tests.peer.peer import Both, Peer, missing
from tests.peer.registries import twice
from tests.peer.test_pull import index
from tests.registries import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, DebianRegistry, digest_of
from tests.registries import missing as registry_missing
from tests.unix_http import call

pytestmark = pytest.mark.root

NAME = "peer/machines"
ASKED = [
    "linux/arm64",
    "linux/arm64/v8",
    "linux/arm",
    "linux/arm/v6",
    "linux/386",
    "linux/amd64",
    "linux/s390x",
]


@pytest.fixture(scope="module")
def registry(session_root: Path, peer: Peer, busybox_tar: Path) -> Iterator[DebianRegistry]:
    """With an index and a manifest list of all machines."""
    if reason := missing() or registry_missing():
        pytest.skip(reason)
    with twice(session_root / "registry-peer-machines", peer) as made:
        for tag, media_type, kind in (
            ("oci", OCI_INDEX, OCI_MANIFEST),
            ("docker", DOCKER_LIST, DOCKER_MANIFEST),
        ):
            entries = []
            for machine in MACHINES:
                layers = [busybox_tar.read_bytes(), machine.program]
                config: dict[str, Any] = {
                    **machine.platform,
                    "created": "2024-01-02T03:04:05Z",
                    "config": {"Cmd": ["/program"], "Labels": {"machines": "many"}},
                    "rootfs": {"type": "layers", "diff_ids": [digest_of(layer) for layer in layers]},
                }
                zipped = [gzip.compress(layer, 1, mtime=0) for layer in layers]
                raw, digest = made.put_image(NAME, "", zipped, media_type=kind, **config)
                entries.append((raw, digest, machine.name.removeprefix("linux/")))
            listed = index(media_type, *entries)
            for entry in listed["manifests"]:
                entry["mediaType"] = kind
            made.put_manifest(NAME, tag, listed)
        yield made


@pytest.fixture
def repository(registry: DebianRegistry, both: Both) -> Iterator[str]:
    """Its name; what is pulled of it is gone after the test."""
    yield f"{registry.netloc}/{NAME}"
    filters = quote('{"label": ["machines"]}')
    for socket in (both.wherryd.socket, both.peer.socket):
        for image in call(socket, "GET", f"/v1.45/images/json?filters={filters}").json:
            call(socket, "DELETE", f"/v1.45/images/{image['Id']}?force=1")


def pull(both: Both, repository: str, tag: str, platform: str = "") -> None:
    both("POST", f"/images/create?fromImage={repository}&tag={tag}&platform={quote(platform)}")


@pytest.mark.parametrize("tag", ["oci", "docker"])
def test_which_one_is_pulled(both: Both, repository: str, tag: str) -> None:
    """The same image for each machine, and the same words where there is none."""
    for platform in ASKED:
        pull(both, repository, tag, platform)
        same(both, "GET", f"/images/{repository}:{tag}/json")
        both(
            "DELETE", f"/images/{repository}:{tag}?force=1"
        )  # dockerd has a digest mean its first image for ever


@pytest.mark.parametrize("here", ["linux/amd64", "linux/arm64", "linux/arm/v6"])
def test_creating(both: Both, repository: str, here: str) -> None:
    """Of an image that is here for one machine a container is asked for another, or for none in particular."""
    pull(both, repository, "oci", here)
    for platform in ("", *ASKED, "arm64", "nonsense/", "a/b/c/d", "windows/amd64"):
        path = f"/containers/create?name=peer-machine&platform={quote(platform)}"
        same(both, "POST", path, {"Image": f"{repository}:oci"}, headers=JSON)
        both("DELETE", "/containers/peer-machine")


@pytest.mark.parametrize("platform", ["", "linux/arm64"])
def test_running(both: Both, repository: str, platform: str) -> None:
    """It is created and started; what it prints is the runtime's, and how it ends."""
    pull(both, repository, "oci", "linux/arm64")
    words = ("--platform", platform) if platform else ()
    ends = []
    for side in (both.wherryd, both.peer):
        done = side.docker("run", "--rm", "--network", "none", *words, f"{repository}:oci", check=False)
        text = done.stderr if isinstance(done.stderr, str) else done.stderr.decode()
        ends.append((done.returncode, text))
    assert ends[0] == ends[1]
    assert "exec format error" in ends[0][1]
