"""The images of one name for five kinds of machine, in Debian's registry: an OCI index and a Docker manifest list."""

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon import Wherryd
from tests.integration.images.archives import tar
from tests.integration.images.platforms.machines import MACHINES, Machine
from tests.registries import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    DebianRegistry,
    digest_of,
    missing,
)

REPOSITORY = "many/machines"


@pytest.fixture(scope="package")
def registry(session_root: Path, busybox_tar: Path) -> Iterator[DebianRegistry]:
    """It has many/machines:oci and :docker."""
    if reason := missing():
        pytest.skip(reason)
    made = DebianRegistry(session_root / "registry-machines")
    made.start()
    for tag, index, manifest in (("oci", OCI_INDEX, OCI_MANIFEST), ("docker", DOCKER_LIST, DOCKER_MANIFEST)):
        entries = []
        for machine in MACHINES:
            raw, digest = put(made, machine, busybox_tar.read_bytes(), manifest)
            entry = {"mediaType": manifest, "digest": digest, "size": len(raw), "platform": machine.platform}
            entries.append(entry)
        made.put_manifest(REPOSITORY, tag, {"schemaVersion": 2, "mediaType": index, "manifests": entries})
    yield made
    made.stop()


def put(registry: DebianRegistry, machine: Machine, busybox: bytes, media_type: str) -> tuple[bytes, str]:
    """Push the image of one machine, under no tag: bytes and digest of its manifest."""
    layers = [busybox, tar({"etc/machine": machine.name.encode()}), machine.program]
    return registry.put_image(
        REPOSITORY,
        "",
        [gzip.compress(layer, 1, mtime=0) for layer in layers],
        media_type=media_type,
        **machine.platform,
        created="2024-01-02T03:04:05Z",
        config={"Cmd": ["/program"], "Labels": {"machines": "many"}},
        rootfs={"type": "layers", "diff_ids": [digest_of(layer) for layer in layers]},
    )


@pytest.fixture(scope="package")
def name(registry: DebianRegistry) -> str:
    """The repository's name."""
    return f"{registry.netloc}/{REPOSITORY}"


@pytest.fixture(autouse=True)
def no_leftovers(nothing_left_by_module: None) -> None:
    """Not after each test."""


@pytest.fixture(autouse=True)
def no_images_left(wherryd: Wherryd) -> Iterator[None]:
    """After the test none of the images is left."""
    yield
    if found := wherryd.docker(
        "images", "-q", "--no-trunc", "--filter", "label=machines=many"
    ).stdout.split():
        wherryd.docker("rmi", "-f", *sorted(set(found)))
