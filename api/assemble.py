"""The API of an engine: every route, each with the one collaborator that it needs."""

import errdefs
from api.routes import unbuilt
from api.routes.container_streams import ContainerStreamRoutes
from api.routes.containers import ContainerRoutes
from api.routes.events import EventRoutes
from api.routes.execs import ExecRoutes
from api.routes.images import ImageRoutes
from api.routes.networks import NetworkRoutes
from api.routes.system import SystemRoutes
from api.routing import Route
from api.schema.containers import Surroundings
from engine.config import Config
from engine.engine import Engine

SNAPSHOTTER = "overlayfs"


def routes(engine: Engine, config: Config) -> list[Route]:
    """Every route, literal paths before those with variables."""
    images, containers, networks = engine.images, engine.containers, engine.networks

    def around() -> Surroundings:
        return Surroundings(
            data_root=config.data_root,
            exec_root=config.exec_root,
            driver=SNAPSHOTTER,
            network_ids={network.name: network.id for network in networks.networks()},
        )

    def image_id(reference: str) -> str:
        try:
            return images.get(reference).id
        except errdefs.WherryError:
            return ""

    return [
        *SystemRoutes(engine.system).routes(),
        *EventRoutes(engine.events).routes(),
        *ContainerRoutes(containers, around, image_id, engine.execs.of).routes(),
        *ContainerStreamRoutes(containers).routes(),
        *ExecRoutes(engine.execs, containers).routes(),
        *ImageRoutes(images, SNAPSHOTTER).routes(),
        *NetworkRoutes(networks, containers).routes(),
        *unbuilt.routes(),
    ]
