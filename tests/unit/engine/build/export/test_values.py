"""What exporters are asked, and build caches as documents."""

import json

import msgspec
import pytest

import errdefs
from engine.build.export import attributes, cache_config
from engine.build.export.cache_export import reference_of, wanted_steps
from engine.build.export.exporters import require_caches, require_exporters
from engine.build.given import GivenCredentials
from engine.build.refs import Layer, Ref
from engine.build.request import Target
from engine.build.results import Built, CacheStep, Result
from engine.images import image
from engine.images.config import ImageConfig
from engine.images.layouts import Descriptor
from engine.images.platforms import Platform
from engine.registry.credentials import Credentials

GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"


def target(kind: str = "image", **said: str) -> Target:
    return Target(kind=kind, attributes={name.replace("_", "-"): value for name, value in said.items()})


@pytest.mark.parametrize(
    ("text", "value"), [("", True), ("true", True), ("1", True), ("F", False), ("0", False)]
)
def test_flags(text: str, value: bool) -> None:
    assert attributes.flag({"push": text}, "push", default=not value) == value
    assert attributes.flag({}, "push", default=value) == value


def test_a_flag_that_is_none() -> None:
    with pytest.raises(errdefs.InvalidArgument, match="non-bool value specified for push"):
        attributes.flag({"push": "maybe"}, "push", default=False)


def test_names() -> None:
    named = attributes.names(target(name="b:1,a,docker.io/library/a:latest,,localhost:5/x"))
    assert [each.canonical for each in named] == [
        *("docker.io/library/b:1", "docker.io/library/a:latest", "localhost:5/x:latest")
    ]
    assert attributes.names(target()) == []


@pytest.mark.parametrize("name", ["BAD", "a@sha256:" + "0" * 64, "a b", "sha256:x"])
def test_names_that_cannot_be(name: str) -> None:
    with pytest.raises(errdefs.InvalidArgument):
        attributes.names(target(name=name))


@pytest.mark.parametrize(
    "asked",
    [
        target(compression="zstd"),
        target(compression="estargz"),
        target(oci_mediatypes="false"),
        target(rewrite_timestamp="true"),
        target(push_by_digest="true"),
        Target(kind="oci", attributes={"annotation.a": "b"}),
    ],
)
def test_what_is_not_served_is_refused(asked: Target) -> None:
    with pytest.raises(errdefs.Unsupported):
        attributes.require_supported(asked)


def test_what_is_served_is_not_refused() -> None:
    for each in (target(), target(compression="gzip"), target(oci_mediatypes="true", push_by_digest="false")):
        attributes.require_supported(each)


def test_kinds() -> None:
    assert require_exporters([target(""), target("cacheonly"), target("tar")]) == [target("tar")]
    with pytest.raises(errdefs.InvalidArgument, match='exporter "nope" could not be found'):
        require_exporters([target("nope")])
    require_caches([target("inline"), target("registry"), target("local")])
    with pytest.raises(errdefs.Unsupported, match="type gha are not supported"):
        require_caches([target("gha")])


def digest(letter: str) -> str:
    return "sha256:" + letter * 64


def layer(letter: str) -> Layer:
    return Layer(diff_id=digest(letter), chain_id=digest(letter.upper()), blob=digest(letter), size=7)


def step(letter: str, root: str = "", *, changed: bool = True) -> CacheStep:
    made = layer(letter) if changed else None
    return CacheStep(key=f"key-{letter}", parent="", root=root, layer=made, created=10**9)


def stored(letter: str) -> image.Layer:
    """The layer as it is sent: compressed, so that its blob is another one."""
    return image.Layer(
        diff_id=digest(letter),
        chain_id="",
        size=9,
        blob=digest(chr(ord(letter) + 3)),
        blob_size=5,
        media_type=GZIP,
    )


STEPS = [step("a"), step("x", changed=False), step("b", root=digest("A")), step("c", root=digest("B"))]
SENT = [stored("a"), stored("b"), stored("c")]


def test_a_cache_there_and_back() -> None:
    raw = cache_config.encode(STEPS, SENT)
    blobs = [Descriptor(media_type=GZIP, digest=each.blob, size=each.blob_size) for each in SENT]
    offers = cache_config.offers(raw, blobs)
    assert offers["key-x"] is None
    assert offers.keys() == {"key-a", "key-x", "key-b", "key-c"}
    found = offers["key-b"]
    assert found is not None
    assert (found.blob, found.diff_id) == (blobs[1], digest("b"))
    assert [each.get("parent", 0) for each in json.loads(raw)["layers"]] == [-1, 0, 1]


def test_layers_of_which_the_blob_is_not_there_are_not_offered() -> None:
    raw = cache_config.encode(STEPS, SENT)
    blobs = [Descriptor(digest=SENT[0].blob, size=5)]
    assert cache_config.offers(raw, blobs).keys() == {"key-a", "key-x"}


def test_a_cache_in_an_image() -> None:
    ref = Ref((layer("z"), layer("a"), layer("b")))
    raw = cache_config.inline(STEPS, ref)
    blobs = [Descriptor(digest=digest(each), size=1) for each in "def"]
    offers = cache_config.inline_offers(raw, blobs, ref.diff_ids)
    assert offers.keys() == {"key-a", "key-x", "key-b"}, "what is not of the image is left out"
    found = offers["key-a"]
    assert found is not None
    assert (found.blob.digest, found.diff_id) == (digest("e"), digest("a"))
    assert cache_config.inline([], ref) == b""


@pytest.mark.parametrize(
    "raw",
    [b"", b"[]", b"{", b'{"records": 5}', b'{"records": [{"digest": "k", "layers": [{"layer": "x"}]}]}'],
)
def test_caches_that_are_none(raw: bytes) -> None:
    with pytest.raises(errdefs.InvalidArgument):
        cache_config.offers(raw, [])


@pytest.mark.parametrize("place", [-1, 1, 10**9])
def test_layers_that_there_are_not(place: int) -> None:
    raw = msgspec.json.encode({"records": [{"digest": "k", "layers": [{"layer": place}]}], "layers": [{}]})
    assert cache_config.offers(raw, []) == {}


def test_which_steps_a_cache_has() -> None:
    built = Built(platform=Platform(), ref=Ref(), config=ImageConfig(), cache=STEPS[:1], all_cache=STEPS)
    result = Result(images=[built, built])
    assert wanted_steps(target("registry"), result) == STEPS[:1]
    assert wanted_steps(target("registry", mode="max"), result) == STEPS
    with pytest.raises(errdefs.InvalidArgument, match='invalid mode "some"'):
        wanted_steps(target("registry", mode="some"), result)


def test_where_a_cache_is_kept() -> None:
    assert reference_of(target("registry", ref="x/y")).canonical == "docker.io/x/y:latest"
    with pytest.raises(errdefs.InvalidArgument, match="missing ref"):
        reference_of(target("registry"))


async def test_credentials_of_the_classic_api() -> None:
    session = GivenCredentials(
        {
            "https://index.docker.io/v1/": Credentials(username="hub", password="p"),
            "localhost:5000": Credentials(username="here", password="q"),
            "https://ghcr.io": Credentials(identity_token="t"),
        }
    )
    for host, username, secret in (
        ("registry-1.docker.io", "hub", "p"),
        ("docker.io", "hub", "p"),
        ("localhost:5000", "here", "q"),
        ("ghcr.io", "", "t"),
    ):
        found = await session.credentials(host)
        assert found is not None
        assert (found.username, found.secret) == (username, secret)
    assert await session.credentials("quay.io") is None
    with pytest.raises(errdefs.NotFound):
        await session.secret("x")
    assert not await session.agent("default")
