"""Lists, names, histories, and what survives a restart."""

from pathlib import Path

import msgspec
import pytest

import errdefs
from engine.filters import Filters
from engine.images.images import Images
from tests.integration.images.archives import Made, docker_archive, tar
from tests.integration.images.place import Place, User

pytestmark = pytest.mark.root

OLD = Made(layers=[tar({"a": b"a"})], tags=["old:1"], said={"created": "2020-01-01T00:00:00Z"})
MIDDLE = Made(
    layers=[tar({"a": b"a"}), tar({"b": b"bb"})],
    tags=[],
    said={"created": "2021-01-01T00:00:00Z", "config": {"Labels": {"x": "y"}}},
)
NEW = Made(
    layers=[tar({"c": b"c"})],
    tags=["registry.example/new:1", "new:2"],
    said={"created": "2022-01-01T00:00:00Z"},
)


@pytest.fixture
async def full(place: Place) -> Place:
    await place.load(docker_archive(OLD, MIDDLE, NEW))
    return place


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, [NEW, MIDDLE, OLD]),
        ({"dangling": ["true"]}, [MIDDLE]),
        ({"dangling": ["false"]}, [NEW, OLD]),
        ({"label": ["x"]}, [MIDDLE]),
        ({"label": ["made=yes"]}, [NEW, OLD]),
        ({"label": ["made=no"]}, []),
        ({"label!": ["x=y"]}, [NEW, OLD]),
        ({"before": ["new:2"]}, [MIDDLE, OLD]),
        ({"since": ["old:1"]}, [NEW, MIDDLE]),
        ({"since": ["old:1"], "before": ["new:2"]}, [MIDDLE]),
        ({"until": ["2020-06-01"]}, [OLD]),
        ({"reference": ["old"]}, [OLD]),
        ({"reference": ["*:2"]}, [NEW]),
        ({"reference": ["registry.example/*"]}, [NEW]),
        ({"reference": ["docker.io/library/old:1", "new"]}, [NEW, OLD]),
        ({"reference": ["none"]}, []),
    ],
)
async def test_filters(full: Place, filters: dict[str, list[str]], expected: list[Made]) -> None:
    found = full.images.list(Filters.of(**filters))
    assert [each.image.id for each in found] == [made.id for made in expected]


async def test_a_reference_filter_hides_other_names(full: Place) -> None:
    (found,) = full.images.list(Filters.of(reference=["new"]))
    assert found.references == ["new:2"]
    assert found.image.references == ["new:2", "registry.example/new:1"]


async def test_counts_and_shares(full: Place) -> None:
    full.users[OLD.id] = [User("1"), User("2", running=True)]
    found = {each.image.id: each for each in full.images.list(Filters())}
    assert [found[made.id].users for made in (OLD, MIDDLE, NEW)] == [["1", "2"], [], []]
    assert [found[made.id].shared_size for made in (OLD, MIDDLE, NEW)] == [1, 1, 0]
    assert [found[made.id].image.size for made in (OLD, MIDDLE, NEW)] == [1, 3, 1]


@pytest.mark.parametrize(
    ("filters", "failure", "message"),
    [
        ({"bogus": ["x"]}, errdefs.InvalidArgument, "invalid filter 'bogus'"),
        ({"dangling": ["maybe"]}, errdefs.InvalidArgument, "invalid filter 'dangling=\\[maybe\\]'"),
        ({"before": ["gone"]}, errdefs.NotFound, "No such image: gone:latest"),
        ({"until": ["soon"]}, errdefs.InvalidArgument, "invalid value for 'until' filter"),
        ({"reference": ["["]}, errdefs.InvalidArgument, "syntax error in pattern"),
    ],
)
async def test_bad_filters(
    full: Place, filters: dict[str, list[str]], failure: type[Exception], message: str
) -> None:
    with pytest.raises(failure, match=message):
        full.images.list(Filters.of(**filters))


async def test_tags_move(full: Place) -> None:
    await full.images.tag("old:1", "moved", "")
    await full.images.tag(NEW.id[7:20], "moved", "")
    assert full.images.get("moved:latest").id == NEW.id
    assert full.images.get("old:1").references == ["old:1"]
    assert (await full.happened())[-2:] == ["tag moved:latest"] * 2
    for repo, message in [("sha256", "ambiguous"), ("", "invalid reference format"), ("A", "lowercase")]:
        with pytest.raises(errdefs.InvalidArgument, match=message):
            await full.images.tag("old:1", repo, "")
    with pytest.raises(errdefs.NotFound):
        await full.images.tag("gone", "x", "")


async def test_history(full: Place) -> None:
    steps = full.images.history(MIDDLE.id)
    assert [(step.created_by, step.size, step.id) for step in steps] == [
        ("step 1", 2, MIDDLE.id),
        ("step 0", 1, "<missing>"),
    ]


async def test_all_of_it_survives_a_restart(full: Place, root: Path) -> None:
    before = {each.image.id: each.image for each in full.images.list(Filters())}
    files = await full.files()
    await full.close()
    again = await Place.open(root)
    assert {each.image.id: each.image for each in again.images.list(Filters())} == before
    assert await again.files() == files
    await again.close()


async def test_an_image_that_lost_content_is_hidden_until_it_is_loaded_again(full: Place, root: Path) -> None:
    image = full.images.get("new:2")
    await full.snapshots.remove(image.chain_id)
    await full.close()
    again = await Place.open(root)
    with pytest.raises(errdefs.NotFound):
        again.images.get("new:2")
    await again.load(docker_archive(NEW))
    assert again.layer_file("new:2", "c") == b"c"
    await again.close()


async def test_orphans_are_swept_at_the_start(full: Place, root: Path) -> None:
    files = await full.files()
    await full.content.put(b"orphan")
    await full.snapshots.prepare("unpack-1", None)
    await full.snapshots.prepare("x", None)
    await full.snapshots.commit("sha256:" + "0" * 64, "x")
    await full.snapshots.prepare("someone-else", None)
    await full.close()
    again = await Place.open(root)
    assert await again.files() == files | {"someone-else"}
    await again.close()


async def test_what_an_image_takes_as_content(full: Place) -> None:
    image = full.images.get("old:1")
    assert image.descriptor.media_type == "application/vnd.oci.image.manifest.v1+json"
    assert image.descriptor.size == len(await full.content.read(image.manifest))
    assert image.content_size == sum([await full.content.size(digest) for digest in image.blobs])


async def test_records_of_before_sizes_of_documents_were_noted(full: Place) -> None:
    """They are measured when the daemon starts."""
    image = full.images.get("old:1")
    bare = msgspec.structs.replace(image, manifest_type="", manifest_size=0, config_size=0)
    await full.images._store.save(bare)
    assert full.images.get("old:1").content_size != image.content_size
    again = await Images.open(full.database, full.content, full.snapshots, full.events, lambda _: [])
    assert again.get("old:1") == image
