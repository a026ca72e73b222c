"""What a client asks of a build, whichever API it came by."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from engine.build.steps import Limits

if TYPE_CHECKING:
    from engine.build.results import Built


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """An exporter, a cache source or a cache destination: `kind` is its type ("image", "local", "inline", …)."""

    kind: str
    attributes: Mapping[str, str] = msgspec.field(default_factory=dict)
    id: str = ""


class BuildRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One build. `arguments` and `labels` are as given; a None argument has no value and is taken for undefined.

    `contexts` maps named contexts to what they are ("docker-image://…", "oci-layout://…", "https://…", "local:name",
    "input:name"). `pull`: images are asked for anew at their registries. `no_cache_stages` None is none, () is all.
    """

    id: str
    filename: str = "Dockerfile"
    target: str = ""
    arguments: Mapping[str, str | None] = msgspec.field(default_factory=dict)
    labels: Mapping[str, str] = msgspec.field(default_factory=dict)
    platforms: Sequence[str] = ()
    contexts: Mapping[str, str] = msgspec.field(default_factory=dict)
    inputs: "Mapping[str, Callable[[], Awaitable[Built]]]" = msgspec.field(default_factory=dict)
    """Results of other builds that contexts name, "input:name"; held for as long as this build goes on."""
    remote: str = ""
    """A context that the daemon fetches itself: a URL or a git repository."""
    local_dockerfile: bool = False
    """The Dockerfile is the client's even where `remote` names a context."""
    no_cache_stages: Sequence[str] | None = None
    pull: bool = False
    network: str = "default"
    extra_hosts: Sequence[str] = ()
    limits: Limits = msgspec.field(default_factory=Limits)
    insecure: bool = False
    """Whether the entitlement security.insecure was granted."""
    host_network: bool = True
    exporters: Sequence[Target] = ()
    cache_from: Sequence[Target] = ()
    cache_to: Sequence[Target] = ()
    check: bool = False
    """Only look at the Dockerfile: `docker build --check`."""
    classic: bool = False
    """By the classic API: configs and histories are made as its builder makes them."""
