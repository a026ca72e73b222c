"""The API of an engine: every route, each with the one collaborator that it needs."""

from typing import Protocol

import errdefs
from api.routes import (
    container_streams,
    containers,
    events,
    execs,
    filesystem,
    images,
    networks,
    system,
    unbuilt,
)
from api.routing import Route
from api.schema.containers import Surroundings
from engine.config import Config

SNAPSHOTTER = "overlayfs"


class Containers(containers.Containers, container_streams.Containers, networks.Containers, Protocol):
    """All that the API needs of containers."""


class Execs(execs.Execs, Protocol):
    """All that the API needs of execs."""

    def of(self, container_id: str, /) -> list[str]:
        """The IDs of a container's execs."""


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
    def images(self) -> images.Images:
        """Images."""

    @property
    def events(self) -> events.Events:
        """Events."""

    @property
    def system(self) -> system.System:
        """The engine itself."""

    @property
    def networks(self) -> networks.Networks:
        """Networks."""


def routes(engine: Doors, config: Config) -> list[Route]:
    """Every route there is."""

    def around() -> Surroundings:
        return Surroundings(
            data_root=config.data_root,
            exec_root=config.exec_root,
            driver=SNAPSHOTTER,
            network_ids={network.name: network.id for network in engine.networks.networks()},
        )

    def image_id(reference: str) -> str:
        try:
            return engine.images.get(reference).id
        except errdefs.WherryError:
            return ""

    return [
        *system.SystemRoutes(engine.system).routes(),
        *events.EventRoutes(engine.events).routes(),
        *containers.ContainerRoutes(engine.containers, around, image_id, engine.execs.of).routes(),
        *container_streams.ContainerStreamRoutes(engine.containers).routes(),
        *execs.ExecRoutes(engine.execs, engine.containers).routes(),
        *filesystem.FilesystemRoutes(engine.filesystem).routes(),
        *images.ImageRoutes(engine.images, SNAPSHOTTER).routes(),
        *networks.NetworkRoutes(engine.networks, engine.containers).routes(),
        *unbuilt.routes(),
    ]
