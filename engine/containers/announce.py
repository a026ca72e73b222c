"""Events of containers, and of the networks and volumes that they come to and leave, with Docker's attributes."""

import asyncio

from engine.containers.container import Container
from engine.events import Events
from network.drivers.driver import NetworkInfo
from network.endpoint import Endpoint
from volumes.mount_point import VOLUME

_NANOSECONDS = 1_000_000_000


def attributes(container: Container) -> dict[str, str]:
    """What every event of a container says: its labels, image and name."""
    return {**(container.config.labels or {}), "image": container.image_name, "name": container.name}


class Announcer:
    """Tells the world what happened to containers."""

    def __init__(self, events: Events) -> None:
        self._events = events

    def tell(
        self, container: Container, action: str, *, time_ns: int | None = None, **extra: str
    ) -> asyncio.Future[None]:
        """Publish an action; `time_ns` where it happened at another time than now."""
        return self._events.publish(
            "container", action, container.id, {**attributes(container), **extra}, time_ns=time_ns
        )

    def mention(self, container: Container, action: str, **extra: str) -> None:
        """Tell an action of now to who listens, without storing it."""
        self._events.mention("container", action, container.id, {**attributes(container), **extra})

    def oom(self, container: Container) -> asyncio.Future[None]:
        """Publish that a run ended because its memory was used up."""
        return self.tell(container, "oom", time_ns=container.state.finished_at)

    def died(self, container: Container) -> asyncio.Future[None]:
        """Publish the end of a run, at its true time."""
        state = container.state
        seconds = max(0, state.finished_at - state.started_at) // _NANOSECONDS if state.started_at else 0
        return self.tell(
            container,
            "die",
            time_ns=state.finished_at,
            exitCode=str(state.exit_code),
            execDuration=str(seconds),
        )

    def network(self, action: str, endpoint: Endpoint, driver: str, *, time_ns: int) -> asyncio.Future[None]:
        """Publish that a container was connected to a network, or disconnected."""
        told = {"container": endpoint.container_id, "name": endpoint.network, "type": driver}
        return self._events.publish("network", action, endpoint.network_id, told, time_ns=time_ns)

    def place(self, action: str, container: Container, network: NetworkInfo) -> asyncio.Future[None]:
        """Publish now that a user connected a container to a network, or disconnected it."""
        told = {"container": container.id, "name": network.name, "type": network.driver}
        return self._events.publish("network", action, network.id, told)

    def volumes(self, action: str, container: Container, *, time_ns: int) -> list[asyncio.Future[None]]:
        """Publish that the volumes of a container are mounted, or not any more."""
        telling = []
        for point in container.mounts:
            if point.type != VOLUME:
                continue
            told = {"container": container.id, "driver": point.driver}
            if action == "mount":
                told |= {"destination": point.destination, "propagation": point.propagation}
                told["read/write"] = "true" if point.rw else "false"
            telling.append(self._events.publish("volume", action, point.name, told, time_ns=time_ns))
        return telling
