"""Names and images taken away, and what is refused."""

import pytest

import errdefs
from engine.images import reference
from engine.images.remove import Removed
from tests.integration.images.archives import Made, digest, docker_archive, tar
from tests.integration.images.place import Place, User

pytestmark = pytest.mark.root

USER = "c0ffee" + "0" * 58
LAYERS = [tar({"a": b"a"}), tar({"b": b"b"})]


async def loaded(place: Place, *tags: str, **said: object) -> Made:
    made = Made(layers=LAYERS, tags=list(tags), said=said)
    await place.load(docker_archive(made))
    return made


def deleted(*ids: str) -> list[Removed]:
    return [Removed(deleted=each) for each in ids]


def untagged(*names: str) -> list[Removed]:
    return [Removed(untagged=each) for each in names]


async def test_the_last_name_takes_the_image_along(place: Place) -> None:
    made = await loaded(place, "a:1", "b:1")
    chains = [layer.chain_id for layer in place.images.get("a:1").layers]
    assert await place.images.remove("a:1") == untagged("a:1")
    assert await place.images.remove("b:1") == untagged("b:1") + deleted(made.id, *reversed(chains))
    assert await place.files() == set()
    assert (await place.happened())[1:] == [f"untag {made.id}"] * 2 + [f"delete {made.id}"]


@pytest.mark.parametrize("length", [12, 64, 71])
async def test_by_id(place: Place, length: int) -> None:
    made = await loaded(place, "a:1")
    asked = made.id if length == 71 else made.id[7 : 7 + length]
    removed = await place.images.remove(asked)
    assert removed[:2] == untagged("a:1") + deleted(made.id)
    assert await place.files() == set()


async def test_an_id_with_several_names_must_be_forced(place: Place) -> None:
    made = await loaded(place, "a:1", "b:1")
    with pytest.raises(errdefs.Conflict) as refused:
        await place.images.remove(made.id)
    assert refused.value.message == (
        f"conflict: unable to delete {made.id[7:19]} (must be forced) - "
        "image is referenced in multiple repositories"
    )
    removed = await place.images.remove(made.id, force=True)
    assert removed[:3] == untagged("a:1", "b:1") + deleted(made.id)


async def test_a_stopped_container_holds_the_last_name(place: Place) -> None:
    made = await loaded(place, "a:1")
    place.users[made.id] = [User(USER)]
    with pytest.raises(errdefs.Conflict) as refused:
        await place.images.remove("a:1")
    assert refused.value.message == (
        'conflict: unable to remove repository reference "a:1" (must force) - container c0ffee000000 is using '
        f"its referenced image {made.id[7:19]}"
    )
    with pytest.raises(errdefs.Conflict, match=r"\(must be forced\) - image is being used by stopped cont"):
        await place.images.remove(made.id)
    assert place.images.get("a:1").id == made.id


async def test_a_forced_removal_leaves_a_containers_layers(place: Place) -> None:
    made = await loaded(place, "a:1")
    top = place.images.get("a:1").chain_id
    await place.snapshots.prepare(USER, top)
    place.users[made.id] = [User(USER)]
    assert await place.images.remove("a:1", force=True) == untagged("a:1") + deleted(made.id)
    assert len(place.snapshots.walk()) == 3
    await place.snapshots.remove(USER)
    await place.images.release(top)
    assert await place.files() == set()


async def test_a_running_container_cannot_be_forced(place: Place) -> None:
    made = await loaded(place, "a:1")
    place.users[made.id] = [User(USER, running=True)]
    with pytest.raises(errdefs.Conflict) as refused:
        await place.images.remove(made.id, force=True)
    assert refused.value.message == (
        f"conflict: unable to delete {made.id[7:19]} (cannot be forced) - "
        "image is being used by running container c0ffee000000"
    )
    assert await place.images.remove("a:1", force=True) == untagged("a:1")
    assert place.images.get(made.id).references == []


async def test_one_name_of_several_goes_though_the_image_is_used(place: Place) -> None:
    made = await loaded(place, "a:1", "b:1")
    place.users[made.id] = [User(USER, running=True)]
    assert await place.images.remove("a:1") == untagged("a:1")


async def test_shared_layers_stay(place: Place) -> None:
    await loaded(place, "a:1")
    other = Made(layers=[*LAYERS, tar({"c": b"c"})], tags=["c:1"])
    await place.load(docker_archive(other))
    chains = [layer.chain_id for layer in place.images.get("c:1").layers]
    assert await place.images.remove("c:1") == untagged("c:1") + deleted(other.id, chains[2])
    assert place.layer_file("a:1", "a") == b"a"


async def test_parents(place: Place) -> None:
    parent = Made(layers=LAYERS[:1], tags=[], said={"history": [{"created_by": "one"}]})
    child = Made(
        tags=["c:1"], said={"history": [{"created_by": "one"}, {"created_by": "two"}]}, layers=LAYERS
    )
    await place.load(docker_archive(parent))
    await place.load(docker_archive(child))
    await place.images._store.adopt(place.images.get("c:1"), parent.id)
    with pytest.raises(errdefs.Conflict, match="cannot be forced\\) - image has dependent child images"):
        await place.images.remove(parent.id, force=True)
    steps = place.images.history("c:1")
    assert [step.id for step in steps] == [child.id, parent.id]
    assert [step.created_by for step in steps] == ["two", "one"]
    removed = await place.images.remove("c:1")
    assert Removed(deleted=parent.id) in removed
    assert await place.files() == set()


async def test_digests_go_with_the_last_tag_of_their_repository(place: Place) -> None:
    made = await loaded(place, "a:1", "a:2", "b:1")
    digests = [reference.parse(name).with_digest(digest(b"")) for name in ("a", "b")]
    image = await place.images._store.save(place.images.get("a:1"), digests)
    assert image.digests == [f"a@{digest(b'')}", f"b@{digest(b'')}"]
    assert place.images.get(f"a@{digest(b'')}").id == made.id
    assert await place.images.remove("a:1") == untagged("a:1")
    assert await place.images.remove("a:2") == untagged("a:2", f"a@{digest(b'')}")
    removed = await place.images.remove(made.id)
    assert removed[:3] == untagged("b:1", f"b@{digest(b'')}") + deleted(made.id)


async def test_no_such_image(place: Place) -> None:
    for asked, shown in [("x", "x:latest"), ("x:1", "x:1"), ("abc123", "abc123:latest"), (digest(b""),) * 2]:
        with pytest.raises(errdefs.NotFound) as refused:
            await place.images.remove(asked)
        assert refused.value.message == f"No such image: {shown}"
    with pytest.raises(errdefs.InvalidArgument, match="invalid reference format"):
        await place.images.remove("no reference")
