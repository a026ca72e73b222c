"""From a Dockerfile to an image: steps in their order, the image's config, what is shown."""

from tests.integration.build.solving.builder import Builder, steps

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
    assert built.config.run.env is not None and "PLACE=world" in built.config.run.env
    assert built.config.diff_ids == built.ref.diff_ids
    assert [each.empty_layer for each in built.config.history[-3:]] == [True, False, True]
