"""Archives in, images out."""

import asyncio
import bz2
import gzip
import json
import lzma
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import zstandard

import errdefs
from engine.filters import Filters
from tests.integration.images.archives import (
    TWO,
    Made,
    Members,
    descriptor,
    digest,
    docker_archive,
    docker_files,
    manifest_json,
    oci_files,
    symlink,
    tar,
)
from tests.integration.images.place import Place, chunks

pytestmark = pytest.mark.root

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "gzip in two": lambda data: gzip.compress(data[:700]) + gzip.compress(data[700:]),
    "zstd": zstandard.ZstdCompressor().compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
}


async def test_a_docker_archive(place: Place) -> None:
    made = Made(layers=TWO)
    assert await place.load(docker_archive(made)) == ["Loaded image: made:latest\n"]
    image = place.images.get("made")
    assert image.id == made.id
    assert image.references == ["made:latest"]
    assert image.config.run.cmd == ["sh"]
    assert [layer.diff_id for layer in image.layers] == [digest(layer) for layer in TWO]
    assert image.size == len(b"hello\n") + len(b"more\n")
    assert image.created_text == "2024-01-02T03:04:05Z"
    assert place.layer_file("made", "etc/more", layer=1) == b"more\n"
    assert await place.files() == {*image.blobs, *(layer.chain_id for layer in image.layers)}
    manifest = json.loads(await place.content.read(image.manifest))
    assert manifest["config"] == descriptor(made.config, "application/vnd.oci.image.config.v1+json")
    assert [each["digest"] for each in manifest["layers"]] == [layer.blob for layer in image.layers]
    assert (await place.happened())[-1:] == [f"load {made.id}"]


@pytest.mark.parametrize("packer", PACKERS)
@pytest.mark.parametrize("chunk", [1 << 20, 1000])
async def test_compressed_on_the_outside(place: Place, packer: str, chunk: int) -> None:
    made = Made()
    await place.load(PACKERS[packer](docker_archive(made)), chunk=chunk)
    assert place.images.get("made").id == made.id


@pytest.mark.parametrize("packer", PACKERS)
async def test_layers_stay_as_they_came(place: Place, packer: str) -> None:
    packed = [PACKERS[packer](layer) for layer in TWO]
    await place.load(docker_archive(Made(layers=TWO, blobs=packed)))
    assert [layer.blob for layer in place.images.get("made").layers] == [digest(each) for each in packed]


async def test_an_oci_layout(place: Place) -> None:
    made = Made(layers=TWO, blobs=[gzip.compress(layer) for layer in TWO], tags=["registry.example/made:1"])
    files = oci_files(made)
    assert await place.load(tar(files)) == ["Loaded image: registry.example/made:1\n"]
    image = place.images.get("registry.example/made:1")
    assert image.id == made.id
    assert f"blobs/{image.manifest.replace(':', '/')}" in files  # its own manifest, not one of our making


@pytest.mark.parametrize(
    ("annotations", "tags"),
    [
        ({"org.opencontainers.image.ref.name": "latest"}, []),
        ({"org.opencontainers.image.ref.name": "docker.io/library/x:1"}, ["x:1"]),
        ({}, []),
    ],
)
async def test_names_in_an_oci_layout(place: Place, annotations: dict[str, str], tags: list[str]) -> None:
    said = await place.load(tar(oci_files(Made(), annotations=annotations)))
    assert place.images.get(Made().id).references == tags
    assert said == ([f"Loaded image: {tags[0]}\n"] if tags else [f"Loaded image ID: {Made().id}\n"])


async def test_an_index_gives_the_image_for_this_machine(place: Place) -> None:
    arm = Made(said={"architecture": "arm64"}, tags=[])
    host = Made(tags=[])
    files = oci_files(arm, host)
    manifests = json.loads(files["index.json"])["manifests"]
    for entry, architecture in zip(manifests, ("arm64", "amd64"), strict=True):
        entry["platform"] = {"os": "linux", "architecture": architecture}
    attestation = {**manifests[0], "annotations": {"vnd.docker.reference.type": "attestation-manifest"}}
    nested = json.dumps({"manifests": [attestation, *manifests]}).encode()
    files[f"blobs/sha256/{digest(nested)[7:]}"] = nested
    entry = descriptor(nested, "application/vnd.oci.image.index.v1+json")
    files["index.json"] = json.dumps({"manifests": [entry]}).encode()
    await place.load(tar(files))
    assert [each.image.id for each in place.images.list(Filters())] == [host.id]


async def test_several_images_and_no_names(place: Place) -> None:
    first, second = Made(tags=[]), Made(layers=TWO, tags=["two:1", "two:2"])
    assert await place.load(docker_archive(first, second)) == [
        f"Loaded image ID: {first.id}\n",
        "Loaded image: two:1\n",
        "Loaded image: two:2\n",
    ]
    assert place.images.get(second.id).references == ["two:1", "two:2"]


async def test_a_name_that_is_taken_moves(place: Place) -> None:
    old, new = Made(), Made(layers=TWO)
    await place.load(docker_archive(old))
    assert await place.load(docker_archive(new)) == [
        f"The image made:latest already exists, renaming the old one with ID {old.id} to empty string\n",
        "Loaded image: made:latest\n",
    ]
    assert place.images.get("made").id == new.id
    assert place.images.get(old.id).references == []


async def test_what_docker_writes_today(place: Place) -> None:
    """An OCI layout with a manifest.json that points into it."""
    made = Made(layers=TWO)
    manifest = json.loads(manifest_json(made))
    manifest[0]["Config"] = f"blobs/sha256/{made.id[7:]}"
    manifest[0]["Layers"] = [f"blobs/sha256/{digest(layer)[7:]}" for layer in TWO]
    await place.load(tar({**oci_files(made), "manifest.json": json.dumps(manifest).encode()}))
    assert place.images.get("made").id == made.id


async def test_layers_that_are_here_need_not_come_again(place: Place) -> None:
    """Bazel's incremental loader, among others, leaves out what it finds in the daemon."""
    await place.load(docker_archive(Made(layers=TWO[:1], tags=["base:1"])))
    made = Made(layers=TWO)
    files = docker_files(made)
    del files[f"{digest(TWO[0])[7:]}/layer.tar"]
    await place.load(tar(files))
    assert [layer.diff_id for layer in place.images.get("made").layers] == [digest(layer) for layer in TWO]
    await place.images.remove("base:1")
    assert place.layer_file("made", "etc/hello", layer=0) == b"hello\n"
    assert {*place.images.get("made").blobs} <= await place.files()
    await place.images.remove("made")
    with pytest.raises(errdefs.InvalidArgument, match="is missing"):
        await place.load(tar(files))
    assert await place.files() == set()


async def test_a_layer_is_known_on_what_it_stands_on_alone(place: Place) -> None:
    """The same layer on another one is another layer, which the archive has to have."""
    await place.load(docker_archive(Made(layers=TWO)))
    files = docker_files(Made(layers=[TWO[1]], tags=["alone:1"]))
    del files[f"{digest(TWO[1])[7:]}/layer.tar"]
    with pytest.raises(errdefs.InvalidArgument, match="is missing"):
        await place.load(tar(files))


async def test_wanted_platforms_alone(place: Place) -> None:
    arm = Made(said={"architecture": "arm64"}, tags=["arm:1"])
    host = Made(tags=["host:1"])
    await place.images.load(chunks(docker_archive(arm, host)), wanted=["linux/arm64"])
    assert [each.image.id for each in place.images.list(Filters())] == [arm.id]


async def test_progress_unless_quiet(place: Place) -> None:
    made = Made(layers=TWO)
    await place.load(docker_archive(made), quiet=False)
    lines = [message for message in place.said if message.status]
    assert {line.status for line in lines} == {"Loading layer"}
    assert list(dict.fromkeys(line.id for line in lines)) == [digest(layer)[7:19] for layer in TWO]
    assert len(lines) == len({(line.id, line.progress_detail) for line in lines})
    last = lines[-1].progress_detail
    assert last is not None
    assert last.current == last.total == len(TWO[1])
    await place.load(docker_archive(Made(layers=TWO, said={"author": "x"})), quiet=False)
    assert [message.status for message in place.said if message.status] == []  # nothing new to unpack


async def test_foreign_platforms(place: Place) -> None:
    await place.load(docker_archive(Made(said={"architecture": "s390x"})))
    image = place.images.get("made")
    assert image.platform.architecture == "s390x"
    with pytest.raises(errdefs.NotFound, match=r"its platform \(linux/s390x\) does not match"):
        place.images.require_platform(image, "linux/amd64")
    with pytest.raises(errdefs.InvalidArgument, match="cannot load windows image on linux"):
        await place.load(docker_archive(Made(said={"os": "windows"})))


async def test_links_inside_of_the_archive(place: Place) -> None:
    """Docker before 25 wrote a layer once and linked to it."""
    made = Made(layers=[TWO[0]])
    real = f"{digest(TWO[0])[7:]}/layer.tar"
    manifest = json.loads(manifest_json(made))
    manifest[0]["Layers"] = ["other/layer.tar"]
    members: Members = [
        (real, TWO[0]),
        symlink("other/layer.tar", f"../{real}"),
        (f"{made.id[7:]}.json", made.config),
        ("manifest.json", json.dumps(manifest).encode()),
    ]
    await place.load(tar(members))
    assert place.images.get("made").id == made.id


async def test_two_at_once_share_their_layers(place: Place) -> None:
    archives = [docker_archive(Made(layers=TWO, tags=[f"x:{n}"], said={"author": str(n)})) for n in range(4)]
    async with asyncio.TaskGroup() as tasks:
        for archive in archives:
            tasks.create_task(place.images.load(_flow(archive)))
    assert place.images.count() == 4
    assert len(place.snapshots.walk()) == 2
    for number in range(4):
        await place.images.remove(f"x:{number}")
    assert await place.files() == set()


async def _flow(data: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(data), 4096):
        await asyncio.sleep(0)
        yield data[at : at + 4096]


@pytest.mark.skipif(shutil.which("skopeo") is None, reason="needs skopeo")
@pytest.mark.parametrize("kind", ["docker-archive", "oci-archive", "oci-gzip"])
async def test_what_skopeo_writes(place: Place, tmp_path: Path, kind: str) -> None:
    made = Made(layers=TWO, tags=["made:latest"])
    (tmp_path / "in.tar").write_bytes(docker_archive(made))
    target = tmp_path / "out.tar"
    shape = {"docker-archive": f"docker-archive:{target}:again:1"}.get(kind, f"oci-archive:{target}:again:1")
    compress = ["--dest-compress-format=gzip", "--dest-compress"] if kind == "oci-gzip" else []
    source = f"docker-archive:{tmp_path}/in.tar"
    copy = ["skopeo", "--insecure-policy", "copy", *compress, source, shape]
    await asyncio.to_thread(subprocess.run, copy, check=True, capture_output=True)
    await place.load(target.read_bytes())
    image = place.images.get("again:1")
    assert [layer.diff_id for layer in image.layers] == [digest(layer) for layer in TWO]
    assert image.config.run.cmd == ["sh"]
