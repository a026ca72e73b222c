"""An image that was loaded and then is pulled has the registry's manifest and blobs; where images came from is kept."""

import gzip
import io
import json
import shutil
import tarfile
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from engine.images.image import Image
from engine.progress import ignore
from engine.registry.client import Registry
from tests.integration.images.archives import Made, docker_archive, oci_files, tar
from tests.integration.images.place import Place
from tests.registries import DebianRegistry, digest_of
from tests.roots import make_root

pytestmark = pytest.mark.root

LAYERS = [tar({"etc/a": b"a\n"}), tar({"etc/b": b"b" * 5000})]
MADE = Made(layers=LAYERS, tags=["loaded:1"])
ZIPPED = [gzip.compress(layer, 1, mtime=0) for layer in LAYERS]


def put(registry: DebianRegistry, repository: str, layers: list[bytes]) -> str:
    """Push the image in these layers; the digest of its manifest."""
    blobs = [
        {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", **_of(registry, repository, each)}
        for each in layers
    ]
    config = {
        "mediaType": "application/vnd.oci.image.config.v1+json",
        **_of(registry, repository, MADE.config),
    }
    media_type = "application/vnd.oci.image.manifest.v1+json"
    document = {"schemaVersion": 2, "mediaType": media_type, "config": config, "layers": blobs}
    return registry.put_manifest(repository, "1", document)[1]


def _of(registry: DebianRegistry, repository: str, blob: bytes) -> dict[str, Any]:
    return {"digest": registry.put_blob(repository, blob), "size": len(blob)}


class Origin:
    """A place, and the registry that it pulls from."""

    def __init__(self, place: Place, registry: DebianRegistry, client: Registry) -> None:
        self.place = place
        self.netloc = registry.netloc
        self.pulls = place.images.pulls(client, at_once=3, attempts=3)

    async def pull(self, name: str) -> Image:
        await self.pulls.pull(f"{self.netloc}/{name}", "1", platform="", credentials=None, progress=ignore)
        return self.place.images.get(f"{self.netloc}/{name}:1")

    async def blobs(self) -> set[str]:
        return set(await self.place.content.walk())

    async def saved_layers(self, image: Image) -> list[str]:
        """The digests of the layers' files as `docker save` gives them."""
        data = b"".join([chunk async for chunk in self.place.images.save([image.id])])
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            (entry,) = json.loads(archive.extractfile("manifest.json").read())  # type: ignore[union-attr]
            return [digest_of(archive.extractfile(path).read()) for path in entry["Layers"]]  # type: ignore[union-attr]


@pytest.fixture
async def origin(plain: DebianRegistry, clients: Callable[..., Registry]) -> AsyncIterator[Origin]:
    root = make_root()
    place = await Place.open(root)
    try:
        yield Origin(place, plain, clients())
        assert await place.images.collect() == 0, "something was left of what it was before"
    finally:
        await place.close()
        shutil.rmtree(root)


@pytest.mark.parametrize("archive", [docker_archive(MADE), tar(oci_files(MADE))], ids=["docker", "oci"])
async def test_loaded_then_pulled(origin: Origin, plain: DebianRegistry, archive: bytes) -> None:
    manifest = put(plain, "origin/zipped", ZIPPED)
    await origin.place.load(archive)
    loaded = origin.place.images.get("loaded:1")
    assert [layer.blob for layer in loaded.layers] == [digest_of(layer) for layer in LAYERS]
    assert (loaded.digests, loaded.repositories) == ([], [])
    pulled = await origin.pull("origin/zipped")
    assert pulled.id == loaded.id
    assert pulled.manifest == manifest
    assert pulled.digests == [f"{origin.netloc}/origin/zipped@{manifest}"]
    assert pulled.repositories == [f"{origin.netloc}/origin/zipped"]
    assert pulled.references == [f"{origin.netloc}/origin/zipped:1", "loaded:1"]
    assert (pulled.made, pulled.chains) == (loaded.made, loaded.chains)
    assert await origin.blobs() == {pulled.id, manifest, *(digest_of(layer) for layer in ZIPPED)}
    assert await origin.saved_layers(pulled) == [digest_of(layer) for layer in ZIPPED]
    await origin.place.load(archive)
    assert origin.place.images.get("loaded:1").manifest == manifest, "it stays what the registry knows"
    await origin.place.images.remove(pulled.id, force=True)
    assert await origin.place.files() == set()


async def test_the_same_blobs_are_not_fetched_again(origin: Origin, plain: DebianRegistry) -> None:
    manifest = put(plain, "origin/plain", LAYERS)
    await origin.place.load(docker_archive(MADE))
    before = await origin.blobs()
    pulled = await origin.pull("origin/plain")
    assert pulled.manifest == manifest
    assert await origin.blobs() - before == {manifest}
    assert len(await origin.blobs()) == len(before)


async def test_pulled_from_two_repositories(origin: Origin, plain: DebianRegistry) -> None:
    """The first manifest stays: the image goes by it where it came from."""
    first, second = put(plain, "origin/zipped", ZIPPED), put(plain, "origin/plain", LAYERS)
    await origin.pull("origin/zipped")
    pulled = await origin.pull("origin/plain")
    assert pulled.manifest == first
    assert pulled.repositories == [f"{origin.netloc}/origin/plain", f"{origin.netloc}/origin/zipped"]
    assert pulled.digests == [
        f"{origin.netloc}/origin/plain@{second}",
        f"{origin.netloc}/origin/zipped@{first}",
    ]


@pytest.mark.parametrize("lost", ["layer", "manifest"])
@pytest.mark.parametrize("how", ["pull", "load"])
async def test_a_blob_that_is_lost_comes_again(
    origin: Origin, plain: DebianRegistry, lost: str, how: str
) -> None:
    """While the daemon runs: what a name means is looked at, and found not to be whole."""
    put(plain, "origin/zipped", ZIPPED)
    before = await origin.pull("origin/zipped")
    await origin.place.content.delete(before.manifest if lost == "manifest" else before.layers[1].blob)
    if how == "pull":
        after = await origin.pull("origin/zipped")
    else:
        await origin.place.load(docker_archive(MADE))
        after = origin.place.images.get(before.id)
    assert await origin.blobs() == after.blobs
    assert (after.digests, after.repositories, after.made) == (
        before.digests,
        before.repositories,
        before.made,
    )
    assert len(await origin.saved_layers(after)) == 2
