"""Images out into archives: whole, loadable again, for Docker, skopeo and us."""

import asyncio
import gzip
import io
import json
import subprocess
import tarfile
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

import errdefs
from engine.images.platforms import Platform
from runtime.content.store import Descriptor
from tests.integration.images.archives import Made, digest, docker_archive, oci_files, tar
from tests.integration.images.place import Place

pytestmark = pytest.mark.root

TWO = [tar({"etc/hello": b"hello\n"}), tar({"etc/more": b"more\n"})]
TAGGED = Made(layers=TWO, tags=["made:1", "made:2", "other/made:1"])


async def saved(place: Place, *names: str, wanted: tuple[Platform, ...] = ()) -> bytes:
    return b"".join([chunk async for chunk in place.images.save(names, wanted)])


def members(archive: bytes) -> dict[str, bytes]:
    """The files of an archive by name; no name comes twice."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        found = [each for each in opened if each.isfile()]
        assert len({each.name for each in found}) == len(found)
        return {each.name: opened.extractfile(each).read() for each in found}  # type: ignore[union-attr]


def documents(archive: bytes) -> dict[str, Any]:
    return {name: json.loads(data) for name, data in members(archive).items() if "/" not in name}


async def test_everything_is_there_under_its_digest(place: Place) -> None:
    await place.load(docker_archive(TAGGED))
    archive = await saved(place, "made")
    found = members(archive)
    for name, data in found.items():
        if name.startswith("blobs/"):
            assert digest(data) == f"sha256:{name.removeprefix('blobs/sha256/')}"
    said = documents(archive)
    (entry,) = said["manifest.json"]
    assert entry["RepoTags"] == ["made:1", "made:2"], "a repository means its tags, and no other's"
    assert [found[path] for path in entry["Layers"]] == TWO
    assert found[entry["Config"]] == TAGGED.config
    top = digest(TWO[1])[7:]
    assert said["repositories"] == {"made": {"1": top, "2": top}}
    for descriptor in said["index.json"]["manifests"]:
        manifest = found[f"blobs/sha256/{descriptor['digest'][7:]}"]
        assert (digest(manifest), len(manifest)) == (descriptor["digest"], descriptor["size"])
    names = [each["annotations"]["io.containerd.image.name"] for each in said["index.json"]["manifests"]]
    assert names == ["docker.io/library/made:1", "docker.io/library/made:2"]


@pytest.mark.parametrize("layout", ["docker", "oci"])
async def test_a_compressed_layer_is_saved_as_it_is_stored(place: Place, layout: str) -> None:
    made = Made(layers=TWO, blobs=[gzip.compress(layer) for layer in TWO])
    await place.load(docker_archive(made) if layout == "docker" else tar(oci_files(made)))
    archive = await saved(place, "made:latest")
    (entry,) = documents(archive)["manifest.json"]
    assert [members(archive)[path] for path in entry["Layers"]] == made.stored
    assert "LayerSources" not in entry, "a loader would take the blob for the unpacked layer"
    await place.images.remove("made")
    assert await place.files() == set()
    assert await place.load(archive) == ["Loaded image: made:latest\n"]
    assert place.images.get("made").id == made.id


async def test_two_images_share_their_layers_and_tell_their_parent(place: Place) -> None:
    low = Made(layers=TWO[:1], tags=["low:1"])
    await place.load(docker_archive(low, TAGGED))
    low_id = place.images.get("low:1").id
    record = place.images.get("made:1")
    await place.images._store.adopt(record, low_id)
    said = documents(await saved(place, "made:1", "low:1", "made:1"))
    assert [entry.get("Parent") for entry in said["manifest.json"]] == [low_id, None]
    alone = documents(await saved(place, "made:1"))
    assert "Parent" not in alone["manifest.json"][0]


async def test_without_a_name(place: Place) -> None:
    await place.load(docker_archive(TAGGED))
    for name in (TAGGED.id, TAGGED.id[7:], TAGGED.id[7:19], TAGGED.id[:19]):
        said = documents(await saved(place, name))
        assert said["manifest.json"][0]["RepoTags"] is None
        assert len(said["index.json"]["manifests"]) == 1
        assert "repositories" not in said


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("nope", "No such image: nope"),
        ("nope:1", "reference does not exist"),
        ("made:3", "reference does not exist"),
        ("sha256:abc", "No such image: sha256:abc"),
    ],
)
async def test_unknown(place: Place, name: str, text: str) -> None:
    await place.load(docker_archive(TAGGED))
    with pytest.raises(errdefs.NotFound, match=text):
        place.images.save(["made:1", name])
    with pytest.raises(errdefs.InvalidArgument, match="must be lowercase"):
        place.images.save(["UPPER"])


async def test_the_platform_must_be_served(place: Place) -> None:
    await place.load(docker_archive(TAGGED))
    amd, arm = (Platform(os="linux", architecture=each) for each in ("amd64", "arm64"))
    assert await saved(place, "made:1", wanted=(amd,))
    assert await saved(place, "made:1", wanted=(arm, amd))
    with pytest.raises(errdefs.NotFound, match="does not match the specified platform"):
        place.images.save(["made:1"], [arm])


async def test_a_removal_meanwhile_does_not_matter(place: Place) -> None:
    await place.load(docker_archive(TAGGED))
    whole = await saved(place, "made:1")
    async with aclosing(place.images.save(["made:1"])) as chunks:  # type: ignore[type-var]
        parts = [await anext(chunks)]
        await place.images.remove(TAGGED.id, force=True)
        parts += [chunk async for chunk in chunks]
    assert b"".join(parts) == whole
    assert await place.files() == set(), "once it is saved, nothing needs the blobs any more"


async def test_a_client_that_goes_leaves_nothing(place: Place) -> None:
    await place.load(docker_archive(TAGGED))
    async with aclosing(place.images.save(["made:1"])) as chunks:  # type: ignore[type-var]
        for _ in range(4):
            await anext(chunks)
    await place.images.remove(TAGGED.id, force=True)
    assert await place.files() == set()


async def test_a_lost_blob_is_told(place: Place) -> None:
    await place.load(docker_archive(TAGGED))
    lost = Descriptor(digest=digest(TWO[0]), size=0)
    place.content.path(lost.digest).unlink()
    with pytest.raises(errdefs.SystemFailure, match="cannot read the blob"):
        await saved(place, "made:1")


@pytest.mark.parametrize("transport", ["docker-archive", "oci-archive"])
async def test_skopeo_reads_it(place: Place, tmp_path: Path, transport: str) -> None:
    made = Made(layers=TWO, blobs=[gzip.compress(layer) for layer in TWO], tags=["made:1"])
    await place.load(tar(oci_files(made)))
    (tmp_path / "made.tar").write_bytes(await saved(place, "made:1"))
    name = f"{transport}:{tmp_path}/made.tar:{'made:1' if transport == 'docker-archive' else '1'}"
    argv = ["skopeo", "--insecure-policy", "copy", "--quiet", name, f"dir:{tmp_path}/out"]
    done = await asyncio.to_thread(subprocess.run, argv, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "out/manifest.json").read_bytes())["config"]["digest"] == made.id
