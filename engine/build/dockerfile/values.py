"""What instructions of a Dockerfile are made of, besides words."""

import re
from collections.abc import Callable

import msgspec

Expander = Callable[[str], str]
"""One word with its variables replaced. DockerfileError if it cannot be."""


class Pair(msgspec.Struct, frozen=True):
    """`key=value`, or the old form `key value`."""

    key: str
    value: str
    old_form: bool = False

    def expanded(self, expand: Expander) -> "Pair":
        """With the variables of both replaced."""
        return msgspec.structs.replace(self, key=expand(self.key), value=expand(self.value))


class Argument(msgspec.Struct, frozen=True):
    """One name of ARG, with what it is if the build does not say; None is undefined. `about` is its comment."""

    name: str
    default: str | None = None
    about: str = ""

    def expanded(self, expand: Expander) -> "Argument":
        """With the variables of both replaced."""
        default = None if self.default is None else expand(self.default)
        return msgspec.structs.replace(self, name=expand(self.name), default=default)


class Heredoc(msgspec.Struct, frozen=True):
    """`<<name` with its lines. `expand`: variables in it are replaced, as its name is not quoted; `chomp` is `<<-`."""

    name: str
    content: str
    expand: bool = True
    chomp: bool = False
    descriptor: int = 0

    @property
    def chomped(self) -> str:
        """The content, without the tabs at the beginning of each line if it is to be chomped."""
        return re.sub(r"^\t+", "", self.content, flags=re.MULTILINE) if self.chomp else self.content


class Mount(msgspec.Struct, frozen=True, kw_only=True):
    """`RUN --mount`, checked; "" and None are "not said".

    For `cache`, `secret` and `ssh`, `id` names it; `env` is the variable that gets a secret, "" for one named as it.
    """

    kind: str = "bind"
    origin: str = ""  # from=
    source: str = ""
    target: str = ""
    read_only: bool = False
    size: int = 0
    id: str = ""
    sharing: str = ""
    required: bool = False
    env: str | None = None
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
