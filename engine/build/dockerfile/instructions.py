"""The instructions of a Dockerfile as values.

Variables in them are not expanded yet: `expanded(expand)` gives the same instruction with each of its words that
takes variables passed through `expand`. What an instruction does not expand (CMD, ENTRYPOINT, SHELL, HEALTHCHECK, the
command of RUN) it gives back as it is. EXPOSE has words that may become several: `Expose.ports` are left to its reader.
"""

from collections.abc import Sequence
from typing import Self

import msgspec

from engine.build.dockerfile.values import Argument, Expander, Heredoc, Pair
from engine.build.source import Position
from engine.containers.config import Healthcheck


class Instruction(msgspec.Struct, frozen=True, kw_only=True):
    """`keyword` is as it was written; `text` the whole line, its continuation lines joined, without heredocs' content.

    `comments` are the lines of comment right above, without "#".
    """

    keyword: str
    text: str
    position: Position
    comments: Sequence[str] = ()

    def expanded(self, expand: Expander) -> Self:  # noqa: ARG002 - most instructions have what to expand
        """With its variables replaced."""
        return self


class From(Instruction, frozen=True, kw_only=True):
    """FROM: `name` is lower case or "" for none; `base` and `platform` may have variables of global ARGs."""

    base: str
    name: str = ""
    platform: str = ""


class Env(Instruction, frozen=True, kw_only=True):
    """ENV. The values of all pairs are expanded before any is set."""

    pairs: Sequence[Pair]

    def expanded(self, expand: Expander) -> Self:
        """With the variables of keys and values replaced."""
        return msgspec.structs.replace(self, pairs=[pair.expanded(expand) for pair in self.pairs])


class Label(Instruction, frozen=True, kw_only=True):
    """LABEL."""

    pairs: Sequence[Pair]

    def expanded(self, expand: Expander) -> Self:
        """With the variables of keys and values replaced."""
        return msgspec.structs.replace(self, pairs=[pair.expanded(expand) for pair in self.pairs])


class Arg(Instruction, frozen=True, kw_only=True):
    """ARG: several names are set one after the other, so that a later one may use an earlier."""

    arguments: Sequence[Argument]

    def expanded(self, expand: Expander) -> Self:
        """With the variables of names and defaults replaced, all by the same variables."""
        return msgspec.structs.replace(
            self, arguments=[argument.expanded(expand) for argument in self.arguments]
        )


class Maintainer(Instruction, frozen=True, kw_only=True):
    """MAINTAINER: the author of the image."""

    maintainer: str


class Command(Instruction, frozen=True, kw_only=True):
    """What gives a command line: `shell`: one string for the shell (or none at all), else the words of a JSON array."""

    words: Sequence[str]
    shell: bool


class Run(Command, frozen=True, kw_only=True):
    """RUN. `mounts` are texts of `--mount`, read by `mounts.parse_mount` when the variables are known."""

    heredocs: Sequence[Heredoc] = ()
    mounts: Sequence[str] = ()
    network: str = "default"
    security: str = "sandbox"


class Cmd(Command, frozen=True, kw_only=True):
    """CMD."""


class Entrypoint(Command, frozen=True, kw_only=True):
    """ENTRYPOINT; no words at all remove one."""


class Shell(Instruction, frozen=True, kw_only=True):
    """SHELL."""

    words: Sequence[str]


class Transfer(Instruction, frozen=True, kw_only=True):
    """What COPY and ADD have in common. `files` are heredocs: each makes a file of its name's in `destination`."""

    sources: Sequence[str]
    destination: str
    files: Sequence[Heredoc] = ()
    chown: str = ""
    chmod: str = ""
    link: bool = False
    exclude: Sequence[str] = ()

    def expanded(self, expand: Expander) -> Self:
        """With the variables of paths, owner and mode replaced; those of `files` are another kind of word."""
        return msgspec.structs.replace(
            self,
            sources=[expand(source) for source in self.sources],
            destination=expand(self.destination),
            chown=expand(self.chown),
            chmod=expand(self.chmod),
        )


class Copy(Transfer, frozen=True, kw_only=True):
    """COPY; `origin` is `--from`, "" for the context."""

    origin: str = ""
    parents: bool = False


class Add(Transfer, frozen=True, kw_only=True):
    """ADD. `unpack` and `keep_git_dir` None are not said."""

    checksum: str = ""
    keep_git_dir: bool | None = None
    unpack: bool | None = None

    def expanded(self, expand: Expander) -> Self:
        """As Transfer's, and the checksum."""
        return msgspec.structs.replace(Transfer.expanded(self, expand), checksum=expand(self.checksum))


class Workdir(Instruction, frozen=True, kw_only=True):
    """WORKDIR."""

    path: str

    def expanded(self, expand: Expander) -> Self:
        """With the variables of its path replaced."""
        return msgspec.structs.replace(self, path=expand(self.path))


class User(Instruction, frozen=True, kw_only=True):
    """USER."""

    user: str

    def expanded(self, expand: Expander) -> Self:
        """With the variables of its name replaced."""
        return msgspec.structs.replace(self, user=expand(self.user))


class Volume(Instruction, frozen=True, kw_only=True):
    """VOLUME."""

    paths: Sequence[str]

    def expanded(self, expand: Expander) -> Self:
        """With the variables of its paths replaced."""
        return msgspec.structs.replace(self, paths=[expand(path) for path in self.paths])


class Expose(Instruction, frozen=True, kw_only=True):
    """EXPOSE: each of `ports` may have variables that become several ports."""

    ports: Sequence[str]


class StopSignal(Instruction, frozen=True, kw_only=True):
    """STOPSIGNAL."""

    signal: str

    def expanded(self, expand: Expander) -> Self:
        """With the variables of its name replaced."""
        return msgspec.structs.replace(self, signal=expand(self.signal))


class HealthCheck(Instruction, frozen=True, kw_only=True):
    """HEALTHCHECK; NONE is a test of ["NONE"]."""

    check: Healthcheck


class OnBuild(Instruction, frozen=True, kw_only=True):
    """ONBUILD: `expression` is an instruction as an image's config has it, with its heredocs' content."""

    expression: str
