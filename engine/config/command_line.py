"""The command line, read as dockerd reads it (GNU style, by spf13/pflag): pure."""

from collections.abc import Iterator, Sequence

import errdefs
from engine.config.settings import BY_FLAG, BY_SHORT, Kind, Setting

Given = dict[str, list[str]]  # flag to its values in order


def parse(argv: Sequence[str]) -> Given:
    """The flags of a command line without the program's name; InvalidArgument, in pflag's words, if wrong."""
    given: Given = {}
    words = iter(argv)
    for word in words:
        if word == "--":
            _refuse_arguments(list(words))
        elif word.startswith("--"):
            _long(word[2:], words, given)
        elif word.startswith("-") and word != "-":
            _short(word[1:], words, given)
        else:
            _refuse_arguments([word])
    return given


def usage() -> str:
    """The help: every flag that does something."""
    lines = ["Usage: wherryd [OPTIONS]", "", "A Docker Engine.", "", "Options:"]
    for flag, setting in sorted(BY_FLAG.items()):
        if setting.note and not setting.hidden and setting.standing.name == "USED":
            short = f"-{setting.short}, " if setting.short else "    "
            lines.append(f"  {short}--{flag:<24} {setting.note}")
    return "\n".join(lines) + "\n"


def _long(body: str, words: Iterator[str], given: Given) -> None:
    name, equals, value = body.partition("=")
    setting = BY_FLAG.get(name)
    if setting is None:
        raise errdefs.InvalidArgument(f"unknown flag: --{name}")
    if not equals:
        value = "true" if setting.kind is Kind.BOOL else _next(words, f"--{name}")
    given.setdefault(name, []).append(value)


def _short(body: str, words: Iterator[str], given: Given) -> None:
    """One word of short flags: `-D`, `-H fd://`, `-Hfd://`, `-H=fd://`, `-Dl debug`."""
    rest = body
    while rest:
        letter, rest = rest[0], rest[1:]
        setting = BY_SHORT.get(letter)
        if setting is None:
            raise errdefs.InvalidArgument(f"unknown shorthand flag: '{letter}' in -{body}")
        value, rest = _short_value(setting, letter, rest, body, words)
        given.setdefault(setting.flag, []).append(value)


def _short_value(
    setting: Setting, letter: str, rest: str, body: str, words: Iterator[str]
) -> tuple[str, str]:
    if rest.startswith("="):
        return rest[1:], ""
    if setting.kind is Kind.BOOL:
        return "true", rest
    if rest:
        return rest, ""
    return _next(words, f"'{letter}' in -{body}"), ""


def _next(words: Iterator[str], shown: str) -> str:
    try:
        return next(words)
    except StopIteration:
        raise errdefs.InvalidArgument(f"flag needs an argument: {shown}") from None


def _refuse_arguments(arguments: list[str]) -> None:
    if arguments:
        raise errdefs.InvalidArgument(f'"wherryd" accepts no arguments: {" ".join(arguments)}')
