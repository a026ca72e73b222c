"""One more layer on an image: what the new image says, holds, and leaves when it goes."""

import gzip
from collections.abc import AsyncIterator

import pytest

import errdefs
from engine.containers.config import ContainerConfig
from engine.images.commit import Commit
from engine.images.image import Image
from runtime.layers.archive import END
from tests.integration.images.archives import Made, digest, docker_archive, tar
from tests.integration.images.place import Place, chunks, written

pytestmark = pytest.mark.root

BASE = Made(
    layers=[tar({"etc/hello": b"hello\n"})],
    blobs=[gzip.compress(tar({"etc/hello": b"hello\n"}))],
    tags=["base:1"],
)
LAYER = tar({"etc/.wh.hello": b"", "new": b"new\n"})


async def commit(place: Place, layer: bytes | AsyncIterator[bytes] = LAYER, name: str = "child:1") -> Image:
    base = place.images.get("base:1")
    asked = Commit(
        parent=base.id,
        container="c0ffee",
        container_config=ContainerConfig(cmd=["sh", "-c", "x"], hostname="h"),
        config=ContainerConfig(cmd=["new"], env=["A=b"]),
        author="me",
        comment="why",
    )
    read = []

    async def done() -> None:
        read.append(True)

    repo, _, tag = name.partition(":")
    source = written(chunks(layer) if isinstance(layer, bytes) else layer)
    made = await place.images.commit(asked, source, place.images.require_name(repo, tag), read=done)
    assert read == [True]
    return made


async def test_what_it_says(place: Place) -> None:
    await place.load(docker_archive(BASE))
    made = await commit(place)
    assert made.parent == BASE.id
    assert made.references == ["child:1"]
    assert made.config.diff_ids == [digest(BASE.layers[0]), digest(LAYER)]
    assert (made.config.author, made.config.container) == ("me", "c0ffee")
    assert (made.config.run.cmd, made.config.run.env) == (["new"], ["A=b"])
    (first, last) = made.config.history
    assert first == place.images.get("base:1").config.history[0]
    assert (last.created_by, last.author, last.comment, last.empty_layer) == ("sh -c x", "me", "why", False)
    assert made.layers[0].blob == digest(BASE.stored[0]), "the layer below stays as it is stored"
    assert place.layer_file("child:1", "new", layer=1) == b"new\n"
    assert [step.id for step in place.images.history("child:1")] == [made.id, BASE.id]
    assert await place.happened() == [f"load {BASE.id}", "tag child:1"]


async def test_nothing_changed_adds_no_layer(place: Place) -> None:
    await place.load(docker_archive(BASE))
    made = await commit(place, END, "")
    assert made.config.diff_ids == [digest(BASE.layers[0])]
    assert made.config.history[-1].empty_layer
    assert made.references == []


async def test_it_goes_with_all_that_is_its_own(place: Place) -> None:
    await place.load(docker_archive(BASE))
    before = await place.files()
    await commit(place)
    await place.images.remove("child:1", prune=False)
    assert await place.files() == before


async def test_the_base_may_be_removed_meanwhile(place: Place) -> None:
    await place.load(docker_archive(BASE))

    async def layer() -> AsyncIterator[bytes]:
        yield LAYER[:512]
        await place.images.remove("base:1")
        yield LAYER[512:]

    made = await commit(place, layer())
    assert place.layer_file("child:1", "new", layer=1) == b"new\n"
    assert await place.files() == {*made.blobs, *made.chains}


async def test_a_layer_that_breaks_off_leaves_nothing(place: Place) -> None:
    await place.load(docker_archive(BASE))
    before = await place.files()

    async def layer() -> AsyncIterator[bytes]:
        yield LAYER[:512]
        raise errdefs.SystemFailure("the disk is gone")

    with pytest.raises(errdefs.SystemFailure, match="the disk is gone"):
        await commit(place, layer())
    with pytest.raises(errdefs.InvalidArgument):
        await commit(place, LAYER[:700])
    assert await place.files() == before


async def test_without_its_base_there_is_no_image(place: Place) -> None:
    await place.load(docker_archive(BASE))
    asked = Commit(
        parent="sha256:" + "0" * 64,
        container="c",
        container_config=ContainerConfig(),
        config=ContainerConfig(),
        author="",
        comment="",
    )
    with pytest.raises(errdefs.NotFound, match="No such image"):
        await place.images.commit(
            asked, written(chunks(LAYER)), None, read=lambda: pytest.fail("nothing was read")
        )
