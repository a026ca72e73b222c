"""The images that builds stand on: from a registry, without becoming images here."""

import asyncio
from collections.abc import Iterator

import pytest

from engine.build.request import BuildRequest
from engine.build.results import Context
from engine.filters import Filters
from engine.progress import Message
from tests.integration.build.solving.builder import Builder, Seen
from tests.integration.one_image_registry import MANIFEST, digest_of, one_image_registry


@pytest.fixture
def registry() -> Iterator[str]:
    """A registry with an image, by its address."""
    with one_image_registry() as server:
        yield server


async def pull(builder: Builder, name: str) -> None:
    async def unheard(_: Message) -> None:
        """Nobody looks."""

    await builder.engine.pulls.pull(name, "", platform="", credentials=None, progress=unheard)


def _names(builder: Builder) -> list[str]:
    return [
        name
        for image in builder.engine.images.list(Filters(), all_images=True)
        for name in image.image.references
    ]


async def test_an_image_of_a_registry_is_fetched_for_the_build_alone(builder: Builder, registry: str) -> None:
    text = f"FROM {registry}/one:1\nENV A=b\n"
    built = await builder.build(text)
    shown = f"[1/1] FROM {registry}/one:1@{digest_of(MANIFEST)}"
    assert shown in builder.seen.names()
    assert shown not in builder.seen.cached()
    assert len(built.only.ref.layers) == 1
    assert _names(builder) == ["busybox:latest"]
    await builder.build(text)
    assert shown in builder.seen.cached()
    (kept,) = await builder.engine.build_cache.usage()
    assert kept.record.description == f"pulled from {registry}/one:1@{digest_of(MANIFEST)}"


async def test_what_was_fetched_outlives_the_engine(builder: Builder, registry: str) -> None:
    text = f"FROM {registry}/one:1\nENV A=b\n"
    await builder.build(text)
    await builder.shut()
    await builder.open()
    await builder.build(text)
    assert f"[1/1] FROM {registry}/one:1@{digest_of(MANIFEST)}" in builder.seen.cached()


async def test_an_image_that_is_here_is_taken_unless_it_is_asked_for_anew(
    builder: Builder, registry: str
) -> None:
    await builder.engine.images.tag("busybox", f"{registry}/one", "1")
    text = f"FROM {registry}/one:1\n"
    here = await builder.build(text)
    there = await builder.build(text, pull=True)
    assert here.only.ref != there.only.ref
    assert f"[1/1] FROM {registry}/one:1" not in builder.seen.names()


async def test_what_steps_stand_on_stays_when_the_image_goes(builder: Builder, registry: str) -> None:
    """It would be fetched again otherwise, with all steps in the cache."""
    name, text = f"{registry}/one:1", f"FROM {registry}/one:1\nCOPY Dockerfile /\n"
    await pull(builder, name)
    first = await builder.build(text)
    (kept, _step) = await builder.engine.build_cache.usage()
    assert (kept.record.description, kept.shared, kept.own) == (f"from local {name}", True, 0)
    await builder.engine.images.remove(name)
    (kept, step) = await builder.engine.build_cache.usage()
    assert not kept.shared
    assert kept.own > 0
    assert step.record.parent == kept.record.id
    again = await builder.build(text)
    assert again.only.ref == first.only.ref
    shown = f"[1/2] FROM {name}@{digest_of(MANIFEST)}"
    assert builder.seen.cached() == [shown, "[2/2] COPY Dockerfile /"]
    assert len(await builder.engine.build_cache.usage()) == 2


async def test_the_classic_builder_keeps_what_it_pulls(builder: Builder, registry: str) -> None:
    builder.write(Dockerfile=f"FROM {registry}/one:1\n")
    asked = BuildRequest(id="test", classic=True)
    async with builder.builds.plan(
        asked, builder.client, Context(directory=builder.context), Seen()
    ) as planned:
        await builder.builds.execute(planned)
    assert f"{registry}/one:1" in _names(builder)


async def test_who_shares_a_step_has_it_when_the_first_one_goes(builder: Builder) -> None:
    wait = "--mount=type=cache,target=/m touch /m/here; echo on; until [ -e /m/go ]; do sleep 0.05; done"
    builder.write(
        Dockerfile=f"FROM busybox\nCOPY greeting /\nRUN {wait}; cat greeting > /said\n", greeting="x"
    )

    async def one(seen: Seen) -> str:
        async with builder.builds.plan(BuildRequest(id="a"), builder.client, Context(), seen) as planned:
            return (await builder.builds.execute(planned)).only.ref.chain_id

    first, second = Seen(), Seen()
    async with asyncio.TaskGroup() as group:
        going = group.create_task(one(first))
        await first.told("on")
        staying = group.create_task(one(second))
        await second.told("on")
        going.cancel()
        await asyncio.wait([going])
        (here,) = (builder.daemon.data_root / "build/cache").glob("*/here")
        here.with_name("go").touch()
    assert going.cancelled()
    assert staying.result()
