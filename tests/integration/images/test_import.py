"""Root filesystems in, images of one layer out."""

import gzip
import json
from collections.abc import AsyncIterator

import pytest

import errdefs
from engine.images import config
from tests.integration.images.archives import digest, tar
from tests.integration.images.place import Place, chunks

pytestmark = pytest.mark.root

ROOTFS = tar({"etc/hello": b"hello\n"})


async def test_a_plain_root_filesystem(place: Place) -> None:
    image_id = await place.images.import_(
        chunks(ROOTFS),
        repo="made",
        tag="1",
        message="by hand",
        changes=['CMD ["sh"]', "ENV A=b"],
        platform="linux/arm64",
    )
    image = place.images.get("made:1")
    raw = await place.content.read(image_id)
    assert image.id == image_id == config.digest_of(raw)
    assert image.chain_id == digest(ROOTFS)
    assert (image.config.run.cmd, image.config.run.env) == (["sh"], ["A=b"])
    assert image.comment == "by hand"
    assert image.platform.architecture == "arm64"
    assert json.loads(raw)["history"] == [{"created": image.config.created, "comment": "by hand"}]
    assert place.layer_file("made:1", "etc/hello") == b"hello\n"
    assert image.last_tagged > 0
    assert await place.happened() == ["tag made:1", f"import {image_id}"]


async def test_a_compressed_one_stays_as_it_came(place: Place) -> None:
    packed = gzip.compress(ROOTFS)
    image_id = await place.images.import_(chunks(packed))
    image = place.images.get(image_id)
    assert image.references == []
    assert image.layers[0].blob == digest(packed)
    assert image.layers[0].diff_id == digest(ROOTFS)
    assert image.layers[0].media_type.endswith("tar+gzip")
    assert image.comment == "Imported from -"


async def test_the_same_twice_shares_the_layer(place: Place) -> None:
    await place.images.import_(chunks(ROOTFS), repo="one")
    await place.images.import_(chunks(ROOTFS), repo="two")
    assert place.images.count() == 2
    assert len(place.snapshots.walk()) == 1
    await place.images.remove("one")
    assert place.layer_file("two", "etc/hello") == b"hello\n"
    await place.images.remove("two")
    assert await place.files() == set()


async def test_an_empty_one_is_an_image_without_files(place: Place) -> None:
    image = place.images.get(await place.images.import_(chunks(b"")))
    assert image.size == 0
    assert image.config.diff_ids == [digest(b"")]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"repo": "Made"}, "must be lowercase"),
        ({"repo": "made", "tag": "a b"}, "invalid tag format"),
        ({"repo": "made@" + digest(b"")}, "cannot import digest reference"),
        ({"repo": "sha256"}, "ambiguous tag"),
        ({"changes": ["RUN x"]}, "RUN is not a valid change command"),
        ({"platform": "windows/amd64"}, "operating system is not supported"),
        ({"platform": "a/b/c/d"}, "cannot parse platform specifier"),
    ],
)
async def test_bad_requests_do_not_read_the_archive(
    place: Place, asked: dict[str, object], message: str
) -> None:
    async def unread() -> AsyncIterator[bytes]:
        for _ in range(1):
            pytest.fail("the archive was read")
        yield b""

    with pytest.raises(errdefs.InvalidArgument, match=message):
        await place.images.import_(unread(), **asked)  # type: ignore[arg-type]
    assert await place.files() == set()


@pytest.mark.parametrize("archive", [b"no tar" * 1000, gzip.compress(ROOTFS)[:-30], ROOTFS[:515]])
async def test_bad_archives_leave_nothing(place: Place, archive: bytes) -> None:
    with pytest.raises(errdefs.InvalidArgument):
        await place.images.import_(chunks(archive), repo="made")
    assert await place.files() == set()
    assert place.images.count() == 0
