"""From a Dockerfile to an image: steps in their order, the image's config, what is shown."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

import errdefs
from engine.build.request import BuildRequest
from engine.build.results import BuildError, Context
from engine.build.run.failure import StepFailed
from tests.integration.build.solving.builder import Builder, Seen, steps

_ALL = """
FROM busybox AS made
WORKDIR /work
COPY greeting .
RUN cat greeting > said && echo told
FROM busybox
ENV PLACE=world
COPY --from=made /work/said /said
CMD ["cat", "/said"]
"""


async def test_stages_are_built_and_told(builder: Builder) -> None:
    builder.write(greeting="hello\n")
    result = await builder.build(_ALL)
    built = result.only
    assert builder.files[0]["said"] == b"hello\n"
    assert "told\n" in builder.seen.output()
    assert set(builder.seen.names()) >= {
        "[internal] load build definition from Dockerfile",
        "[internal] load metadata for docker.io/library/busybox:latest",
        "[internal] load .dockerignore",
        "[internal] load build context",
        "[made 2/4] WORKDIR /work",
        "[made 3/4] COPY greeting .",
        "[made 4/4] RUN cat greeting > said && echo told",
        "[stage-1 2/2] COPY --from=made /work/said /said",
    }
    assert steps(built.config)[-3:] == [
        "ENV PLACE=world",
        "COPY /work/said /said # buildkit",
        'CMD ["cat" "/said"]',
    ]
    assert built.config.run.cmd == ["cat", "/said"]
    assert "PLACE=world" in (built.config.run.env or ())
    assert built.config.diff_ids == built.ref.diff_ids
    assert [each.empty_layer for each in built.config.history[-3:]] == [True, False, True]


async def test_a_second_build_comes_from_the_cache_with_the_same_id(builder: Builder) -> None:
    builder.write(greeting="hello\n")
    first = await builder.config(_ALL)
    second = await builder.config(_ALL)
    assert second == first
    assert [name for name in builder.seen.cached() if "/" in name.split("]")[0]] == [
        "[made 1/4] FROM docker.io/library/busybox:latest",
        "[made 2/4] WORKDIR /work",
        "[made 3/4] COPY greeting .",
        "[made 4/4] RUN cat greeting > said && echo told",
        "[stage-1 2/2] COPY --from=made /work/said /said",
    ]


async def test_what_the_cache_has_takes_no_task(builder: Builder) -> None:
    chain = "FROM busybox\nWORKDIR /a\nRUN echo made >b\nENV A=b\nRUN cat b >c\n"
    loop, made = asyncio.get_running_loop(), list[str]()

    def noted(loop: asyncio.AbstractEventLoop, work: Any, **more: Any) -> "asyncio.Task[Any]":
        made.append(work.__qualname__)
        return asyncio.Task(work, loop=loop, **more)

    loop.set_task_factory(noted)
    counts: list[int] = []
    for _ in range(2):
        await builder.build(chain)
        counts.append(made.count("Solver._vertex"))
        made.clear()
    loop.set_task_factory(None)
    assert counts == [3, 0]  # the base is at hand the first time, too
    assert builder.seen.cached()[-1] == "[4/4] RUN cat b >c"


async def test_the_cache_goes_by_content(builder: Builder) -> None:
    builder.write(greeting="hello\n")
    await builder.build(_ALL)
    builder.write(greeting="good bye\n")
    await builder.build(_ALL)
    assert builder.files[0]["said"] == b"good bye\n"
    assert "[made 2/4] WORKDIR /work" in builder.seen.cached()
    assert "[made 3/4] COPY greeting ." not in builder.seen.cached()


async def test_the_cache_outlives_the_engine(builder: Builder) -> None:
    builder.write(greeting="hello\n")
    first = await builder.config(_ALL)
    await builder.shut()
    await builder.open()
    assert await builder.config(_ALL) == first
    assert "[made 4/4] RUN cat greeting > said && echo told" in builder.seen.cached()


async def test_unneeded_stages_are_skipped(builder: Builder) -> None:
    await builder.build(
        "FROM nowhere.invalid/none AS a\nRUN false\nFROM busybox AS b\nRUN true\nFROM b\nRUN echo c"
    )
    assert not any("nowhere" in name or "[a " in name for name in builder.seen.names())


async def test_a_target_is_built_alone(builder: Builder) -> None:
    built = await builder.config("FROM busybox AS one\nENV A=1\nFROM one AS two\nRUN false", target="one")
    assert "A=1" in (built.run.env or ())


async def test_no_cache_is_for_all_or_for_the_stages_that_are_named(builder: Builder) -> None:
    text = "FROM busybox AS one\nRUN echo 1 > /a\nFROM busybox AS two\nCOPY --from=one /a /a\nRUN echo 2 > /b"
    await builder.build(text)
    await builder.build(text, no_cache_stages=["two"])
    assert "[one 2/2] RUN echo 1 > /a" in builder.seen.cached()
    assert "[two 3/3] RUN echo 2 > /b" not in builder.seen.cached()
    await builder.build(text, no_cache_stages=())
    assert [name for name in builder.seen.cached() if "RUN" in name] == []


async def test_independent_stages_run_at_the_same_time(builder: Builder) -> None:
    """Each waits for the others."""
    meeting = "until [ -e /m/a ] && [ -e /m/b ] && [ -e /m/c ]; do sleep 0.05; done"
    text = f"FROM busybox AS {{0}}\nRUN --mount=type=cache,target=/m touch /{{0}} /m/{{0}}; {meeting}\n"
    copies = "FROM busybox\nCOPY --from=a /a /\nCOPY --from=b /b /\nCOPY --from=c /c /\n"
    async with asyncio.timeout(60):
        await builder.build("".join(map(text.format, "abc")) + copies)


async def test_a_failure_tells_the_step_and_its_place(builder: Builder) -> None:
    with pytest.raises(BuildError) as failed:
        await builder.build("FROM busybox\nRUN echo so; exit 3\n")
    error = failed.value
    assert error.message == 'process "/bin/sh -c echo so; exit 3" did not complete successfully: exit code: 3'
    assert isinstance(error.__cause__, StepFailed)
    assert error.__cause__.code == 3
    assert [position.first for position in error.positions] == [2]
    assert error.source is not None
    assert error.source.name == "Dockerfile"
    assert builder.seen.failed()["[2/2] RUN echo so; exit 3"] == error.message


async def test_a_missing_source_is_told_as_of_the_cache_key(builder: Builder) -> None:
    with pytest.raises(BuildError, match=r'^failed to compute cache key: .*: "/nothing": not found$'):
        await builder.build("FROM busybox\nCOPY nothing /\n")


async def test_a_missing_image_is_told_with_its_name(builder: Builder) -> None:
    with pytest.raises(
        BuildError, match=r"^nowhere\.invalid/none: failed to resolve source metadata for nowhere"
    ):
        await builder.build("FROM nowhere.invalid/none\n")


async def test_a_missing_dockerfile(builder: Builder) -> None:
    with pytest.raises(
        errdefs.NotFound, match="failed to read dockerfile: open other: no such file or directory"
    ):
        await builder.build("FROM busybox", filename="other")


async def test_times_are_those_that_are_asked_for(builder: Builder) -> None:
    built = await builder.config(
        "FROM busybox\nENV A=b\nRUN echo x > /x", arguments={"SOURCE_DATE_EPOCH": "1700000000"}
    )
    assert {each.created for each in built.history[-2:]} == {"2023-11-14T22:13:20Z"}
    assert built.created == "2023-11-14T22:13:20Z"


async def test_triggers_of_the_base_are_carried_out(builder: Builder) -> None:
    builder.write(greeting="hello\n")
    text = (
        "FROM busybox AS base\nONBUILD ENV A=b\nONBUILD COPY greeting /\nFROM base\nRUN cat /greeting > /said"
    )
    result = await builder.build(text)
    assert builder.files[0]["said"] == b"hello\n"
    assert result.only.config.run.on_build is None
    assert "A=b" in (result.only.config.run.env or ())


async def test_platforms_each_have_a_result(builder: Builder) -> None:
    text = "FROM scratch\nARG TARGETARCH\nCOPY greeting /$TARGETARCH\n"
    builder.write(greeting="hello\n")
    result = await builder.build(text, platforms=["linux/amd64", "linux/arm64"])
    assert [
        (each.config.architecture, sorted(files))
        for each, files in zip(result.images, builder.files.values(), strict=True)
    ] == [
        ("amd64", ["amd64"]),
        ("arm64", ["arm64"]),
    ]
    assert "[linux/arm64 1/1] COPY greeting /arm64" in builder.seen.names()
    assert [name for name, _ in builder.client.asked] == [
        "dockerfile",
        "context",
        "context",
    ]  # and .dockerignore


@pytest.mark.skipif(
    Path("/proc/sys/fs/binfmt_misc/qemu-s390x").exists(), reason="this host has an interpreter"
)
async def test_programs_for_another_machine_are_refused(builder: Builder) -> None:
    builder.write(greeting="hello\n")
    text = "FROM scratch\nCOPY greeting /\nRUN true"
    with pytest.raises(BuildError, match="cannot run programs for linux/s390x on this host"):
        await builder.build(text, platforms=["linux/s390x"])


async def test_a_named_context_stands_for_an_image(builder: Builder) -> None:
    other = builder.context.parent / "other"
    other.mkdir()
    (other / "file").write_text("from there\n")
    builder.client.directories = {**builder.client.directories, "there": other}
    await builder.build("FROM busybox\nCOPY --from=tools file /\n", contexts={"tools": "local:there"})
    assert builder.files[0]["file"] == b"from there\n"
    assert "[context tools] load from client" in builder.seen.names()


async def test_files_that_nobody_needs_are_not_asked_for(builder: Builder) -> None:
    builder.write(one="1", two="2", **{".dockerignore": "two\n"})
    await builder.build("FROM busybox\nCOPY one /\n")
    wanted = [wanted for name, wanted in builder.client.asked if name == "context"][-1]
    assert (wanted.follow, wanted.exclude) == (["one"], ["two"])
    await builder.build("FROM busybox\nRUN true\n")
    assert "[internal] load build context" not in builder.seen.names()


async def test_findings_are_told(builder: Builder) -> None:
    await builder.build("FROM busybox as one\nRUN true\n")
    assert any("FromAsCasing" in each for each in builder.seen.findings())


async def test_builds_that_want_the_same_do_it_once(builder: Builder) -> None:
    text = "FROM busybox\nRUN sleep 1; cat /proc/sys/kernel/random/uuid > /id\n"
    asked = BuildRequest(id="other")
    (builder.context / "Dockerfile").write_text(text)

    async def one() -> tuple[str, Seen]:
        seen = Seen()
        async with builder.builds.plan(asked, builder.client, Context(), seen) as planned:
            result = await builder.builds.execute(planned)
            return result.only.ref.chain_id, seen

    (first, _), (second, _) = await asyncio.gather(one(), one())
    assert first == second


async def test_a_client_that_goes_ends_its_steps(builder: Builder) -> None:
    building = asyncio.get_running_loop().create_task(builder.build("FROM busybox\nRUN echo on; sleep 600\n"))
    await asyncio.sleep(0)
    await builder.seen.told("on")
    building.cancel()
    await asyncio.wait([building])
    assert building.cancelled()
    assert builder.seen.failed() == {"[2/2] RUN echo on; sleep 600": "context canceled"}
    assert not list((builder.daemon.data_root / "build" / "contexts").iterdir())
