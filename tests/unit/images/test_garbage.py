"""What goes when the disk fills up, as a decision."""

from typing import Any

import pytest

from engine.config.image_gc import ImageGC
from engine.containers.config import ContainerConfig
from engine.images.config import ImageConfig
from engine.images.garbage import Disk, choose
from engine.images.image import Image, Layer

SECOND = 1_000_000_000
NOW = 1_000_000 * SECOND
POLICY = ImageGC(high=80, low=50, min_age=100.0, keep=())
EVERYTHING = 1 << 60


def layer(name: str, size: int, blob_size: int = 0) -> Layer:
    return Layer(
        diff_id=name, chain_id=name, size=size, blob=f"blob-{name}", blob_size=blob_size, media_type=""
    )


def image(name: str, *, age: float = 1000.0, layers: list[Layer] | None = None, **more: Any) -> Image:
    """An image of a layer of its own of 100 bytes, and 10 bytes of documents."""
    labels = more.pop("labels", None)
    return Image(
        id=name,
        config=ImageConfig(config=ContainerConfig(labels=labels)),
        layers=[layer(name, 100)] if layers is None else layers,
        manifest=f"manifest-{name}",
        manifest_size=6,
        config_size=4,
        made=NOW - round(age * SECOND),
        **more,
    )


def going(*images: Image, used: str = "", policy: ImageGC = POLICY, excess: int = EVERYTHING) -> list[str]:
    chosen = choose(images, lambda each: [each.id] if each.id in used.split() else [], policy, excess, NOW)
    return [f"{each.image.id} {each.frees}" for each in chosen]


@pytest.mark.parametrize(
    ("used", "free", "excess"),
    [(0, 0, 0), (79, 21, 0), (80, 20, 30), (100, 0, 50), (800_001, 199_999, 300_001), (50, 0, 25)],
)
def test_the_disk(used: int, free: int, excess: int) -> None:
    assert Disk(used=used, free=free).excess(POLICY) == excess


def test_nothing_goes_while_there_is_room() -> None:
    assert going(image("a"), excess=0) == []


@pytest.mark.parametrize(
    ("excess", "expected"),
    [(1, ["old 110"]), (110, ["old 110"]), (111, ["old 110", "new 110"]), (999, ["old 110", "new 110"])],
)
def test_the_longest_unused_goes_first_and_no_more_than_need_be(excess: int, expected: list[str]) -> None:
    assert going(image("new", age=200), image("old", age=300), excess=excess) == expected


@pytest.mark.parametrize("age", [0.0, 50.0, 99.9])
def test_what_is_young_stays(age: float) -> None:
    at = NOW - round(age * SECOND)
    for young in (image("a", age=age), image("a", last_tagged=at), image("a", last_used=at)):
        assert going(young) == []
    assert going(image("a", age=100.0)) == ["a 110"]


def test_a_clock_that_was_set_back_removes_nothing() -> None:
    assert going(image("a", age=-5000)) == []


def test_what_a_container_uses_stays_and_what_it_was_built_on() -> None:
    assert going(image("base"), image("child", parent="base"), image("c"), used="child") == ["c 110"]


def test_children_go_before_their_parents() -> None:
    base, middle, top = (
        image("base", age=900),
        image("middle", parent="base"),
        image("top", age=200, parent="middle"),
    )
    assert going(base, middle, top) == ["top 110", "middle 110", "base 110"]
    young = image("top", age=1, parent="middle")
    assert going(base, middle, young) == []


@pytest.mark.parametrize(
    ("keep", "stays"),
    [
        ("label=pin", True),
        ("label=pin=yes", True),
        ("label=pin=no", False),
        ("label=pi", False),
        ("app", True),
        ("app:1", True),
        ("app:2", False),
        ("app:*", True),
        ("a*", True),
        ("docker.io/library/app:1", True),
        ("other", False),
        ("[", True),
    ],
)
def test_what_is_to_be_kept(keep: str, stays: bool) -> None:
    pinned = image("a", labels={"pin": "yes"}, references=["app:1"])
    policy = ImageGC(high=80, low=50, min_age=0.0, keep=("nothing", keep))
    assert going(pinned, policy=policy) == ([] if stays else ["a 110"])


def test_a_kept_digest() -> None:
    digest = f"reg:5000/app@sha256:{'a' * 64}"
    policy = ImageGC(high=80, low=50, min_age=0.0, keep=("reg:5000/app*",))
    assert going(image("a", digests=[digest]), image("b"), policy=policy) == ["b 110"]


def test_what_others_share_is_free_with_the_last_of_them() -> None:
    shared = layer("shared", 1000, 500)
    first = image("first", age=300, layers=[shared, layer("x", 7, 3)])
    second = image("second", age=200, layers=[shared])
    assert going(first, second) == ["first 20", "second 1510"]
    assert going(first, second, used="second") == ["first 20"]


def test_a_layer_twice_in_an_image_counts_once_by_its_blob() -> None:
    twice = [layer("a", 5, 50), layer("b", 6, 50)]
    same = [
        twice[0],
        Layer(diff_id="a", chain_id="b", size=6, blob=twice[0].blob, blob_size=50, media_type=""),
    ]
    assert going(image("i", layers=same)) == ["i 71"]
