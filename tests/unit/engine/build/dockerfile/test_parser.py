"""Dockerfiles as a whole: lines, heredocs, directives, and each instruction."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.build.dockerfile import instructions as kinds
from engine.build.dockerfile.document import Dockerfile
from engine.build.dockerfile.instructions import Instruction
from engine.build.dockerfile.parser import parse, parse_instruction
from engine.build.dockerfile.values import Argument, Heredoc, Pair
from engine.build.source import DockerfileError, Position, SourceFile
from engine.containers.config import Healthcheck


def read(text: str | bytes) -> Dockerfile:
    content = text.encode() if isinstance(text, str) else text
    return parse(SourceFile("Dockerfile", content))


def one(text: str) -> Instruction:
    """The only instruction after a FROM."""
    (instruction,) = read(f"FROM scratch\n{text}").stages[0].instructions
    return instruction


def refused(text: str | bytes) -> DockerfileError:
    with pytest.raises(DockerfileError) as raised:
        read(text)
    assert raised.value.positions
    return raised.value


def test_lines_are_joined_and_comments_left_out() -> None:
    read_file = read("FROM a\nRUN one \\\n  # comment\n\n  two \\  \n\tthree\r\nCMD x")
    run, cmd = read_file.stages[0].instructions
    assert isinstance(run, kinds.Run)
    assert run.words == ["one   two \tthree"]
    assert run.position == Position(2, 6)
    assert cmd.position == Position(7, 7)
    assert read_file.empty_continuations == [Position(6, 6)]


def test_an_escaped_escape_continues_nothing() -> None:
    run, other = read("FROM a\nRUN a\\\\\nRUN b").stages[0].instructions
    assert (run.text, other.text) == ("RUN a\\\\", "RUN b")


def test_a_byte_order_mark_and_spaces_before_instructions_mean_nothing() -> None:
    assert read(b"\xef\xbb\xbf   FROM a\n \t RUN b").stages[0].start.base == "a"


def test_directives_are_read_above_everything() -> None:
    found = read(
        "# Syntax = docker/dockerfile:1.7-labs\n#escape=`\n# check=skip=all;error=true\nFROM a `\n AS b"
    )
    assert found.syntax == "docker/dockerfile:1.7-labs"
    assert (found.escape, found.check) == ("`", "skip=all;error=true")
    assert found.stages[0].name == "b"


@pytest.mark.parametrize("before", ["# comment\n", "\n", "FROM b\n", "# unknown=x\n"])
def test_directives_are_comments_after_anything_else(before: str) -> None:
    assert read(f"{before}# escape=`\nFROM a").escape == "\\"


def test_a_line_of_a_shebang_may_stand_above_syntax() -> None:
    assert read("#!/usr/bin/env docker\n# syntax=docker/dockerfile:1\nFROM a").syntax == "docker/dockerfile:1"


@pytest.mark.parametrize(
    "syntax",
    [
        "docker/dockerfile",
        "docker.io/docker/dockerfile:1",
        "docker/dockerfile-upstream:master",
        "mirror:5000/docker/dockerfile:1.4@sha256:" + "0" * 64,
    ],
)
def test_the_syntax_of_docker_is_built_in(syntax: str) -> None:
    assert read(f"# syntax={syntax}\nFROM a").syntax == syntax


def test_another_syntax_is_refused() -> None:
    error = refused("# syntax=tonistiigi/dockerfile:x\nFROM a")
    assert 'frontend "tonistiigi/dockerfile:x" is not supported' in error.message
    assert "x/y" in refused("// syntax=x/y\n{}").message


def test_arguments_before_the_first_stage_are_global() -> None:
    found = read("ARG A=1 B\n# Stage says what it is\nFROM --platform=$P x AS Stage\nARG C\nFROM Stage")
    (arg,) = found.arguments
    assert arg.arguments == [Argument("A", "1"), Argument("B")]
    first, second = found.stages
    assert (first.start.base, first.start.platform, first.name) == ("x", "$P", "stage")
    assert first.start.comments == ("Stage says what it is",)
    assert (second.start.base, second.name) == ("Stage", "")


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("ENV a=b", [Pair("a", "b")]),
        (
            'ENV a=b c=\'d e\' f="g\\"h" i=j\\ k',
            [Pair("a", "b"), Pair("c", "'d e'"), Pair("f", '"g\\"h"'), Pair("i", "j\\ k")],
        ),
        ("ENV a b  c=d", [Pair("a", "b  c=d", old_form=True)]),
        ("LABEL a=", [Pair("a", "")]),
        ('LABEL "a b"=c', [Pair('"a b"', "c")]),
        ("label x=$y", [Pair("x", "$y")]),
    ],
)
def test_pairs(text: str, pairs: list[Pair]) -> None:
    instruction = one(text)
    assert isinstance(instruction, kinds.Env | kinds.Label)
    assert instruction.pairs == pairs


@pytest.mark.parametrize(
    ("text", "words", "shell"),
    [
        ("CMD echo  a", ["echo  a"], True),
        ('CMD ["a", "b\\u00e9"]', ["a", "bé"], False),
        ("CMD []", [], False),
        ("CMD", [], True),
        ("CMD ['a']", ["['a']"], True),
        ('CMD ["a"] b', ['["a"] b'], True),
        ("CMD [NaN]", ["[NaN]"], True),
        ('CMD ["\\ud800"]', ["\ufffd"], False),
        ('ENTRYPOINT   [ "x" ]  ', ["x"], False),
        ("RUN [", ["["], True),
    ],
)
def test_command_lines(text: str, words: list[str], shell: bool) -> None:
    instruction = one(text)
    assert isinstance(instruction, kinds.Command)
    assert (list(instruction.words), instruction.shell) == (words, shell)


def test_run_has_flags() -> None:
    run = one("RUN --mount=type=cache,target=/c --mount=target=/b --network=none --security=insecure -- --x")
    assert isinstance(run, kinds.Run)
    assert run.mounts == ["type=cache,target=/c", "target=/b"]
    assert (run.network, run.security, run.words) == ("none", "insecure", ["--x"])


def test_copy_has_flags() -> None:
    copy = one(
        'COPY --from=x --chown=a:b --chmod=u+x --link --parents --exclude=*.c --exclude="a b" a "b" c/'
    )
    assert isinstance(copy, kinds.Copy)
    assert (copy.origin, copy.chown, copy.chmod, copy.link, copy.parents) == ("x", "a:b", "u+x", True, True)
    assert copy.exclude == ["*.c", "a b"]
    assert (copy.sources, copy.destination) == (["a", '"b"'], "c/")


def test_add_has_flags() -> None:
    add = one('ADD --checksum=sha256:x --keep-git-dir=false --unpack --link=false ["a b", "c"]')
    assert isinstance(add, kinds.Add)
    assert (add.checksum, add.keep_git_dir, add.unpack, add.link) == ("sha256:x", False, True, False)
    assert (add.sources, add.destination) == (["a b"], "c")
    plain = one("ADD a b")
    assert isinstance(plain, kinds.Add)
    assert (plain.keep_git_dir, plain.unpack) == (None, None)


def test_the_rest() -> None:
    found = read(
        'FROM a\nMAINTAINER me <a@b>\nUSER a:b c\nWORKDIR /a b\nVOLUME /a /b\nVOLUME ["/c d"]\nEXPOSE 90 80/udp\n'
        'STOPSIGNAL SIGQUIT\nSHELL ["a"]\nHEALTHCHECK NONE\nONBUILD  RUN  x'
    ).stages[0]
    maintainer, user, workdir, volume, other, expose, stop, shell, health, trigger = found.instructions
    assert isinstance(maintainer, kinds.Maintainer)
    assert maintainer.maintainer == "me <a@b>"
    assert isinstance(user, kinds.User)
    assert user.user == "a:b c"
    assert isinstance(workdir, kinds.Workdir)
    assert workdir.path == "/a b"
    assert isinstance(volume, kinds.Volume)
    assert volume.paths == ["/a", "/b"]
    assert isinstance(other, kinds.Volume)
    assert other.paths == ["/c d"]
    assert isinstance(expose, kinds.Expose)
    assert expose.ports == ["80/udp", "90"]
    assert isinstance(stop, kinds.StopSignal)
    assert stop.signal == "SIGQUIT"
    assert isinstance(shell, kinds.Shell)
    assert shell.words == ["a"]
    assert isinstance(health, kinds.HealthCheck)
    assert health.check == Healthcheck(test=["NONE"])
    assert isinstance(trigger, kinds.OnBuild)
    assert trigger.expression == "RUN  x"


def test_health_checks_have_times() -> None:
    health = one(
        "HEALTHCHECK --interval=1m30s --timeout=500ms --start-period=1h --start-interval=2s --retries=3 CMD a  b"
    )
    assert isinstance(health, kinds.HealthCheck)
    assert health.check == Healthcheck(
        test=["CMD-SHELL", "a  b"],
        interval=90_000_000_000,
        timeout=500_000_000,
        start_period=3_600_000_000_000,
        start_interval=2_000_000_000,
        retries=3,
    )
    listed = one('healthcheck cmd ["a"]')
    assert isinstance(listed, kinds.HealthCheck)
    assert listed.check.test == ["CMD", "a"]


def test_heredocs_are_read() -> None:
    text = "RUN <<A cat - <<-'B' && 3<<\"C\" x\none\nA\n\ttwo\n\tB\r\nthree $x\nC\nRUN next"
    run, after = read(f"FROM a\n{text}").stages[0].instructions
    assert isinstance(run, kinds.Run)
    assert run.heredocs == [
        Heredoc("A", "one\n"),
        Heredoc("B", "\ttwo\n", expand=False, chomp=True),
        Heredoc("C", "three $x\n", expand=False, descriptor=3),
    ]
    assert run.heredocs[1].chomped == "two\n"
    assert (run.position, after.position) == (Position(2, 8), Position(9, 9))


def test_copy_makes_files_of_heredocs() -> None:
    copy = one("COPY <<a b <<'c' /d/\nA\na\nC\nc")
    assert isinstance(copy, kinds.Copy)
    assert copy.sources == ["b"]
    assert copy.files == [Heredoc("a", "A\n"), Heredoc("c", "C\n", expand=False)]


def test_what_only_looks_like_a_heredoc_is_none() -> None:
    for text in ("RUN a <<<b", "CMD <<A", 'RUN ["<<A"]', "RUN $((1<<2))"):
        instruction = one(text)
        assert not getattr(instruction, "heredocs", ())


def test_triggers_keep_their_heredocs() -> None:
    trigger = one("ONBUILD COPY <<-E /x\n\ta\n\tE")
    assert isinstance(trigger, kinds.OnBuild)
    assert trigger.expression == "COPY <<-E /x\n\ta\nE"
    copy = parse_instruction(trigger.expression, Position(5, 5))
    assert isinstance(copy, kinds.Copy)
    assert copy.files[0].chomped == "a\n"
    assert copy.position == Position(5, 5)


def test_a_bad_trigger_is_where_its_stage_is() -> None:
    for text in ("RUNN x", "RUN a\nRUN b", ""):
        with pytest.raises(DockerfileError) as raised:
            parse_instruction(text, Position(4, 4))
        assert raised.value.positions == (Position(4, 4),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("FORM x", "unknown instruction: FORM (did you mean FROM?)"),
        ("form x", "unknown instruction: form (did you mean from?)"),
        ("FROM a\nfoobar", "unknown instruction: foobar"),
        ("FROM", "FROM requires either one or three arguments"),
        ("FROM a b", "FROM requires either one or three arguments"),
        (
            "FROM a AS 1x",
            'invalid name for build stage: "1x", name can\'t start with a number or contain symbols',
        ),
        ("FROM --platfrom=x a", "unknown flag: --platfrom (did you mean platform?)"),
        ("FROM a\nENV", "ENV requires at least one argument"),
        ("FROM a\nENV =b", "ENV names can not be blank"),
        ("FROM a\nARG", "ARG requires at least one argument"),
        ("FROM a\nARG =b", "ARG names can not be blank"),
        ("FROM a\nLABEL", "LABEL requires at least one argument"),
        ("FROM a\nMAINTAINER", "MAINTAINER requires exactly one argument"),
        ("FROM a\nUSER", "USER requires exactly one argument"),
        ("FROM a\nWORKDIR", "WORKDIR requires exactly one argument"),
        ("FROM a\nSTOPSIGNAL", "STOPSIGNAL requires exactly one argument"),
        ("FROM a\nEXPOSE", "EXPOSE requires at least one argument"),
        ("FROM a\nVOLUME", "VOLUME requires at least one argument"),
        ('FROM a\nVOLUME [" "]', "VOLUME specified can not be an empty string"),
        ("FROM a\nSHELL []", "SHELL requires at least one argument"),
        ("FROM a\nSHELL bash", "SHELL requires the arguments to be in JSON form"),
        ("FROM a\nCMD --x=y", "unknown flag: --x"),
        (
            "FROM a\nCOPY x",
            "COPY requires at least two arguments, but only one was provided. Destination could not be determined",
        ),
        (
            "FROM a\nADD",
            "ADD requires at least two arguments, but only one was provided. Destination could not be determined",
        ),
        ("FROM a\nCOPY x <<E\nE", "COPY cannot accept a heredoc as a destination"),
        ("FROM a\nCOPY --from a b c", "missing a value on flag: --from"),
        ("FROM a\nCOPY --link=maybe a b", "expecting boolean value for flag --link, not: maybe"),
        ("FROM a\nCOPY --link= a b", "missing a value on flag: --link"),
        ("FROM a\nCOPY --chown=a --chown=b a b", "duplicate flag specified: --chown"),
        ("FROM a\nCOPY --frm=x a b", "unknown flag: --frm (did you mean from?)"),
        ("FROM a\nRUN --network=foo x", 'invalid network mode "foo"'),
        ("FROM a\nRUN --security=foo x", 'security "foo" is not valid'),
        ("FROM a\nRUN --device=x y", "RUN --device is not supported"),
        (
            "FROM a\nRUN --mount=from=$x,target=/y z",
            "'from' doesn't support variable expansion, define alias stage instead",
        ),
        ("FROM a\nONBUILD", "ONBUILD requires at least one argument"),
        ("FROM a\nONBUILD ONBUILD RUN x", "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"),
        ("FROM a\nONBUILD from x", "FROM isn't allowed as an ONBUILD trigger"),
        ("FROM a\nHEALTHCHECK", "HEALTHCHECK requires at least one argument"),
        ("FROM a\nHEALTHCHECK NONE x", "HEALTHCHECK NONE takes no arguments"),
        ("FROM a\nHEALTHCHECK CMD", "Missing command after HEALTHCHECK CMD"),
        ("FROM a\nHEALTHCHECK EXEC x", 'Unknown type "EXEC" in HEALTHCHECK (try CMD)'),
        ("FROM a\nHEALTHCHECK --interval=1us CMD x", 'Interval "interval" cannot be less than 1ms'),
        ("FROM a\nHEALTHCHECK --timeout=x CMD x", 'time: invalid duration "x"'),
        ("FROM a\nHEALTHCHECK --retries=-1 CMD x", "--retries cannot be negative (-1)"),
        ("FROM a\nHEALTHCHECK --retries=x CMD x", 'strconv.ParseInt: parsing "x": invalid syntax'),
    ],
)
def test_a_bad_instruction_says_why_and_where(text: str, message: str) -> None:
    error = refused(text)
    line = 2 if "\n" in text else 1
    assert error.message == f"dockerfile parse error on line {line}: {message}"
    assert error.positions[0].first == line


@pytest.mark.parametrize(
    ("text", "message", "first", "last"),
    [
        ("", "the Dockerfile cannot be empty", 1, 1),
        ("# a\n\n", "file with no instructions", 2, 2),
        ("ARG a", "dockerfile contains no stages to build", 1, 1),
        ("\nRUN a", "no build stage in current context", 2, 2),
        ("FROM a\nRUN <<E \\\n x\nb", "unterminated heredoc", 2, 4),
        ("FROM a\nENV x", "ENV must have two arguments", 2, 2),
        ("FROM a\nENV a=b c", 'Syntax error - can\'t find = in "c". Must be of the form: name=value', 2, 2),
        ("FROM a\nCMD [1]", "when using JSON array syntax, arrays must be comprised of strings only", 2, 2),
        (
            'FROM a\nONBUILD CMD [["a"]]',
            "when using JSON array syntax, arrays must be comprised of strings only",
            2,
            2,
        ),
        ("# escape=x\nFROM a", "invalid escape token 'x' does not match ` or \\", 1, 1),
        ("# escape=`\n# escape=`\nFROM a", "only one escape parser directive can be used", 2, 2),
        ("FROM a\nRUN " + "x" * 65536, "dockerfile line greater than max allowed size of 65535", 2, 2),
        ("FROM a\nENV x\nFOO", "ENV must have two arguments", 2, 2),
    ],
)
def test_a_bad_file_says_why_and_where(text: str, message: str, first: int, last: int) -> None:
    error = refused(text)
    assert error.message == message
    assert error.positions == (Position(first, last),)


def test_what_is_no_utf8_does_not_matter() -> None:
    run = read(b"FROM a\nRUN \xff\xfe").stages[0].instructions[0]
    assert run.text == "RUN \ufffd\ufffd"


FRAGMENTS = st.sampled_from(
    [
        *(
            "FROM a",
            "RUN ",
            "COPY a b",
            "ENV a=",
            "ARG x",
            "ONBUILD ",
            "HEALTHCHECK ",
            "--mount=type=cache",
            "CMD [",
        ),
        *(
            "<<E",
            "\nE\n",
            "\n",
            "\\\n",
            "# ",
            "escape=`",
            '"',
            "'",
            "$",
            "${x:-",
            "}",
            "[",
            "]",
            ",",
            "\\",
            "`",
            "\t",
            " AS b",
        ),
        *("\x00", "é", "\u2028", "--", "=", "1"),
    ]
)


def positions_of_refusal(content: str | bytes) -> Sequence[Position]:
    """Empty for a good Dockerfile."""
    try:
        read(content)
    except DockerfileError as error:
        return error.positions or [Position(0, 0)]
    return []


@given(st.lists(FRAGMENTS, max_size=30).map("".join))
def test_no_dockerfile_breaks_anything(text: str) -> None:
    for content in (text, f"FROM a\n{text}"):
        for position in positions_of_refusal(content):
            assert 1 <= position.first <= position.last <= content.count("\n") + 1


@given(st.binary(max_size=200))
def test_no_bytes_break_anything(content: bytes) -> None:
    assert all(position.first >= 1 for position in positions_of_refusal(content))
