"""The build cache within its size and age."""

from pathlib import Path

import pytest

import errdefs
from engine.build.keeping import usual
from engine.build.results import BuildError
from engine.build.source import DockerfileError
from engine.config.builder import BuilderConfig, Policy
from tests.integration.build.solving.builder import Builder

_BIG = "FROM busybox\nRUN head -c 1000000 /dev/zero > /a\nRUN head -c 2000000 /dev/zero > /b\n"


def _blobs(builder: Builder) -> int:
    content = Path(builder.daemon.data_root / "content")
    return sum(path.stat().st_size for path in content.rglob("*") if path.is_file())


async def _kept(builder: Builder, config: BuilderConfig) -> list[str]:
    await builder.engine.building.keeping.look(config)
    return [each.record.description for each in await builder.engine.build_cache.usage()]


async def test_what_is_too_much_goes_with_its_layers(builder: Builder) -> None:
    before = _blobs(builder)
    await builder.build(_BIG)
    everything = ["[2/3] RUN head -c 1000000 /dev/zero > /a", "[3/3] RUN head -c 2000000 /dev/zero > /b"]
    assert await _kept(builder, BuilderConfig(keep=10_000_000)) == everything
    assert await _kept(builder, BuilderConfig(keep=3_000_000)) == everything[:1]
    assert await _kept(builder, BuilderConfig(keep=1)) == []
    assert _blobs(builder) == before
    await builder.build(_BIG)
    assert not any("RUN" in name for name in builder.seen.cached())


async def test_policies_are_those_of_the_file(builder: Builder) -> None:
    await builder.build(_BIG)
    hour = 3600 * 10**9
    assert len(await _kept(builder, BuilderConfig(policies=(Policy(keep=1, unused=hour),)))) == 2
    assert len(await _kept(builder, BuilderConfig(policies=(Policy(keep=1, filters=("type=other",)),)))) == 2
    assert (
        len(await _kept(builder, BuilderConfig(policies=(Policy(keep=1, filters=("type=regular",)),)))) == 0
    )


def test_the_usual_policies() -> None:
    assert [each.max_used for each in usual(10**10)] == [1_380_000_000, 10**10, 10**10, 10**10]
    assert usual(10**6)[0].max_used == 512 * 10**6


async def test_what_is_not_granted_is_refused(builder: Builder) -> None:
    text = "FROM busybox\nRUN --security=insecure true\n"
    with pytest.raises(DockerfileError, match=r"security\.insecure is not allowed"):
        await builder.build(text)
    with pytest.raises(errdefs.Forbidden, match=r"granting entitlement security\.insecure is not allowed"):
        await builder.build(text, insecure=True)
    builder.builds.configure(BuilderConfig(insecure=True))
    await builder.build(
        "FROM busybox\nRUN --security=insecure grep -q CapEff /proc/self/status\n", insecure=True
    )


async def test_layers_that_are_too_many(builder: Builder) -> None:
    text = "FROM scratch\n" + "".join(f"COPY <<x /{number}\n{number}\nx\n" for number in range(126))
    with pytest.raises(BuildError, match="max depth exceeded"):
        await builder.build(text)
