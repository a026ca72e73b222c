"""A Debian pulled, named anew and pushed: the same manifest, and another client finds all of it."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon import Wherryd
from tests.images.image import Image
from tests.registries import DebianRegistry, digest_of

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def elsewhere(room: Path, registry: DebianRegistry) -> Iterator[DebianRegistry]:
    """A registry that has nothing."""
    made = DebianRegistry(room / "registry-elsewhere")
    made.start()
    yield made
    made.stop()


@pytest.mark.parametrize("tag", ["split", "zstd", "plain", "whole"])
def test_the_same_manifest(
    wherryd: Wherryd, registry: DebianRegistry, repository: str, images: dict[str, Image], tag: str
) -> None:
    """Into the same registry, where no layer need be sent."""
    name = f"{registry.netloc}/pushed/again:{tag}"
    wherryd.docker("pull", f"{repository}:{tag}")
    wherryd.docker("tag", f"{repository}:{tag}", name)
    said = wherryd.docker("push", name).stdout
    wherryd.docker("rmi", name, f"{repository}:{tag}")
    assert said.count(": Mounted from debian/compiler") == len(images[tag].layers)
    assert f"{tag}: digest: {images[tag].digest} size: {len(images[tag].manifest)}" in said
    assert skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{name}") == images[tag].manifest


def test_all_of_it_elsewhere(
    wherryd: Wherryd, elsewhere: DebianRegistry, repository: str, images: dict[str, Image], room: Path
) -> None:
    """Skopeo copies it out and counts the digest of each blob."""
    name = f"{elsewhere.netloc}/pushed/debian:1"
    wherryd.docker("pull", f"{repository}:split")
    wherryd.docker("tag", f"{repository}:split", name)
    said = wherryd.docker("push", name).stdout
    wherryd.docker("rmi", name, f"{repository}:split")
    assert said.count(": Pushed") == 4
    copied = room / "copied"
    skopeo("copy", "--quiet", "--src-tls-verify=false", f"docker://{name}", f"dir:{copied}")
    assert (copied / "manifest.json").read_bytes() == images["split"].manifest
    entries = json.loads(images["split"].manifest)
    for entry in (entries["config"], *entries["layers"]):
        blob = copied / entry["digest"].removeprefix("sha256:")
        assert (blob.stat().st_size, digest_of(blob.read_bytes())) == (entry["size"], entry["digest"])


def test_what_was_committed(wherryd: Wherryd, elsewhere: DebianRegistry, repository: str, room: Path) -> None:
    """The layers that it stands on are as they came, the new one is packed; and it is pulled as it was."""
    name = f"{elsewhere.netloc}/pushed/committed:1"
    wherryd.docker("pull", f"{repository}:split")
    wherryd.docker(
        "run", "--name", "source", f"{repository}:split", "sh", "-c", "echo new >/opt/new; rm -r /opt/kinds"
    )
    wherryd.docker("commit", "source", name)
    wherryd.docker("rm", "source")
    (before,) = json.loads(wherryd.docker("inspect", name).stdout)
    wherryd.docker("push", name)
    manifest = json.loads(skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{name}"))
    assert manifest["config"]["digest"] == before["Id"]
    assert len(manifest["layers"]) == 5
    wherryd.docker("rmi", name, f"{repository}:split")
    wherryd.docker("pull", name)
    (after,) = json.loads(wherryd.docker("inspect", name).stdout)
    assert (after["Id"], after["RootFS"]) == (before["Id"], before["RootFS"])
    assert wherryd.docker("run", "--rm", name, "ls", "/opt").stdout == "new\n"
    wherryd.docker("rmi", name)


def skopeo(*words: str) -> bytes:
    done = subprocess.run(["skopeo", "--insecure-policy", *words], capture_output=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return done.stdout
