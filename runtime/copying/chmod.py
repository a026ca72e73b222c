"""Modes as --chmod takes them: octal, or symbolic as chmod(1) and BSD's setmode(3) do. Pure."""

import re
import stat
from typing import NamedTuple

from errdefs import InvalidArgument

_EXECUTE = 0o111
_WHO = {"u": 0o4700, "g": 0o2070, "o": 0o0007, "a": 0o6777}
_BITS = {"r": 0o444, "w": 0o222, "x": _EXECUTE, "s": 0o6000, "t": stat.S_ISVTX}
_SHIFTS = {"u": 6, "g": 3, "o": 0}
_ALL = 0o6777
_CLAUSE = re.compile(r"[ugoa]*(?:[-+=][rwxXstugo]*)+")
_STEP = re.compile(r"([-+=])([rwxXstugo]*)")


class _Step(NamedTuple):
    who: int  # the bits that it may touch
    operator: str
    permissions: str


class Mode:
    """What a file's mode becomes."""

    def __init__(self, octal: int | None, steps: list[_Step]) -> None:
        """Use `parse`. `octal`: the number, None if it depends on the file's own."""
        self._octal = octal
        self._steps = steps

    def of(self, mode: int, *, directory: bool) -> int:
        """The mode of a file that has `mode`."""
        if self._octal is not None:
            return self._octal
        new = mode = mode & 0o7777
        executable = directory or bool(mode & _EXECUTE)
        for step in self._steps:
            bits = _bits(step, new, executable=executable)
            if step.operator == "=":
                new &= ~(step.who & _ALL)
            new = new & ~bits if step.operator == "-" else new | bits
        return new


def parse(text: str) -> Mode:
    """Read a mode. InvalidArgument, in Docker's words where it looks like a number."""
    if text[:1].isdigit():
        if not re.fullmatch("[0-7]+", text) or int(text, 8) > 0o7777:
            raise InvalidArgument(
                f"invalid chmod parameter: '{text}'. it should be octal string and between 0 and 07777"
            )
        return Mode(int(text, 8), [])
    steps: list[_Step] = []
    for clause in text.split(","):
        if not _CLAUSE.fullmatch(clause):
            raise InvalidArgument(f"invalid chmod parameter: '{text}': invalid syntax")
        named = re.match("[ugoa]*", clause)
        who = 0
        for name in named[0] if named else "":
            who |= _WHO[name]
        steps += [_step(who, operator, permissions) for operator, permissions in _STEP.findall(clause)]
    return Mode(None, steps)


def _step(who: int, operator: str, permissions: str) -> _Step:
    who = who or _ALL
    if who & 0o770 and "t" in permissions:  # it is no one's in particular, and not of others alone
        who |= stat.S_ISVTX
    return _Step(who, operator, permissions)


def _bits(step: _Step, mode: int, *, executable: bool) -> int:
    bits = 0
    for letter in step.permissions:
        if letter in _SHIFTS:
            bits |= (mode >> _SHIFTS[letter] & 0o7) * 0o111
        elif letter == "X":
            bits |= _EXECUTE if executable or step.operator == "-" else 0
        else:
            bits |= _BITS[letter]
    return bits & step.who
