"""The instructions of a Dockerfile as values.

Variables in them are not expanded yet: `expanded(expand)` gives the same instruction with each of its words that
takes variables passed through `expand`. What an instruction does not expand (CMD, ENTRYPOINT, SHELL, HEALTHCHECK, the
command of RUN) it gives back as it is. EXPOSE has words that may become several: `Expose.ports` are left to its reader.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from engine.build.dockerfile.values import Argument, Expander, Heredoc, Pair
from engine.build.source import Position
from engine.containers.config import Healthcheck


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class From(Instruction):
    """FROM: `name` is lower case or "" for none; `base` and `platform` may have variables of global ARGs."""

    base: str
    name: str = ""
    platform: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Env(Instruction):
    """ENV. The values of all pairs are expanded before any is set."""

    pairs: Sequence[Pair]

    def expanded(self, expand: Expander) -> Self:
        """With the variables of keys and values replaced."""
        return replace(self, pairs=[pair.expanded(expand) for pair in self.pairs])


@dataclass(frozen=True, slots=True, kw_only=True)
class Label(Instruction):
    """LABEL."""

    pairs: Sequence[Pair]

    def expanded(self, expand: Expander) -> Self:
        """With the variables of keys and values replaced."""
        return replace(self, pairs=[pair.expanded(expand) for pair in self.pairs])


@dataclass(frozen=True, slots=True, kw_only=True)
class Arg(Instruction):
    """ARG: several names are set one after the other, so that a later one may use an earlier."""

    arguments: Sequence[Argument]

    def expanded(self, expand: Expander) -> Self:
        """With the variables of names and defaults replaced, all by the same variables."""
        return replace(self, arguments=[argument.expanded(expand) for argument in self.arguments])


@dataclass(frozen=True, slots=True, kw_only=True)
class Maintainer(Instruction):
    """MAINTAINER: the author of the image."""

    maintainer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Command(Instruction):
    """What gives a command line: `shell`: one string for the shell (or none at all), else the words of a JSON array."""

    words: Sequence[str]
    shell: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Run(Command):
    """RUN. `mounts` are texts of `--mount`, read by `mounts.parse_mount` when the variables are known."""

    heredocs: Sequence[Heredoc] = ()
    mounts: Sequence[str] = ()
    network: str = "default"
    security: str = "sandbox"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cmd(Command):
    """CMD."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrypoint(Command):
    """ENTRYPOINT; no words at all remove one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell(Instruction):
    """SHELL."""

    words: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer(Instruction):
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
        return replace(
            self,
            sources=[expand(source) for source in self.sources],
            destination=expand(self.destination),
            chown=expand(self.chown),
            chmod=expand(self.chmod),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy(Transfer):
    """COPY; `origin` is `--from`, "" for the context."""

    origin: str = ""
    parents: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Add(Transfer):
    """ADD. `unpack` and `keep_git_dir` None are not said."""

    checksum: str = ""
    keep_git_dir: bool | None = None
    unpack: bool | None = None

    def expanded(self, expand: Expander) -> Self:
        """As Transfer's, and the checksum."""
        return replace(Transfer.expanded(self, expand), checksum=expand(self.checksum))


@dataclass(frozen=True, slots=True, kw_only=True)
class Workdir(Instruction):
    """WORKDIR."""

    path: str

    def expanded(self, expand: Expander) -> Self:
        """With the variables of its path replaced."""
        return replace(self, path=expand(self.path))


@dataclass(frozen=True, slots=True, kw_only=True)
class User(Instruction):
    """USER."""

    user: str

    def expanded(self, expand: Expander) -> Self:
        """With the variables of its name replaced."""
        return replace(self, user=expand(self.user))


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume(Instruction):
    """VOLUME."""

    paths: Sequence[str]

    def expanded(self, expand: Expander) -> Self:
        """With the variables of its paths replaced."""
        return replace(self, paths=[expand(path) for path in self.paths])


@dataclass(frozen=True, slots=True, kw_only=True)
class Expose(Instruction):
    """EXPOSE: each of `ports` may have variables that become several ports."""

    ports: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class StopSignal(Instruction):
    """STOPSIGNAL."""

    signal: str

    def expanded(self, expand: Expander) -> Self:
        """With the variables of its name replaced."""
        return replace(self, signal=expand(self.signal))


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck(Instruction):
    """HEALTHCHECK; NONE is a test of ["NONE"]."""

    check: Healthcheck


@dataclass(frozen=True, slots=True, kw_only=True)
class OnBuild(Instruction):
    """ONBUILD: `expression` is an instruction as an image's config has it, with its heredocs' content."""

    expression: str
