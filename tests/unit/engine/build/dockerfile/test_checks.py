"""The rules of `docker build --check`."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.build.dockerfile.checks import Report, Scene, check
from engine.build.dockerfile.checks import rules as every_rule
from engine.build.dockerfile.checks.rules import Rule
from engine.build.dockerfile.parser import parse
from engine.build.ignore import Ignore
from engine.build.source import DockerfileError, SourceFile
from engine.containers.config import ContainerConfig
from engine.images.config import ImageConfig
from engine.images.platforms import Platform

HERE = Platform(os="linux", architecture="amd64")
PLATFORMS = {"TARGETPLATFORM": "linux/amd64", "TARGETARCH": "amd64", "BUILDPLATFORM": "linux/amd64"}


def report(text: str, **others: object) -> Report:
    dockerfile = parse(SourceFile("Dockerfile", text.encode()))
    variables = PLATFORMS | {
        each.name: each.default for arg in dockerfile.arguments for each in arg.arguments
    }
    scene = {"given": {}, "variables": variables, "stages": range(9), "target": HERE, **others}
    return check(dockerfile, Scene(**scene))  # type: ignore[arg-type]


def found(text: str, **others: object) -> list[str]:
    """As `Rule line`."""
    return [f"{each.rule.name} {each.position.first}" for each in report(text, **others).violations]


@pytest.mark.parametrize(
    ("text", "violation"),
    [
        ("FROM a AS B", "StageNameCasing 1"),
        ("FROM a as b", "FromAsCasing 1"),
        ("from a AS b", "FromAsCasing 1"),
        ("FROM a\nRUN b \\\n\n c", "NoEmptyContinuation 4"),
        ("FROM a\nrun b", "ConsistentInstructionCasing 2"),
        ("FROM a AS b\nFROM a AS b", "DuplicateStageName 2"),
        ("FROM a AS context", "ReservedStageName 1"),
        ("FROM a\nCMD b", "JSONArgsRecommended 2"),
        ("FROM a\nMAINTAINER b", "MaintainerDeprecated 2"),
        ("ARG b\nFROM a$b$c", "UndefinedArgInFrom 2"),
        ("FROM a\nWORKDIR b", "WorkdirRelativePath 2"),
        ("FROM a\nUSER $b", "UndefinedVar 2"),
        ('FROM a\nCMD ["a"]\nCMD ["b"]', "MultipleInstructionsDisallowed 2"),
        ("FROM a\nLABEL a b", "LegacyKeyValueFormat 2"),
        ("FROM --platform=$TARGETPLATFORM a", "RedundantTargetPlatform 1"),
        ("FROM a\nARG API_KEY", "SecretsUsedInArgOrEnv 2"),
        ("FROM a\nENV password=x", "SecretsUsedInArgOrEnv 2"),
        ("ARG tag\nFROM a:$tag", "InvalidDefaultArgInFrom 2"),
        ("FROM --platform=linux/arm64 a", "FromPlatformFlagConstDisallowed 1"),
        ("FROM a\nEXPOSE 80/TCP", "ExposeProtoCasing 2"),
        ("FROM a\nEXPOSE 80:80", "ExposeInvalidFormat 2"),
        ("FROM a\nCOPY <<E /x\n$y\nE", "UndefinedVar 2"),
        ("FROM a\nARG b=$c", "UndefinedVar 2"),
        ("FROM a\nRUN --mount=target=$b c", "UndefinedVar 2"),
    ],
)
def test_a_rule_is_looked_at(text: str, violation: str) -> None:
    assert found(text) == [violation]


@pytest.mark.parametrize(
    "text",
    [
        "from a as b\nrun c",
        "ARG b=c\nFROM a:$b",
        "FROM a\nWORKDIR /a\nWORKDIR b",
        "FROM a\nWORKDIR /a\nFROM a\nWORKDIR /b",
        "FROM a AS b\nARG c=d\nWORKDIR /e\nFROM b\nWORKDIR $c",
        "FROM a\nARG b\nUSER $b",
        "FROM a\nENV a=b c=$PATH\nUSER $a",
        'FROM a\nSHELL ["b"]\nCMD c',
        "FROM a\nENV PUBLIC_KEY=x KEY_FILE=y MONKEY=z",
        "FROM --platform=$BUILDPLATFORM a",
        "FROM --platform=linux/arm64 a AS a-arm64",
        "FROM a\nEXPOSE 80/udp",
        "FROM a\nCOPY <<'E' /x\n$y\nE",
        "FROM a\nRUN echo $y",
        "FROM a AS b\nONBUILD ENV c=d\nFROM b\nUSER $c",
    ],
)
def test_what_is_well_has_no_violation(text: str) -> None:
    assert found(text) == []


def test_violations_are_skipped_where_that_is_said() -> None:
    bad = "FROM a\nUSER $b\nWORKDIR c"
    assert found(f"# check=skip=UndefinedVar\n{bad}") == ["WorkdirRelativePath 4"]
    assert found(f"# check=skip=UndefinedVar, WorkdirRelativePath\n{bad}") == []
    assert found(f"# check=skip=all\n{bad}") == []
    assert found("FROM a\n# check=skip=UndefinedVar\nUSER $b\nUSER $c") == ["UndefinedVar 4"]


def test_experimental_rules_are_asked_for() -> None:
    text = "# says something\nFROM a AS b"
    assert found(text) == []
    assert found(f"# check=experimental=all\n{text}") == ["InvalidDefinitionDescription 3"]
    assert found("# check=experimental=InvalidDefinitionDescription\n# b says it\nFROM a AS b") == []


def test_violations_may_be_errors() -> None:
    assert report("FROM a\nUSER $b").failure == ""
    assert report("# check=error=true\nFROM a\nUSER b").failure == ""
    bad = "# check=error=true\nFROM a\nUSER $b\nUSER $c\nWORKDIR d"
    assert report(bad).failure == "lint violation found for rules: UndefinedVar, WorkdirRelativePath"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("foo", 'invalid check option "foo"'),
        ("foo=bar", 'invalid check option "foo"'),
        (
            "error=maybe",
            'failed to parse check option "error=maybe": strconv.ParseBool: parsing "maybe": invalid syntax',
        ),
    ],
)
def test_bad_options_are_refused(options: str, message: str) -> None:
    with pytest.raises(DockerfileError) as raised:
        report(f"# check={options}\nFROM a")
    assert raised.value.message == message


def test_what_the_base_image_has_is_known() -> None:
    run = ContainerConfig(env=["A=b"], shell=["bash"], on_build=["ARG x"])
    base = ImageConfig(os="linux", architecture="arm64", config=run)
    text = "FROM a\nUSER $A$x\nCMD c"
    assert found(text, bases={0: base}) == ["InvalidBaseImagePlatform 1"]


def test_stages_that_are_not_built_are_not_looked_at() -> None:
    assert found("FROM a AS b\nUSER $c\nFROM a", stages=[1]) == []


def test_a_suggestion_is_made() -> None:
    (violation,) = report("FROM a\nARG version\nENV name=x\nUSER $nmae").violations
    assert violation.message == "Usage of undefined variable '$nmae' (did you mean $name?)"
    assert violation.finding("v").short == f"UndefinedVar: {violation.message} (line 4)"


def test_ignored_files_are_not_to_be_copied() -> None:
    text = "FROM a\nCOPY b.c /\nADD d /\nCOPY --from=x b.c /\nADD https://x/b.c /"
    assert found(text, ignore=Ignore(["*.c"])) == ["CopyIgnoredFile 2"]
    assert found(text, ignore=Ignore(["*.c", "!e.c"])) == []
    assert found("FROM a\nCOPY . /", ignore=Ignore(["*"])) == ["CopyIgnoredFile 2"]


PIECES = st.sampled_from(
    [
        *("FROM a AS b", "FROM b", "ENV a=", "ARG x=", "EXPOSE 80/TCP", "WORKDIR w", "RUN --mount=target="),
        *("COPY <<E /x\n", "E", "LABEL a ", "CMD x", "ONBUILD ", "# check=skip=all", "$x", "${x:-", "}"),
        *("'", '"', "\n", " ", "[", "\\"),
    ]
)


@given(st.lists(PIECES, max_size=25).map("".join))
def test_what_can_be_read_can_be_checked(text: str) -> None:
    with suppress(DockerfileError):
        report(f"FROM a\n{text}")


def test_rules_are_explained() -> None:
    known = [each for each in vars(every_rule).values() if isinstance(each, Rule)]
    assert len(known) == 22
    urls = {rule.name: rule.url for rule in known}
    assert urls["JSONArgsRecommended"].endswith("/rule/json-args-recommended/")
    assert urls["SecretsUsedInArgOrEnv"].endswith("/rule/secrets-used-in-arg-or-env/")
    assert urls["InvalidBaseImagePlatform"] == ""
