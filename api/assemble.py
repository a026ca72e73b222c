"""The API of an engine: every route, each with the one collaborator that it needs."""

from typing import Protocol

import errdefs
from api.buildkit import doors
from api.builds import Building, Builds
from api.routes import (
    archive,
    attach_ws,
    auth,
    container_records,
    container_stats,
    container_streams,
    container_update,
    containers,
    disk_usage,
    distribution,
    events,
    execs,
    filesystem,
    image_import,
    image_transfer,
    images,
    networks,
    prune,
    search,
    swarm,
    system,
    unbuilt,
    volumes,
)
from api.routing import Route
from api.schema.containers import Surroundings
from engine.config import Config

SNAPSHOTTER = "overlayfs"


class Containers(
    container_records.Containers,
    containers.Containers,
    container_streams.Containers,
    networks.Containers,
    Protocol,
):
    """All that the API needs of containers."""


class Images(images.Images, disk_usage.Images, image_import.Images, Protocol):
    """All that the API needs of images."""


class BuildCache(doors.BuildCache, prune.BuildCache, disk_usage.BuildCache, Protocol):
    """All that the API needs of what was kept of builds."""


class Execs(execs.Execs, Protocol):
    """All that the API needs of execs."""

    def of(self, container_id: str, /) -> list[str]:
        """The IDs of a container's execs."""


class Registry(auth.Registry, distribution.Registry, image_import.Registry, search.Registry, Protocol):
    """All that the API needs of registries."""


class Doors(Protocol):
    """The parts of the engine that routes knock at."""

    @property
    def containers(self) -> Containers:
        """Containers."""

    @property
    def execs(self) -> Execs:
        """Execs."""

    @property
    def filesystem(self) -> filesystem.Filesystem:
        """Files of containers."""

    @property
    def archives(self) -> archive.Archives:
        """Copies of files from and to containers."""

    @property
    def pulls(self) -> image_transfer.Pulls:
        """Pulling of images."""

    @property
    def pushes(self) -> image_transfer.Pushes:
        """Pushing of images."""

    @property
    def images(self) -> Images:
        """Images."""

    @property
    def stats(self) -> container_stats.Stats:
        """Statistics of containers."""

    @property
    def updates(self) -> container_update.Updates:
        """Changes of containers."""

    @property
    def container_prune(self) -> prune.ContainerPrune:
        """Removal of the containers that do not run."""

    @property
    def image_prune(self) -> prune.ImagePrune:
        """Removal of the images that nothing needs."""

    @property
    def network_prune(self) -> prune.NetworkPrune:
        """Removal of the networks that nobody is in."""

    @property
    def building(self) -> Building:
        """What builds."""

    @property
    def build_cache(self) -> BuildCache:
        """What was kept of builds."""

    @property
    def volume_prune(self) -> volumes.VolumePrune:
        """What volumes take, and removal of those that nobody uses."""

    @property
    def volumes(self) -> volumes.Volumes:
        """Volumes."""

    @property
    def events(self) -> events.Events:
        """Events."""

    @property
    def registry(self) -> Registry:
        """Registries of images."""

    @property
    def system(self) -> system.System:
        """The engine itself."""

    @property
    def disk(self) -> disk_usage.Disk:
        """What else lies on the disk."""

    @property
    def networks(self) -> networks.Networks:
        """Networks."""


def routes(engine: Doors, config: Config, builds: Builds | None = None) -> list[Route]:
    """Every route there is; those of builds for what else serves them as well, if it is given."""

    def called(container_id: str) -> str:
        try:
            return engine.containers.get(container_id).name
        except errdefs.WherryError:
            return ""

    def around() -> Surroundings:
        return Surroundings(
            data_root=config.data_root,
            exec_root=config.exec_root,
            driver=SNAPSHOTTER,
            called=called,
        )

    def image_id(reference: str) -> str:
        try:
            return engine.images.get(reference).id
        except errdefs.WherryError:
            return ""

    records = container_records.ContainerRecordRoutes(engine.containers, around, image_id, engine.execs.of)
    volume_routes = volumes.VolumeRoutes(engine.volumes, engine.volume_prune)
    return [
        *system.SystemRoutes(engine.system).routes(),
        *events.EventRoutes(engine.events).routes(),
        *records.routes(),
        *containers.ContainerRoutes(engine.containers, config.cgroup_version).routes(),
        *container_stats.ContainerStatsRoutes(engine.stats, engine.containers).routes(),
        *container_update.ContainerUpdateRoutes(engine.updates).routes(),
        *attach_ws.AttachWebSocketRoutes(engine.containers).routes(),
        *prune.PruneRoutes(
            engine.container_prune, engine.image_prune, engine.network_prune, engine.build_cache
        ).routes(),
        *(builds or Builds(engine, config.host_gateway_ips)).routes(),
        *disk_usage.DiskUsageRoutes(
            engine.containers,
            engine.images,
            engine.disk,
            engine.build_cache,
            records.sized_summary,
            volume_routes.usage,
        ).routes(),
        *auth.AuthRoutes(engine.registry).routes(),
        *distribution.DistributionRoutes(engine.registry).routes(),
        *search.SearchRoutes(engine.registry).routes(),
        *container_streams.ContainerStreamRoutes(engine.containers).routes(),
        *execs.ExecRoutes(engine.execs, engine.containers).routes(),
        *filesystem.FilesystemRoutes(engine.filesystem).routes(),
        *archive.ArchiveRoutes(engine.archives).routes(),
        *image_transfer.ImageTransferRoutes(
            engine.pulls, engine.pushes, image_import.ImageImport(engine.images, engine.registry)
        ).routes(),
        *images.ImageRoutes(engine.images, SNAPSHOTTER).routes(),
        *networks.NetworkRoutes(engine.networks, engine.containers).routes(),
        *volume_routes.routes(),
        *swarm.routes(),
        *unbuilt.routes(),
    ]
