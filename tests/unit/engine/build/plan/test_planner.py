"""From Dockerfiles to plans, as BuildKit and the classic builder make them."""

import pytest

from engine.build.plan.bases import Aim
from engine.build.results import BuildError
from engine.build.solver.keys import Digests
from engine.build.source import DockerfileError
from engine.build.steps import Copy, Files, ImageSource, MakeDirectory, MakeFile, Run, UrlSource
from engine.images.platforms import Platform
from tests.unit.engine.build.plan.planning import HOST, history, image, last, names, planned, wanted

ARM = Platform(os="linux", architecture="arm64")


def test_the_names_of_one_stage() -> None:
    plan = planned("FROM busybox\nWORKDIR /a\nCOPY x .\nRUN make\nENV A=b\n")
    assert names(plan) == [
        "[1/4] FROM docker.io/library/busybox:latest",
        "[2/4] WORKDIR /a",
        "[internal] load build context",
        "[3/4] COPY x .",
        "[4/4] RUN make",
    ]


def test_the_names_of_stages() -> None:
    plan = planned("FROM busybox AS one\nRUN a\nFROM scratch\nCOPY --from=one /x /\nCOPY --from=0 /y /\n")
    assert names(plan) == [
        "[one 1/2] FROM docker.io/library/busybox:latest",
        "[one 2/2] RUN a",
        "[stage-1 1/2] COPY --from=one /x /",
        "[stage-1 2/2] COPY --from=0 /y /",
    ]


def test_numbers_are_of_the_same_width() -> None:
    plan = planned("FROM busybox\n" + "RUN a\n" * 9)
    assert names(plan)[1] == "[ 2/10] RUN a"


def test_an_image_beside_the_stages_gives_them_names() -> None:
    plan = planned("FROM scratch\nCOPY --from=busybox /x /\n")
    assert names(plan) == ["FROM docker.io/library/busybox:latest", "[stage-0 1/1] COPY --from=busybox /x /"]


def test_platforms_are_shown_where_there_are_several() -> None:
    aim = Aim(platform=ARM, host=HOST, asked=True, several=True)
    text = "FROM --platform=$BUILDPLATFORM busybox AS b\nARG TARGETPLATFORM\nRUN a\nFROM busybox\nCOPY --from=b / /"
    assert names(planned(text, aim=aim)) == [
        "[linux/amd64 b 1/2] FROM docker.io/library/busybox:latest",
        "[linux/amd64->arm64 b 2/2] RUN a",
        "[linux/arm64 stage-1 2/2] COPY --from=b / /",
    ]


def test_an_image_is_one_vertex_for_all_stages() -> None:
    plan = planned("FROM busybox AS a\nRUN x\nFROM busybox\nCOPY --from=a / /\n")
    sources = [each for each in plan.vertices if isinstance(each.operation, ImageSource)]
    assert [each.name for each in sources] == ["[a 1/2] FROM docker.io/library/busybox:latest"]


def test_history_as_buildkit_writes_it() -> None:
    plan = planned(
        """FROM busybox
ARG V=1
ENV A=$V B="x y"
LABEL k="v w"
RUN echo $A
WORKDIR /app
WORKDIR sub
COPY --chown=1:2 --chmod=600 a b /c/
ADD d .
COPY <<one <<two /e/
1
one
2
two
USER 1
EXPOSE 80 53/udp
VOLUME /d1 /d2
STOPSIGNAL SIGTERM
SHELL ["/bin/ash", "-c"]
HEALTHCHECK --interval=90s --retries=3 CMD true
CMD echo "hi"
ENTRYPOINT ["a", "b\\n"]
MAINTAINER me
ONBUILD RUN x
"""
    )
    assert history(plan) == [
        "ARG V=1",
        "ENV A=1 B=x y",
        "LABEL k=v w",
        "RUN |1 V=1 /bin/sh -c echo $A # buildkit",
        "WORKDIR /app",
        "WORKDIR /app/sub",
        "COPY --chown=1:2 --chmod=600 a b /c/ # buildkit",
        "ADD d . # buildkit",
        "COPY <<one <<two /e/ # buildkit",
        "USER 1",
        "EXPOSE map[53/udp:{} 80/tcp:{}]",
        "VOLUME [/d1 /d2]",
        "STOPSIGNAL SIGTERM",
        "SHELL [/bin/ash -c]",
        """HEALTHCHECK &{["CMD-SHELL" "true"] "1m30s" "0s" "0s" "0s" '\\x03'}""",
        'CMD ["/bin/ash" "-c" "echo \\"hi\\""]',
        'ENTRYPOINT ["a" "b\\n"]',
        "MAINTAINER me",
    ]
    assert plan.config.author == "me"
    assert plan.config.run.on_build == ["RUN x"]


def test_history_as_the_classic_builder_writes_it() -> None:
    plan = planned(
        "FROM busybox\nARG V=1\nENV A=b\nRUN make\nWORKDIR /app\nCOPY --chown=1 x y\nEXPOSE 81 80\nCMD a\n"
        "ONBUILD RUN x\n",
        classic=True,
        labels={"l": "m"},
    )
    assert history(plan) == [
        "/bin/sh -c #(nop)  ARG V=1",
        "/bin/sh -c #(nop)  ENV A=b",
        "|1 V=1 /bin/sh -c make",
        "/bin/sh -c #(nop) WORKDIR /app",
        "/bin/sh -c #(nop) COPY --chown=1 {sources} in y ",
        "/bin/sh -c #(nop)  EXPOSE 80 81",
        '/bin/sh -c #(nop)  CMD ["/bin/sh" "-c" "a"]',
        "/bin/sh -c #(nop)  ONBUILD RUN x",
        "/bin/sh -c #(nop)  LABEL l=m",
    ]
    assert [step.text for step in plan.steps][:2] == ["FROM busybox", "ARG V=1"]
    assert plan.steps[-1].text == "LABEL l=m"


@pytest.mark.parametrize(
    ("arguments", "value"),
    [({}, "global"), ({"A": "given"}, "given"), ({"A": None}, "global")],
)
def test_arguments_of_the_file_come_into_stages_that_ask(
    arguments: dict[str, str | None], value: str
) -> None:
    plan = planned("ARG A=global\nFROM busybox\nARG A\nRUN x\n", arguments=arguments)
    assert isinstance(last(plan).operation, Run)
    assert f"A={value}" in last(plan).operation.env  # type: ignore[union-attr]


def test_arguments_are_not_seen_where_they_are_not_asked_for() -> None:
    operation = last(planned("ARG A=1\nFROM busybox\nRUN x\n", arguments={"B": "2"})).operation
    assert isinstance(operation, Run)
    assert not any(each.startswith(("A=", "B=")) for each in operation.env)


def test_what_nobody_asks_for_is_told() -> None:
    plan = planned(
        "ARG A\nFROM busybox\nARG B\n", arguments={"A": "1", "B": "2", "C": "3", "HTTP_PROXY": "x"}
    )
    assert plan.unused == ["C"]


def test_proxies_are_no_part_of_the_environment() -> None:
    operation = last(planned("FROM busybox\nRUN x\n", arguments={"http_proxy": "p"})).operation
    assert isinstance(operation, Run)
    assert operation.proxy == {"http_proxy": "p", "HTTP_PROXY": "p"}
    assert not any("proxy" in each.lower() for each in operation.env)


def test_proxies_of_the_classic_api_are_as_they_are_told() -> None:
    text = "FROM busybox\nENV no_proxy=own\nRUN x\n"
    plan = planned(text, arguments={"http_proxy": "p", "no_proxy": "other"}, classic=True)
    operation = last(plan).operation
    assert isinstance(operation, Run)
    assert operation.proxy == {"http_proxy": "p"}
    assert history(plan)[-1] == "|0 /bin/sh -c x"


def test_a_stage_goes_on_where_another_ended() -> None:
    plan = planned("FROM busybox AS a\nENV A=1\nWORKDIR /w\nUSER u\nFROM a\nRUN x\n")
    operation = last(plan).operation
    assert isinstance(operation, Run)
    assert (operation.cwd, operation.user, "A=1" in operation.env) == ("/w", "u", True)


def test_triggers_of_an_image_come_first_and_are_gone() -> None:
    base = image(on_build=["ENV A=1", "RUN trigger"])
    plan = planned("FROM base\nRUN own\n", images={"base": base})
    assert names(plan) == [
        "[1/2] FROM docker.io/library/base:latest",
        "[2/2] ONBUILD RUN trigger",
        "[3/2] RUN own",
    ]
    assert plan.config.run.on_build is None
    assert base.run.on_build == ["ENV A=1", "RUN trigger"]


def test_an_entrypoint_takes_the_command_of_the_image_away() -> None:
    assert planned('FROM busybox\nENTRYPOINT ["e"]\n').config.run.cmd is None
    assert planned('FROM busybox\nCMD ["c"]\nENTRYPOINT ["e"]\n').config.run.cmd == ["c"]


def test_what_copies_take() -> None:
    text = "FROM scratch\nWORKDIR /w\nCOPY a /b/../c d/\nADD --chown=1 x.tar http://h/f[1].gz .\n"
    plan = planned(text)
    _, copy, add = [each.operation for each in plan.vertices if isinstance(each.operation, Files)]
    assert copy.actions == [Copy(source=1, sources=["a", "c"], destination="/w/d/", exclude=[])]
    assert add.actions == [
        Copy(source=1, sources=["x.tar"], destination="/w/", owner="1", exclude=[], unpack=True),
        Copy(source=2, sources=["*"], destination="/w/", owner="1", exclude=[]),
    ]
    assert any(vertex.operation == UrlSource(url="http://h/f[1].gz") for vertex in plan.vertices)
    assert wanted(text) == {"context": ["a", "c", "x.tar"]}


def test_heredocs_are_files() -> None:
    operation = last(planned("FROM scratch\nENV A=1\nCOPY <<x <<'y' /\n$A\nx\n$A\ny\n")).operation
    assert isinstance(operation, Files)
    assert operation.actions == [
        MakeFile(destination="/", name="x", content=b"1\n"),
        MakeFile(destination="/", name="y", content=b"$A\n"),
    ]


def test_directories_are_made_for_the_user() -> None:
    operation = last(planned("FROM busybox\nUSER 7\nWORKDIR /a\n")).operation
    assert operation == Files(actions=[MakeDirectory(path="/a", owner="7")])


def test_stages_that_nobody_needs_are_not_asked_for() -> None:
    plan = planned("FROM nowhere AS a\nFROM busybox\nRUN x\n")
    assert names(plan) == ["[stage-1 1/2] FROM docker.io/library/busybox:latest", "[stage-1 2/2] RUN x"]


def test_a_target_by_name() -> None:
    text = "FROM busybox AS one\nENV A=1\nFROM one AS Two\nENV B=2\nFROM one\n"
    assert "B=2" in (planned(text, target="two").config.run.env or ())
    with pytest.raises(DockerfileError, match=r'^target stage "0" could not be found$'):
        planned(text, target="0")
    with pytest.raises(
        DockerfileError, match=r'^target stage "tow" could not be found \(did you mean two\?\)$'
    ):
        planned(text, target="tow")


@pytest.mark.parametrize(
    ("text", "message", "lines"),
    [
        ("FROM busybox AS a\nCOPY --from=b / /\nFROM busybox AS b\nCOPY --from=a / /\n", "circular", [2]),
        (
            "FROM busybox AS a\nCOPY --from=1 / /\nFROM busybox\nFROM a",
            'cannot copy from stage "1", it needs to be defined before current stage "a"',
            [2],
        ),
        ("FROM busybox\nCOPY --from=7 / /\n", "invalid stage index 7", [2]),
        ("ARG A\nFROM $A\n", "base name .* should not be blank", [2]),
        ("FROM busybox\nCOPY http://h/x /\n", "source can't be a URL for COPY", [2]),
        ("FROM busybox\n\nRUN --security=insecure x\n", "security.insecure is not allowed", [3]),
        ("FROM busybox\nENV A=${B:?missing}\n", "B: missing", [2]),
        ("FROM busybox\nEXPOSE x\n", "invalid containerPort: x", [2]),
        ("FROM busybox\nSTOPSIGNAL SIGX\n", "[Ii]nvalid signal: SIGX", [2]),
        ("FROM x:y:z\n", 'failed to parse stage name "x:y:z": invalid reference format', [1]),
    ],
)
def test_what_cannot_be_has_a_place(text: str, message: str, lines: list[int]) -> None:
    with pytest.raises(DockerfileError, match=message) as found:
        planned(text)
    assert [position.first for position in found.value.positions] == lines


def test_an_image_that_is_not_there_has_a_place() -> None:
    with pytest.raises(BuildError, match=r"^nope: docker\.io/library/nope:latest: not found$") as found:
        planned("FROM busybox\nFROM nope\n")
    assert [position.first for position in found.value.positions] == [2]


def test_mounts() -> None:
    text = (
        "FROM busybox AS s\nFROM busybox\nARG N=x\n"
        "RUN --mount=from=s,source=a,target=b --mount=type=cache,target=/c,id=$N,uid=3"
        " --mount=type=secret,id=t --mount=type=tmpfs,target=/t,size=1k --mount=source=d,target=/e,rw true\n"
    )
    operation = last(planned(text, arguments={"BUILDKIT_CACHE_MOUNT_NS": "space"})).operation
    assert isinstance(operation, Run)
    found = [(each.kind, each.target, each.source, each.path, each.id) for each in operation.mounts]
    assert found == [
        ("bind", "/b", 1, "/a", ""),
        ("cache", "/c", None, "/", "space/x"),
        ("secret", "/run/secrets/t", None, "", "t"),
        ("tmpfs", "/t", None, "", ""),
        ("bind", "/e", 2, "/d", ""),
    ]
    assert [each.read_only for each in operation.mounts][::4] == [True, False]
    assert wanted(text) == {"context": ["d"]}


def test_a_script_of_a_heredoc_is_mounted() -> None:
    operation = last(planned("FROM busybox\nRUN <<x\n#!/bin/sh\necho\nx\n")).operation
    assert isinstance(operation, Run)
    assert operation.args[0] in ("/dev/pipes/x", "/bin/sh")


def test_no_cache_is_for_stages_by_name() -> None:
    text = "FROM busybox AS A\nRUN x\nFROM busybox\nCOPY --from=a / /\n"

    def ignoring(stages: list[str] | None) -> list[bool]:
        return [each.ignore_cache for each in planned(text, no_cache_stages=stages).vertices]

    assert ignoring(["a"]) == [False, True, False]
    assert ignoring([]) == [False, True, True]
    assert ignoring(None) == [False, False, False]


def test_a_context_stands_for_an_image() -> None:
    text = "FROM busybox AS a\nRUN x\nFROM scratch\nCOPY --from=a /x /\nCOPY --from=files f /\n"
    contexts = {"busybox": "docker-image://other", "files": "local:mine"}
    plan = planned(text, images={"other": image()}, contexts=contexts)
    assert names(plan) == [
        "[context busybox] docker.io/library/other:latest",
        "[a 1/2] RUN x",
        "[stage-1 1/2] COPY --from=a /x /",
        "[context files] load from client",
        "[stage-1 2/2] COPY --from=files f /",
    ]
    assert wanted("FROM scratch\nCOPY --from=files f /\n", contexts=contexts) == {"mine": ["f"]}


def test_a_context_stands_for_a_stage() -> None:
    text, contexts = "FROM busybox AS a\nRUN x\nFROM a\nRUN y\n", {"a": "local:mine"}
    plan = planned(text, contexts=contexts)
    assert names(plan) == [
        "[context a] load from client",
        "[context a] load from client",
        "[stage-1 1/1] RUN y",
    ]
    assert wanted(text, contexts=contexts) == {"mine": ()}


def test_a_context_may_be_for_one_platform() -> None:
    contexts = {"busybox::linux/arm64": "docker-image://other"}
    text = "FROM busybox\nRUN x\n"
    assert "other" not in names(planned(text, images={"other": image()}, contexts=contexts))[0]
    aim = Aim(platform=ARM, host=HOST, asked=True)
    assert "other" in names(planned(text, images={"other": image()}, contexts=contexts, aim=aim))[0]


@pytest.mark.parametrize(
    ("context", "message"),
    [
        ("nothing", "invalid context specifier nothing for busybox"),
        ("oci-layout://x", 'oci-layout reference "x" has no digest'),
        ("oci-layout://x y", 'could not parse oci-layout reference "x y": invalid reference format'),
        ("tarball://x", "unsupported context source tarball for busybox"),
    ],
)
def test_what_is_no_context(context: str, message: str) -> None:
    with pytest.raises(DockerfileError, match=message):
        planned("FROM busybox\n", contexts={"busybox": context})


def test_the_classic_builder_knows_no_platforms() -> None:
    operation = last(planned("FROM busybox\nARG TARGETARCH\nRUN x\n", classic=True)).operation
    assert isinstance(operation, Run)
    assert not any(each.startswith("TARGETARCH") for each in operation.env)


def test_huge_files_are_planned_in_time_or_refused() -> None:
    variables = "".join(f"ENV V{number}=x\n" for number in range(4_000))
    assert len(planned(f"FROM busybox\n{variables}").entries) == 4_000
    chain = "".join(f"FROM scratch AS s{n}\nCOPY --from=s{n - 1} / /\n" for n in range(1, 1_500))
    assert len(planned(f"FROM scratch AS s0\n{chain}").vertices) == 1_499
    with pytest.raises(DockerfileError, match="more than 2000 instructions"):
        planned(f"FROM busybox\n{variables}", classic=True)


def test_digests_of_long_chains() -> None:
    plan = planned("FROM busybox\n" + "RUN x\n" * 3_000)
    assert len({Digests()(last(plan)), Digests()(plan.vertices[0])}) == 2
