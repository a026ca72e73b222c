from typing import Any

import pytest

import errdefs
from engine.containers.config import ContainerConfig, Healthcheck
from engine.images.changes import apply_changes


def changed(*changes: str, **base: Any) -> ContainerConfig:
    return apply_changes(ContainerConfig(**base), list(changes))


@pytest.mark.parametrize(
    ("changes", "field", "value"),
    [
        (['CMD ["a", "b c"]'], "cmd", ["a", "b c"]),
        (["cmd echo hi  there"], "cmd", ["/bin/sh", "-c", "echo hi  there"]),
        (["CMD []"], "cmd", []),
        (['CMD ["a", b]'], "cmd", ["/bin/sh", "-c", '["a", b]']),
        (['ENTRYPOINT ["/x"]'], "entrypoint", ["/x"]),
        (["ENTRYPOINT []"], "entrypoint", None),
        (["ENV A=1 B='x y' C=\"$A\""], "env", ["A=1", "B=x y", "C="]),
        (["ENV A=1", 'ENV C="$A-${B:-none}" D=${A:+set}'], "env", ["A=1", "C=1-none", "D=set"]),
        (["ENV A some  words"], "env", ["A=some  words"]),
        (["ENV A=1", "ENV A=2"], "env", ["A=2"]),
        (['LABEL a=b c="d e"', "LABEL a=x"], "labels", {"a": "x", "c": "d e"}),
        (["LABEL a=\\$HOME"], "labels", {"a": "$HOME"}),
        (
            ["EXPOSE 80 53/udp 90-91"],
            "exposed_ports",
            {"53/udp": {}, "80/tcp": {}, "90/tcp": {}, "91/tcp": {}},
        ),
        (['ENV P="1 2"', "EXPOSE $P"], "exposed_ports", {"1/tcp": {}, "2/tcp": {}}),
        (["USER 1000:1000"], "user", "1000:1000"),
        (["WORKDIR /a", "WORKDIR b/../c"], "working_dir", "/a/c"),
        (["WORKDIR a"], "working_dir", "/a"),
        (['VOLUME ["/a b"]', "VOLUME /c /d"], "volumes", {"/a b": {}, "/c": {}, "/d": {}}),
        (["STOPSIGNAL SIGQUIT"], "stop_signal", "SIGQUIT"),
        (["ONBUILD RUN make  all"], "on_build", ["RUN make  all"]),
        (["HEALTHCHECK NONE"], "healthcheck", Healthcheck(test=["NONE"])),
        (
            ["HEALTHCHECK --interval=1m30s --timeout=1.5s --retries=3 CMD curl -f x || exit 1"],
            "healthcheck",
            Healthcheck(
                test=["CMD-SHELL", "curl -f x || exit 1"],
                interval=90_000_000_000,
                timeout=1_500_000_000,
                retries=3,
            ),
        ),
        (['HEALTHCHECK CMD ["a"]'], "healthcheck", Healthcheck(test=["CMD", "a"])),
        (["# words", "USER \\", "# between", "  bob"], "user", "bob"),
    ],
)
def test_instructions(changes: list[str], field: str, value: object) -> None:
    assert getattr(changed(*changes), field) == value


def test_an_entrypoint_drops_an_older_command_only() -> None:
    assert changed('ENTRYPOINT ["/x"]', cmd=["old"]).cmd is None
    assert changed('CMD ["new"]', 'ENTRYPOINT ["/x"]', cmd=["old"]).cmd == ["new"]


def test_the_argument_is_not_changed() -> None:
    base = ContainerConfig(labels={"a": "b"}, env=["A=1"])
    apply_changes(base, ["LABEL a=c", "ENV A=2"])
    assert base == ContainerConfig(labels={"a": "b"}, env=["A=1"])
    assert apply_changes(base, []) is base


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("", "file with no instructions"),
        ("RUN true", "RUN is not a valid change command"),
        ("bogus", "bogus is not a valid change command"),
        ("ENV", "ENV requires at least one argument"),
        ("ENV A", "ENV must have two arguments"),
        ("ENV A=1 B", 'Syntax error - can\'t find = in "B". Must be of the form: name=value'),
        ("LABEL =x", "LABEL names can not be blank"),
        ("ENV A=${", "failed to process \"${\": syntax error: missing '}'"),
        ("ENV A=${B:?}", 'failed to process "${B:?}": B: is not allowed to be unset'),
        ("ENV A=${B:?gone}", 'failed to process "${B:?gone}": B: gone'),
        ("EXPOSE", "EXPOSE requires at least one argument"),
        ("EXPOSE x", "invalid containerPort: x"),
        ("EXPOSE 80/xyz", "invalid proto: xyz"),
        ("EXPOSE 99999", "invalid containerPort: 99999"),
        ("USER", "USER requires exactly one argument"),
        ("STOPSIGNAL NOPE", "invalid signal: NOPE"),
        ("VOLUME", "VOLUME requires at least one argument"),
        ('VOLUME [""]', "VOLUME specified can not be an empty string"),
        ("ONBUILD FROM x", "FROM isn't allowed as an ONBUILD trigger"),
        ("ONBUILD ONBUILD RUN x", "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"),
        ("HEALTHCHECK", "HEALTHCHECK requires at least one argument"),
        ("HEALTHCHECK NONE x", "HEALTHCHECK NONE takes no arguments"),
        ("HEALTHCHECK X y", 'Unknown type "X" in HEALTHCHECK (try CMD)'),
        ("HEALTHCHECK CMD", "Missing command after HEALTHCHECK CMD"),
        ("HEALTHCHECK --bogus=1 CMD x", "unknown flag: --bogus"),
        ("HEALTHCHECK --interval CMD x", "missing a value on flag: --interval"),
        ("HEALTHCHECK --interval=1 CMD x", 'time: missing unit in duration "1"'),
        ("HEALTHCHECK --interval=1us CMD x", 'Interval "interval" cannot be less than 1ms'),
        ("HEALTHCHECK --retries=-1 CMD x", "--retries cannot be negative (-1)"),
        ("CMD [1]", "when using JSON array syntax, arrays must be comprised of strings only"),
    ],
)
def test_refusals(change: str, message: str) -> None:
    with pytest.raises(errdefs.InvalidArgument) as refused:
        changed(change)
    assert refused.value.message == message
