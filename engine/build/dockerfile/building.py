"""Statements made instructions: each checked by its own rules, in BuildKit's words."""

import re
from collections.abc import Callable
from typing import TypedDict

import errdefs
from engine.build.dockerfile import instructions as kinds
from engine.build.dockerfile import mounts
from engine.build.dockerfile.flags import Flags
from engine.build.dockerfile.health import health_check
from engine.build.dockerfile.instructions import Instruction
from engine.build.dockerfile.lines import Statement
from engine.build.dockerfile.text import SPACES, quoted, suggestion
from engine.build.dockerfile.transfers import add, copy
from engine.build.dockerfile.values import Argument, Pair
from engine.build.source import Position

_STAGE_NAME = re.compile(r"[a-z][a-z0-9-_.]*")
_NETWORKS = ("default", "none", "host")
_SECURITY = ("insecure", "sandbox")
_ON_BUILD = re.compile(r"\s*ONBUILD\s*", re.IGNORECASE | re.ASCII)


class _Origin(TypedDict):
    """What every instruction has."""

    keyword: str
    text: str
    position: Position
    comments: tuple[str, ...]


def build(statement: Statement) -> Instruction:
    """The instruction. InvalidArgument for what it cannot be."""
    if statement.name in _BUILDERS:
        return _BUILDERS[statement.name](statement)
    near = suggestion(statement.name, _BUILDERS)
    if statement.keyword == statement.keyword.upper():
        near = near.upper()
    meant = f" (did you mean {near}?)" if near else ""
    raise errdefs.InvalidArgument(f"unknown instruction: {statement.keyword}{meant}")


def _origin(statement: Statement) -> _Origin:
    return _Origin(
        keyword=statement.keyword,
        text=statement.text.strip(SPACES),
        position=statement.position,
        comments=tuple(statement.comments),
    )


def _pairs(statement: Statement) -> list[Pair]:
    Flags(statement.flags)
    pairs = list(statement.words.pairs)
    if not pairs:
        raise errdefs.InvalidArgument(f"{statement.name.upper()} requires at least one argument")
    if not all(pair.key for pair in pairs):
        raise errdefs.InvalidArgument(f"{statement.name.upper()} names can not be blank")
    return pairs


def _env(statement: Statement) -> Instruction:
    return kinds.Env(**_origin(statement), pairs=_pairs(statement))


def _label(statement: Statement) -> Instruction:
    return kinds.Label(**_origin(statement), pairs=_pairs(statement))


def _one_word(statement: Statement) -> str:
    if len(statement.words.words) != 1:
        raise errdefs.InvalidArgument(f"{statement.name.upper()} requires exactly one argument")
    if statement.name != "stopsignal":  # whose flags BuildKit passes over
        Flags(statement.flags)
    return statement.words.words[0]


def _some_words(statement: Statement) -> list[str]:
    if not statement.words.words:
        raise errdefs.InvalidArgument(f"{statement.name.upper()} requires at least one argument")
    return list(statement.words.words)


def _arg(statement: Statement) -> Instruction:
    found = []
    for word in _some_words(statement):
        name, equals, default = word.partition("=")
        if equals and not name:
            raise errdefs.InvalidArgument("ARG names can not be blank")
        about = next((line for line in statement.comments if line.startswith(name + " ")), "")
        found.append(Argument(name, default if equals else None, about[len(name) + 1 :]))
    return kinds.Arg(**_origin(statement), arguments=found)


def _from(statement: Statement) -> Instruction:
    words = statement.words.words
    name = ""
    if len(words) == 3 and words[1].lower() == "as":
        name = words[2].lower()
        if not _STAGE_NAME.fullmatch(name):
            problem = "name can't start with a number or contain symbols"
            raise errdefs.InvalidArgument(f"invalid name for build stage: {quoted(words[2])}, {problem}")
    elif len(words) != 1:
        raise errdefs.InvalidArgument("FROM requires either one or three arguments")
    platform = Flags(statement.flags, texts=("platform",)).text("platform")
    return kinds.From(**_origin(statement), base=words[0], name=name, platform=platform)


def _run(statement: Statement) -> Instruction:
    flags = Flags(statement.flags, ("network", "security"), ("mount", "device"))
    if flags.texts("device"):
        raise errdefs.InvalidArgument("RUN --device is not supported")
    for text in flags.texts("mount"):
        mounts.check_early(text)
    network, security = flags.text("network", "default"), flags.text("security", "sandbox")
    if network not in _NETWORKS:
        raise errdefs.InvalidArgument(f"invalid network mode {quoted(network)}")
    if security not in _SECURITY:
        raise errdefs.InvalidArgument(f"security {quoted(security)} is not valid")
    return kinds.Run(
        **_origin(statement),
        words=statement.words.words,
        shell=not statement.words.json,
        heredocs=statement.heredocs,
        mounts=flags.texts("mount"),
        network=network,
        security=security,
    )


def _cmd(statement: Statement) -> Instruction:
    Flags(statement.flags)
    words = statement.words
    return kinds.Cmd(**_origin(statement), words=words.words, shell=not words.json)


def _entrypoint(statement: Statement) -> Instruction:
    Flags(statement.flags)
    words = statement.words
    return kinds.Entrypoint(**_origin(statement), words=words.words, shell=not words.json)


def _shell(statement: Statement) -> Instruction:
    Flags(statement.flags)
    words = _some_words(statement)
    if not statement.words.json:
        raise errdefs.InvalidArgument("SHELL requires the arguments to be in JSON form")
    return kinds.Shell(**_origin(statement), words=words)


def _expose(statement: Statement) -> Instruction:
    ports = sorted(_some_words(statement))
    Flags(statement.flags)
    return kinds.Expose(**_origin(statement), ports=ports)


def _volume(statement: Statement) -> Instruction:
    paths = [word.strip(SPACES) for word in _some_words(statement)]
    Flags(statement.flags)
    if not all(paths):
        raise errdefs.InvalidArgument("VOLUME specified can not be an empty string")
    return kinds.Volume(**_origin(statement), paths=paths)


def _on_build(statement: Statement) -> Instruction:
    if statement.inner is None:
        raise errdefs.InvalidArgument("ONBUILD requires at least one argument")
    Flags(statement.flags)
    trigger = statement.inner.keyword.upper()
    if trigger == "ONBUILD":
        raise errdefs.InvalidArgument("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")
    if trigger in ("MAINTAINER", "FROM"):
        raise errdefs.InvalidArgument(f"{trigger} isn't allowed as an ONBUILD trigger")
    contents = [f"\n{heredoc.content}{heredoc.name}" for heredoc in statement.heredocs]
    expression = _ON_BUILD.sub("", statement.text, count=1) + "".join(contents)
    return kinds.OnBuild(**_origin(statement), expression=expression)


_BUILDERS: dict[str, Callable[[Statement], Instruction]] = {
    "add": add,
    "arg": _arg,
    "cmd": _cmd,
    "copy": copy,
    "entrypoint": _entrypoint,
    "env": _env,
    "expose": _expose,
    "from": _from,
    "healthcheck": lambda each: kinds.HealthCheck(**_origin(each), check=health_check(each)),
    "label": _label,
    "maintainer": lambda each: kinds.Maintainer(**_origin(each), maintainer=_one_word(each)),
    "onbuild": _on_build,
    "run": _run,
    "shell": _shell,
    "stopsignal": lambda each: kinds.StopSignal(**_origin(each), signal=_one_word(each)),
    "user": lambda each: kinds.User(**_origin(each), user=_one_word(each)),
    "volume": _volume,
    "workdir": lambda each: kinds.Workdir(**_origin(each), path=_one_word(each)),
}
