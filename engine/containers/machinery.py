"""What brings a container to life: the collaborators of `start`, and the places where its files are."""

from pathlib import Path

import msgspec

from engine.config import Config
from engine.containers.log_keeping import LogKeeping
from engine.images.images import Images
from engine.networks.networks import Networks
from engine.volumes.volumes import Volumes
from network.controller import Controller
from runtime.cgroups import Hierarchy, HostCapabilities
from runtime.snapshots.snapshotter import Snapshotter
from runtime.spec.identity import HOST, Identity
from runtime.supervisor import Supervisor


class Machinery(msgspec.Struct, kw_only=True):
    """The runtime, snapshots and network of this daemon. `config` is replaced when it is reloaded."""

    config: Config
    supervisor: Supervisor
    snapshots: Snapshotter
    images: Images
    volumes: Volumes
    network: Controller
    networks: Networks
    logs: LogKeeping
    hierarchy: Hierarchy
    limits: HostCapabilities
    identity: Identity = HOST
    """Who containers are by default: those that ask for no other user namespace."""
    seccomp_profile: bytes | None = None
    """The daemon's own default profile as JSON, None for the builtin one."""

    @property
    def roots(self) -> list[str]:
        """The daemon's own directories: what binds them must not hold what it unmounts there."""
        return [str(self.config.data_root), str(self.config.exec_root)]

    def bundle(self, container_id: str) -> Path:
        """Where the runtime finds config.json and the mounted root."""
        return self.config.exec_root / "containers" / container_id

    def bound(self, container_id: str) -> Path:
        """Where images and parts of volumes are mounted that the container binds."""
        return self.config.exec_root / "bound" / container_id

    def rootfs(self, container_id: str) -> Path:
        """Where the root is mounted while the container runs."""
        return self.bundle(container_id) / "rootfs"

    def state_dir(self, container_id: str, start: int) -> Path:
        """The shim's directory of the n-th start: never the same twice."""
        return self.bundle(container_id) / str(start)

    def files(self, container_id: str) -> Path:
        """The container's own files: log, hostname, hosts, resolv.conf."""
        return self.config.data_root / "containers" / container_id
