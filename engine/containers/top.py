"""The processes of a container, as the host's `ps` shows them."""

import re
import shlex
from contextlib import suppress

import msgspec

import errdefs
from runtime import spawn

DEFAULT_ARGUMENTS = "-ef"
_ALIASED_PID = re.compile(r"\s+(?:\w+,)*pid\s*=\s*(\S*)")


class Top(msgspec.Struct, frozen=True):
    """A table: the titles of its columns and a row a process."""

    titles: list[str]
    processes: list[list[str]]


async def top(pids: list[int], arguments: str) -> Top:
    """Run ps on the host with the user's arguments and keep the rows of these pids."""
    words = split_arguments(arguments or DEFAULT_ARGUMENTS)
    try:
        done = await _ps(words, pids)
    except (OSError, ValueError, TimeoutError) as error:
        raise errdefs.InvalidArgument(f"ps cannot run with these arguments: {error}") from error
    if done.returncode:
        text = done.stderr.decode(errors="replace").strip().partition("\n")[0]  # the rest is how to use it
        raise errdefs.InvalidArgument(f"ps: {text or f'exit status {done.returncode}'}")
    return parse(done.stdout.decode(errors="replace"), frozenset(pids))


async def _ps(words: list[str], pids: list[int]) -> spawn.Completed:
    """As in Docker, ps is asked for the pids: by itself it may list no more than what has its own user and terminal.

    It is asked without when some option (`f`) does not go with that, or there are more pids than an argument holds.
    """
    with suppress(OSError):
        done = await spawn.run(["ps", *words, f"-q{','.join(map(str, pids))}"], timeout=30)
        if not done.returncode:
            return done
    return await spawn.run(["ps", *words], timeout=30)


def split_arguments(arguments: str) -> list[str]:
    """The words of ps's arguments; one that renames the PID column is refused, as in Docker."""
    for match in _ALIASED_PID.finditer(" " + arguments):
        if match[1] and match[1] != "PID":
            raise errdefs.InvalidArgument(f'specifying "{match[0].strip()}" is not allowed')
    try:
        return shlex.split(arguments)
    except ValueError as error:
        raise errdefs.InvalidArgument(f"invalid ps arguments: {error}") from error


def parse(output: str, pids: frozenset[int]) -> Top:
    """ps's table cut down to some processes and the rows of their threads; the last column keeps its blanks."""
    lines = output.splitlines()
    titles = lines[0].split() if lines else []
    if "PID" not in titles:
        raise errdefs.InvalidArgument("Couldn't find PID field in ps output")
    column = titles.index("PID")
    rows, is_ours = [], False
    for line in lines[1:]:
        fields = line.split(None, len(titles) - 1)
        if len(fields) <= column:
            continue
        if fields[column] != "-":
            is_ours = fields[column].isdecimal() and int(fields[column]) in pids
        if is_ours:
            rows.append([*fields[:-1], fields[-1].rstrip()])
    return Top(titles, rows)
