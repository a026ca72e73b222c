"""The steps that a build is made of: a graph of vertices, each with one operation on the outputs of others."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import msgspec

from engine.build.source import Position
from engine.containers.config import Ulimit


class ImageSource(msgspec.Struct, frozen=True, kw_only=True):
    """The layers of an image whose config is known already: `image` is its id, held by the build."""

    image: str
    shown: str  # as people know it: "docker.io/library/busybox:latest@sha256:…"


class ContextSource(msgspec.Struct, frozen=True, kw_only=True):
    """The build's context ("context") or a named one, as far as any step needs it."""

    name: str


class UrlSource(msgspec.Struct, frozen=True, kw_only=True):
    """A file fetched by HTTP: alone in its Tree, under its own name. `checksum` "" is unchecked."""

    url: str
    checksum: str = ""


class GitSource(msgspec.Struct, frozen=True, kw_only=True):
    """A repository at a commit; `url` as git clients know it, with Docker's `#ref:subdirectory`."""

    url: str
    keep_git_dir: bool = False


class Copy(msgspec.Struct, frozen=True, kw_only=True):
    """COPY or ADD: `sources` are patterns in the Tree or Ref that input `source` gives, `destination` is absolute.

    `owner` is "user[:group]" in names or numbers of the root's own files, "" to keep; `mode` is octal or symbolic,
    "" to keep; `unpack`: archives among the sources are unpacked (ADD). A destination that ends in "/" is a directory.
    `keyword` is that of an instruction of the classic API, whose builder wants something to be found, and one thing
    alone unless `several`.
    """

    source: int
    sources: Sequence[str]
    destination: str
    owner: str = ""
    mode: str = ""
    parents: bool = False
    exclude: Sequence[str] = ()
    unpack: bool = False
    keyword: str = ""
    several: bool = True


class MakeFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a heredoc, under its `name` where `destination` ends in "/" or is a directory."""

    destination: str
    name: str
    content: bytes
    owner: str = ""
    mode: str = ""


class MakeDirectory(msgspec.Struct, frozen=True, kw_only=True):
    """WORKDIR: a directory with those above it, each 0755 and owned by `owner`, unless it is there."""

    path: str
    owner: str = ""


Action: TypeAlias = Copy | MakeFile | MakeDirectory


class Files(msgspec.Struct, frozen=True, kw_only=True):
    """Changes of files: input 0 is the root, the others are what is copied from.

    `link`: the layer does not depend on the root, and can be put on another.
    """

    actions: Sequence[Action]
    link: bool = False
    epoch: int | None = None  # SOURCE_DATE_EPOCH, for what has no time of its own


class RunMount(msgspec.Struct, frozen=True, kw_only=True):
    """`RUN --mount`: `kind` is bind, cache, tmpfs, secret or ssh. `source` is the number of an input, None for none;
    `path` where in it. For `cache`: `id`, `sharing` (shared, private, locked) and what an empty one has.
    """

    kind: str
    target: str
    source: int | None = None
    path: str = ""
    read_only: bool = False
    id: str = ""
    sharing: str = "shared"
    required: bool = False
    size: int = 0
    mode: int | None = None
    uid: int = 0
    gid: int = 0
    env: str = ""  # a secret that is given as a variable


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """RUN: input 0 is the root, the others are mounted. `args` is the whole command line.

    `proxy` are variables that the step has but that its cache key has not.
    """

    args: Sequence[str]
    env: Sequence[str]
    cwd: str
    user: str
    mounts: Sequence[RunMount] = ()
    network: str = "default"  # default, none, host, or a network's name where the classic API asks for it
    security: str = "sandbox"  # sandbox or insecure
    hostname: str = ""
    extra_hosts: Sequence[str] = ()
    proxy: Mapping[str, str] = msgspec.field(default_factory=dict)
    platform: str = ""  # "linux/arm64": what its programs are for; "" is the host's
    limits: "Limits" = msgspec.field(default_factory=lambda: Limits())


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Of the processes of RUN; 0 and "" are unlimited. Not part of any cache key."""

    memory: int = 0
    memory_swap: int = 0
    cpu_shares: int = 0
    cpu_period: int = 0
    cpu_quota: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    shm_size: int = 0
    ulimits: Sequence[Ulimit] = ()
    cgroup_parent: str = ""


Source: TypeAlias = ImageSource | ContextSource | UrlSource | GitSource
Operation: TypeAlias = Source | Files | Run


class Vertex(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A step as people see it: `name` is "[stage 2/3] RUN make"; `position` where the Dockerfile has it."""

    name: str
    operation: Operation
    inputs: Sequence["Vertex"] = ()
    position: Position | None = None
    ignore_cache: bool = False
