"""The flags of an instruction, checked against those that it has."""

from collections.abc import Sequence

import errdefs
from engine.build.dockerfile.text import did_you_mean


class Flags:
    """`given` are words of the form `--name=value`; `texts` have one value, `lists` one each time, `switches` may have
    none. InvalidArgument in BuildKit's words.
    """

    def __init__(
        self,
        given: Sequence[str] = (),
        texts: Sequence[str] = (),
        lists: Sequence[str] = (),
        switches: Sequence[str] = (),
    ) -> None:
        self._values: dict[str, list[str]] = {}
        for flag in given:
            full, equals, value = flag.partition("=")
            name = full[2:]
            if name not in (*texts, *lists, *switches):
                raise errdefs.InvalidArgument(
                    did_you_mean(f"unknown flag: {full}", name, [*texts, *lists, *switches])
                )
            if name in self._values and name not in lists:
                raise errdefs.InvalidArgument(f"duplicate flag specified: {full}")
            if (not equals and name not in switches) or (equals and not value and name in switches):
                raise errdefs.InvalidArgument(f"missing a value on flag: {full}")
            if name in switches and value.lower() not in ("", "true", "false"):
                raise errdefs.InvalidArgument(f"expecting boolean value for flag {full}, not: {value}")
            self._values.setdefault(name, []).append(value)

    def text(self, name: str, default: str = "") -> str:
        """The value of a flag."""
        return self._values.get(name, [default])[0]

    def texts(self, name: str) -> list[str]:
        """All values of a flag."""
        return self._values.get(name, [])

    def switch(self, name: str) -> bool | None:
        """Whether it is on; None if it is not there."""
        return self._values[name][0].lower() != "false" if name in self._values else None
