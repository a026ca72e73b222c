"""The record of a container: what was asked, what was given, and how it stands."""

import msgspec

from engine.containers.config import ContainerConfig, EndpointConfig, HostConfig
from engine.containers.links import Link
from engine.containers.state import Action, Status, require
from engine.health.health import Health
from engine.images.layouts import Descriptor
from network.endpoint import Endpoint
from network.ports import PortBinding as GivenPort
from runtime.spec.identity import HOST, Identity
from volumes.mount_point import MountPoint


class State(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a container stands. Times are Unix nanoseconds, 0 where it never happened."""

    status: Status = Status.CREATED
    pid: int = 0
    exit_code: int = 0
    error: str = ""
    oom_killed: bool = False
    started_at: int = 0
    finished_at: int = 0
    health: Health | None = None  # of one that is probed; None until its first start


class Container(msgspec.Struct, frozen=True, weakref=True, kw_only=True, omit_defaults=True):
    """A container. A changed copy takes its place under its lock, stored whole by `ContainerStore.save`.

    What is as its default is not written: nearly all records fit in one page of the database then.
    """

    id: str
    name: str  # without the leading slash
    created: int  # Unix nanoseconds
    path: str  # the first word of the command
    args: list[str]
    config: ContainerConfig
    host_config: HostConfig
    networks: dict[str, EndpointConfig]  # asked, by network name (until the first start: as it was called)
    network_ids: dict[str, str] = msgspec.field(
        default_factory=dict
    )  # of networks whose names it goes by are made: the ID of the one that it was connected to last, or ""
    reconnecting: bool = False  # a connect or disconnect is under way, which a crash may cut short
    links: list[Link] = msgspec.field(default_factory=list)  # on the default bridge
    link_variables: list[str] = msgspec.field(default_factory=list)  # what its environment tells of them
    image_id: str  # "sha256:…"
    image_name: str  # as the create request named it
    own_labels: dict[str, str] = msgspec.field(default_factory=dict)  # see own_labels.py; none of an image's
    image_manifest: Descriptor | None = None  # with the platform; None in records of before it was noted
    snapshot: str  # key of the writable snapshot
    log_path: str = ""
    runtime: str = "runc"
    identity: Identity = HOST  # who its users are on the host, from its creation on
    mounts: list[MountPoint] = msgspec.field(default_factory=list)
    state: State = msgspec.field(default_factory=State)
    endpoints: dict[str, Endpoint] = msgspec.field(
        default_factory=dict
    )  # given, by network name; empty when stopped
    ports: list[GivenPort] = msgspec.field(default_factory=list)  # given; empty when stopped
    sandbox_id: str = ""
    restart_count: int = 0
    stopped_by_user: bool = False  # no restart policy brings it back, but at boot "always" does
    restart_wanted: bool = (
        False  # stopped in order to start again: a restart that a crash cut short is completed
    )
    to_go_on: bool = False  # paused by the engine itself, for a moment that a crash may have cut short
    volumes_too: bool = False  # it is being removed together with its anonymous volumes
    starts: int = 0  # names the state directory of the current start

    @property
    def running(self) -> bool:
        """Whether a process of it exists (running or paused)."""
        return self.state.status in (Status.RUNNING, Status.PAUSED)

    def require(self, action: Action) -> None:
        """Pass if its state allows the action; else NotModified or Conflict."""
        require(action, self.state.status, self.id, self.name)
